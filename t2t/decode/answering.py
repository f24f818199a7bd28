"""Answers to requests as they are written, step by step: `answer` is a generator.

Whoever runs it may do something else between two steps, or leave it there: that is how
a server is fair, and how it stops working for a client that has gone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from t2t.decode.chat import LENGTHS, Chat, Group
from t2t.decode.decoder import DecodeError
from t2t.decode.engine import ChatOptions
from t2t.decode.fields import RequestError
from t2t.decode.mitigations import Mitigations
from t2t.decode.options import DecodeOptions
from t2t.decode.requests import Request
from t2t.decode.voice import VoiceSession
from t2t.media.messages import Coded, Message, Picture, Text, kind_of

LOST = "\N{REPLACEMENT CHARACTER}"  # at the end: of a character half written


@dataclasses.dataclass(frozen=True)
class Counts:
    """Tokens, by what they stand for."""

    text: int = 0
    audio: int = 0
    image: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.text + other.text, self.audio + other.audio, self.image + other.image
        )

    @property
    def total(self) -> int:
        return self.text + self.audio + self.image


@dataclasses.dataclass(frozen=True)
class Delta:
    """What a step brought to the answer with a number; often nothing.

    samples: float32 [n] at 16 kHz.
    finish: why it ended, when it did: 'stop' or 'length'.
    """

    number: int = 0
    text: str = ""
    samples: np.ndarray | None = None
    picture: Picture | None = None
    finish: str = ""


@dataclasses.dataclass(frozen=True)
class Reply:
    """All that was answered: a message and why it ended, for each of n.

    scores: of a text each, as `decoder.Output` has them; none of what is spoken.
    """

    messages: tuple[Message, ...]
    finishes: tuple[str, ...]
    asked: Counts
    answered: Counts
    scores: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Occupancy:
    """Rows that are decoded together: how many are taken, there are, and are waited
    for; and the steps that were taken."""

    taken: int = 0
    rows: int = 0
    waiting: int = 0
    steps: int = 0

    def __add__(self, other: Occupancy) -> Occupancy:
        return Occupancy(
            self.taken + other.taken, self.rows + other.rows,
            self.waiting + other.waiting, self.steps + other.steps,
        )  # fmt: skip


Writing = Iterator["Delta | Reply"]  # the reply comes last


class Answerer(Protocol):
    """A run that answers requests."""

    @property
    def modalities(self) -> tuple[str, ...]: ...

    @property
    def side(self) -> int:
        """Pixels of a side of the pictures it takes; 0 for none."""
        ...

    @property
    def abilities(self) -> tuple[str, ...]:
        """Some of 'chat', 'complete', 'translate'."""
        ...

    @property
    def decoding(self) -> DecodeOptions | None:
        """How a text model's outputs are found where nothing is asked; else None."""
        ...

    @property
    def together(self) -> bool:
        """Whether answers are written side by side; else in turns, client by client."""
        ...

    @property
    def occupancy(self) -> Occupancy:
        """Of the rows, where answers are written together."""
        ...

    def rehearse(self) -> None:
        """Compiles what answers need, so that no client waits for it."""
        ...

    def transcript(self, messages: Sequence[Message]) -> str:
        """All that users write and say in them."""
        ...

    def voice_session(self, mitigations: Mitigations | None = None) -> Any:
        """A `VoiceSession`, behind some stages.

        Raises:
          RequestError: for a run that does not speak.
        """
        ...

    def answer(self, request: Request) -> Writing:
        """Deltas, and then the reply; sounds and pictures as deltas if it streams.

        Raises:
          RequestError: for what this run does not do, and for too long a conversation.
        """
        ...


def answerer(run: Any, **together: Any) -> Answerer:
    """Of what `t2t.load` gives.

    Args:
      together: of `TextAnswerer`, for a run that is one.

    Raises:
      DecodeError: for a model that takes no text.
    """
    from t2t.decode.text_answering import TextAnswerer

    return ChatAnswerer(run) if isinstance(run, Chat) else TextAnswerer(run, **together)


class ChatAnswerer:
    """An omni run."""

    modalities = ("text", "audio", "image")
    abilities = ("chat",)
    decoding = None
    together = False
    occupancy = Occupancy()

    def __init__(self, chat: Chat) -> None:
        self.chat = chat

    @property
    def side(self) -> int:
        problem = self.chat.problem
        return problem.picture_side * problem.pictures.patch

    def transcript(self, messages: Sequence[Message]) -> str:
        """See `Answerer`; speech as the network itself writes it down."""
        coded = self.chat.problem.code([messages])
        parts = [p for m in coded[0] if m.role == "user" for p in m.parts]
        return self.chat.transcript(parts)

    def voice_session(self, mitigations: Mitigations | None = None) -> VoiceSession:
        """See `Answerer`."""
        return self.chat.voice_session(mitigations=mitigations)

    def rehearse(self) -> None:
        """Compiles what answers need, so that no client waits for it."""
        opening = Message("assistant", (), wants=self.modalities)
        group: Group | None = None
        for length in LENGTHS:
            prompt = self.chat.layout.prompt((), opening)
            while len(prompt.main) < length:
                prompt.add(prompt.main[0], learned=0)
            group = Group(
                self.chat.engine, [prompt], [opening], ChatOptions(),
                numbers=[0],
            )  # fmt: skip
        assert group is not None
        group.finish()
        for part in self._parts(group):
            self.chat.decoded(part)
        self.voice_session().rehearse()

    def answer(self, request: Request) -> Writing:
        """See `Answerer`."""
        self._check_length(request)
        opening = Message(
            "assistant", (), voice=request.voice, wants=request.modalities
        )
        (coded,) = self.chat.problem.code([request.messages])
        prompt = self.chat.layout.prompt(coded, opening)
        counts = [self._count(part) for message in coded for part in message.parts]
        answered, messages, finishes = Counts(), [], []
        for number in range(request.n):
            try:
                group = Group(
                    self.chat.engine, [prompt], [opening], request.options,
                    numbers=[number],
                )  # fmt: skip
            except DecodeError as error:
                raise _too_long(str(error)) from None
            voice = _Speech(self.chat) if request.stream else None
            yield from self._write(group, number, voice)
            parts = self._parts(group)
            answered = sum(map(self._count, parts), answered)
            finish = self._finish(group)
            heard = tuple(map(self.chat.decoded, parts))
            messages.append(dataclasses.replace(opening, parts=heard))
            finishes.append(finish)
            if request.stream:
                pictures = [p for p in heard if isinstance(p, Picture)]
                for picture in pictures:
                    yield Delta(number, picture=picture)
            yield Delta(number, finish=finish)
        asked = sum(counts, Counts())
        yield Reply(tuple(messages), tuple(finishes), asked, answered)

    def _write(self, group: Group, number: int, speech: _Speech | None) -> Writing:
        """To the end of one answer; text and speech as they come."""
        text = ""
        while True:
            done = group.lines[0].done
            delta = Delta(number)
            if speech is not None:
                parts = self._parts(group)
                words = "".join(p.text for p in parts if isinstance(p, Text))
                if done or not words.endswith(LOST):
                    delta = Delta(number, text=words[len(text) :])
                    text = words
                delta = dataclasses.replace(delta, samples=speech.more(parts, done))
            yield delta
            if done:
                return
            group.step()

    def _parts(self, group: Group) -> list[Any]:
        slots = group.lines[0].slots
        return self.chat.layout.parts(slots.main, np.array(slots.audio))

    def _finish(self, group: Group) -> str:
        answer, limits = group.lines[0].answer, group.grammar.limits
        cut = answer.pieces >= limits.pieces or answer.frames >= limits.frames
        return "length" if cut else "stop"

    def _count(self, part: Any) -> Counts:
        if isinstance(part, Text):
            return Counts(text=len(self.chat.layout.vocabulary.encode(part.text)))
        if kind_of(part) == "sound":
            return Counts(audio=len(part.codes))
        return Counts(image=part.codes.size)

    def _check_length(self, request: Request) -> None:
        """Before anything is coded: what cannot fit costs no work."""
        problem, slots = self.chat.problem, 0
        for part in (p for m in request.messages for p in m.parts):
            kind = kind_of(part)
            if kind == "sound":
                slots += len(part.samples) // problem.sounds.frame
            elif kind != "text":
                frames = len(part.frames) if kind == "film" else 1
                slots += frames * problem.picture_side**2
        if slots > LENGTHS[-1]:
            raise _too_long(
                f"its media have {slots} slots; at most {LENGTHS[-1]} can be read"
            )


class _Speech:
    """Samples of frames as these are written."""

    def __init__(self, chat: Chat) -> None:
        self.codec, self.done, self.ended = chat.codec, 0, False
        self.past = self.codec.begin_saying

    def more(self, parts: list[Any], done: bool) -> np.ndarray | None:
        """float32 [n] of frames that are new; None for none."""
        sounds = [p for p in parts if isinstance(p, Coded) and p.kind == "sound"]
        if not sounds or self.ended:
            return None
        heard = []
        for codes in sounds[0].codes[self.done :]:
            samples, self.past = self.codec.say(codes, self.past)
            heard.append(samples)
        self.done = len(sounds[0].codes)
        self.ended = done or parts[-1] is not sounds[0]
        if self.ended and self.done:
            heard.append(self.codec.rest(self.past))
        return np.concatenate(heard) if heard else None


def _too_long(reason: str) -> RequestError:
    return RequestError(reason, param="messages", code="context_length_exceeded")
