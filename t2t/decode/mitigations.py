"""What stands between a run and whoever talks to it, after GPT-4o's system card.

    input moderation → the network → output moderation → voice guard → provenance

Each stage can be left out, and each logs what it did. Words come before their speech,
so what is not to be said is stopped before it sounds. That the network itself refuses
was learned (`omni_safety`) and can be left out only with its checkpoint; it is logged
like the others.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from t2t.decode.engine import ChatOptions
from t2t.decode.guard import Guard, GuardOptions, Listener
from t2t.media.provenance import Signer, sign

STAGES = (
    "input_moderation", "refusal", "output_moderation", "voice_guard", "provenance",
)  # fmt: skip
BLOCKED = "i cannot help with that"
FILTERED = "content_filter"  # why an answer ended, as OpenAI has it


@dataclasses.dataclass(frozen=True)
class Event:
    """What a stage did: 'passed', 'blocked', 'refused', 'marked' or 'signed'."""

    stage: str
    action: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.stage} {self.action}" + f": {self.detail}" * bool(self.detail)


class Blocked(Exception):
    """A stage has stopped an answer."""

    def __init__(self, event: Event) -> None:
        super().__init__(str(event))
        self.event = event


class Terms:
    """Words and phrases that are neither asked about nor said.

    Case, accents' encoding, signs between words and characters that nobody sees make no
    difference.
    """

    def __init__(self, terms: Iterable[str]) -> None:
        found = sorted({plain(term) for term in terms} - {""}, key=len, reverse=True)
        if not found:
            raise ValueError("there are no terms to moderate")
        self._pattern = re.compile(
            r"(?<!\w)(?:" + "|".join(map(re.escape, found)) + r")(?!\w)"
        )

    @classmethod
    def from_file(cls, path: str | Path) -> Terms:
        """A term a line; empty lines and those that begin with # are none.

        Raises:
          ValueError: for a file without terms, or that is no UTF-8.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
            return cls(line for line in lines if not line.startswith("#"))
        except ValueError as why:
            raise ValueError(f"{path}: {why}") from None

    def find(self, text: str) -> str:
        """The first term in a text; '' for none."""
        found = self._pattern.search(plain(text))
        return found.group() if found else ""


def plain(text: str) -> str:
    """Lower-case words with one space between them."""
    seen = [c for c in unicodedata.normalize("NFKC", text) if not _unseen(c)]
    return " ".join(re.findall(r"\w+", "".join(seen).casefold()))


def _unseen(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


@dataclasses.dataclass(frozen=True)
class Mitigations:
    """The stages that are on, for all answers of a run.

    Args:
      asked: terms of input moderation; None leaves the stage out, as below.
      written: terms of output moderation.
      refusals: how answers begin by which the network refuses.
      listener: of the voice guard.
      signer: of provenance.
      claims: that are signed.
      watermark: that is drawn into sound and pictures, 0 for none, and its secret.
      log: is told what each stage did.
    """

    asked: Terms | None = None
    written: Terms | None = None
    refusals: tuple[str, ...] = ()
    listener: Listener | None = None
    guard: GuardOptions = GuardOptions()
    signer: Signer | None = None
    claims: dict[str, Any] = dataclasses.field(default_factory=dict)
    watermark: float = 0.0
    watermark_secret: str = dataclasses.field(default="", repr=False)
    log: Callable[[Event], None] = lambda event: None

    def screen(self, voice: str) -> Screen:
        """Of one answer."""
        return Screen(self, voice)

    def marked(self, options: ChatOptions) -> ChatOptions:
        """`ChatOptions` with the watermark."""
        if not self.watermark:
            return options
        return dataclasses.replace(
            options, watermark=self.watermark, watermark_secret=self.watermark_secret
        )

    def seal(self, data: bytes) -> bytes:
        """A PNG or WAV with a signed manifest."""
        if self.signer is None:
            return data
        sealed = sign(data, self.claims, self.signer)
        self.log(Event("provenance", "signed", f"{len(data):,} bytes"))
        return sealed


class Screen:
    """What the stages make of one answer; `events` is what they did.

    Args:
      voice: that was chosen for it.
    """

    def __init__(self, mitigations: Mitigations, voice: str) -> None:
        self.mitigations, self.events = mitigations, list[Event]()
        self.guard: Guard | None = None
        if mitigations.listener is not None:
            self.guard = Guard(mitigations.listener, voice, options=mitigations.guard)

    def asked(self, text: str) -> None:
        """
        Raises:
          Blocked: for what is not talked about; as the two below.
        """
        self._moderate("input_moderation", self.mitigations.asked, text)

    def wrote(self, text: str, *, whole: bool = True) -> str:
        """All that was written so far -> what of it may be told: where more may come,
        not the last word, which may be the beginning of another."""
        terms = self.mitigations.written
        if terms is None:
            return text
        told = text if whole else re.sub(r"\S+\Z", "", text)
        if found := terms.find(told):
            self._block("output_moderation", found)
        return told

    def said(self, samples: np.ndarray) -> None:
        """What comes next of the speech."""
        if self.guard is None:
            return
        verdict = self.guard.hear(samples)
        if verdict.blocked:
            self._block("voice_guard", f"another voice, after {verdict.seconds:.2f} s")

    def done(self, text: str) -> None:
        """The answer has ended, and nothing stopped it."""
        if self.mitigations.written is not None:
            self._note(Event("output_moderation", "passed"))
        if self.guard is not None:
            self._note(Event("voice_guard", "passed"))
        if text.startswith(self.mitigations.refusals or ("\0",)):
            self._note(Event("refusal", "refused", text))

    def _moderate(self, stage: str, terms: Terms | None, text: str) -> None:
        if terms is None:
            return
        if found := terms.find(text):
            self._block(stage, found)
        self._note(Event(stage, "passed"))

    def _block(self, stage: str, detail: str) -> None:
        event = Event(stage, "blocked", detail)
        self._note(event)
        raise Blocked(event)

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self.mitigations.log(event)
