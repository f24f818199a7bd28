"""A conversation: messages of parts that are written, heard, drawn or filmed.

Audio is float32 [N] at 16 kHz within ±1; pictures are uint8 [H, W, 3]. `Coded` is any
of them after its tokenizer.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

RATE = 16_000  # samples a second
MODALITIES = ("text", "audio", "image")  # that can be asked for, in this order
ROLES = ("system", "user", "assistant")
Words = tuple[tuple[int, str], ...]  # each and where it begins, when that is known


@dataclasses.dataclass(frozen=True)
class Text:
    text: str

    def __str__(self) -> str:
        return self.text


class OfArrays:
    """Equal when all that it holds is, arrays included; shown by its first's shape."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        mine, theirs = vars(self), vars(other)
        return all(np.array_equal(mine[name], theirs[name]) for name in mine)

    def __str__(self) -> str:
        array = next(v for v in vars(self).values() if isinstance(v, np.ndarray))
        return f"[{kind_of(self)} {array.shape}]"


@dataclasses.dataclass(frozen=True, eq=False)
class Sound(OfArrays):
    """words: where each begins, in samples; a last '' where speech ends."""

    samples: np.ndarray
    words: Words = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Picture(OfArrays):
    """pixels: uint8 [H, W, 3]. shows: what, where that is known; judges look at it."""

    pixels: np.ndarray
    shows: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Film(OfArrays):
    """frames: uint8 [F, H, W, 3], five a second."""

    frames: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Coded(OfArrays):
    """kind 'sound': codes int [T, K]; 'picture': [h, w]; 'film': [F, h, w].

    words: of a sound, where each begins, in frames; a last '' where speech ends.
    sensed: uint8 [..., F] beside the codes, where a network takes in not these but
      what they were made of; see `t2t.layers.senses`.
    """

    kind: str
    codes: np.ndarray
    words: Words = ()
    sensed: np.ndarray | None = None


Part = Any  # one of the above


@dataclasses.dataclass(frozen=True)
class Message:
    """What one side says.

    voice: that the assistant speaks with.
    wants: modalities that the assistant is asked for; () for those of its parts.
    """

    role: str
    parts: tuple[Part, ...]
    voice: str = ""
    wants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"a message's role is {self.role!r}, not one of {ROLES}")
        unknown = [w for w in self.wants if w not in MODALITIES]
        if unknown:
            raise ValueError(f"there is no modality {unknown[0]!r}, only {MODALITIES}")

    def __str__(self) -> str:
        return " ".join([f"<{self.role}>", *map(str, self.parts)])

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is wanted, or what the parts are; speech has its words written, too."""
        if self.wants:
            return tuple(m for m in MODALITIES if m in self.wants)
        kinds = {kind_of(part) for part in self.parts}
        wanted = {"sound": "audio", "picture": "image"}
        found = {wanted[kind] for kind in kinds if kind in wanted}
        return tuple(m for m in MODALITIES if m in found) or ("text",)


def kind_of(part: Part) -> str:
    """'text', 'sound', 'picture' or 'film'."""
    if isinstance(part, Coded):
        return part.kind
    return type(part).__name__.lower()
