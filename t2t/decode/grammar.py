"""What may come next in an answer: text, then speech, then a picture, as asked for.

A state allows some ids of the main stream. The network samples among these only, so
no answer can break the form of a conversation. Beside a frame of speech may stand a
piece of the word that is said.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from t2t.features import EOS
from t2t.media.layout import Layout
from t2t.text.sentence_piece import UNKNOWN

STATES = (
    "text, end", "text, sound", "text, picture",
    "end", "sound", "frame, text", "frame, text, sound ends", "sound ends",
    "picture", "code", "picture ends",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Limits:
    """Most of each that an answer has: pieces of text, frames of sound."""

    pieces: int = 48
    frames: int = 150


class Grammar:
    """The states of all answers of one layout.

    Args:
      codes: of a picture.
    """

    def __init__(self, layout: Layout, *, codes: int, limits: Limits) -> None:
        self.layout, self.codes, self.limits = layout, codes, limits
        vocabulary = layout.vocabulary
        self.ids = {
            "end": EOS,
            "sound": vocabulary.mark("<sound>"),
            "frame": vocabulary.mark("<audio>"),
            "sound ends": vocabulary.mark("</sound>"),
            "picture": vocabulary.mark("<picture>"),
            "picture ends": vocabulary.mark("</picture>"),
        }
        self.allowed = np.zeros((len(STATES), vocabulary.size), bool)
        for row, state in zip(self.allowed, STATES, strict=True):
            for name in state.split(", "):
                if name == "text":
                    row[UNKNOWN + 1 : vocabulary.pieces] = True
                elif name == "code":
                    row[vocabulary.first_picture :] = True
                else:
                    row[self.ids[name]] = True

    def begin(self, modalities: tuple[str, ...]) -> Answer:
        return Answer(self, modalities)


class Answer:
    """One answer as it comes: its state, and what is counted.

    Args:
      modalities: that were asked for.
    """

    def __init__(self, grammar: Grammar, modalities: tuple[str, ...]) -> None:
        self.grammar = grammar
        self.modalities = modalities
        self.pieces = self.frames = self.codes = 0
        self.name = self._after_nothing()

    @property
    def state(self) -> int:
        """The row of `Grammar.allowed`."""
        return STATES.index(self.name)

    @property
    def done(self) -> bool:
        return self.name == "done"

    @property
    def sounding(self) -> bool:
        """Whether the next slot carries codes of sound, if only what is late."""
        return self.name.startswith("frame") or self.name == "sound ends"

    def take(self, i: int) -> None:
        """Moves on by an id that the state allows.

        Raises:
          ValueError: for one that it does not.
        """
        if self.done or not self.grammar.allowed[self.state, i]:
            raise ValueError(f"id {i} is not allowed in the state {self.name!r}")
        ids, limits = self.grammar.ids, self.grammar.limits
        if i == EOS:
            self.name = "done"
        elif i == ids["sound"]:
            self.name = "frame, text"
        elif i == ids["sound ends"]:
            self.name = "picture" if "image" in self.modalities else "end"
        elif self.sounding:
            self.frames += 1
            self.name = "frame, text, sound ends"
            if self.frames >= limits.frames:
                self.name = "sound ends"
        elif i == ids["picture"]:
            self.name = "code"
        elif i == ids["picture ends"]:
            self.name = "end"
        elif self.name == "code":
            self.codes += 1
            self.name = "code" if self.codes < self.grammar.codes else "picture ends"
        else:
            self.pieces += 1
            if self.pieces >= limits.pieces:
                self.name = self._after_text()

    def _after_nothing(self) -> str:
        after = self._after_text()
        # A picture alone has no words beside it.
        return after if self.modalities == ("image",) else f"text, {after}"

    def _after_text(self) -> str:
        if "audio" in self.modalities:
            return "sound"
        return "picture" if "image" in self.modalities else "end"
