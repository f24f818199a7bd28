"""A story of bAbI, and the words that all stories are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

PEOPLE = ("Mary", "John", "Daniel", "Sandra", "Julie", "Bill", "Fred", "Jeff")
SHE = ("Mary", "Sandra", "Julie")
PLACES = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
OBJECTS = ("apple", "football", "milk")
MOVES = ("went to", "moved to", "journeyed to", "travelled to", "went back to")
GETS = ("picked up", "got", "took", "grabbed")
DROPS = ("dropped", "put down", "left", "discarded")
NUMBERS = ("none", "one", "two", "three")


@dataclasses.dataclass(frozen=True)
class Story:
    """sentences: with a full stop each. question: with its mark. answer: words."""

    sentences: tuple[str, ...]
    question: str
    answer: str

    @property
    def inputs(self) -> str:
        """Words and marks, one space apart."""
        return " ".join((*self.sentences, self.question))


def one(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    return values[int(rng.integers(len(values)))]


def some(rng: np.random.Generator, values: Sequence[Any], count: int) -> list[Any]:
    """Different ones, in any order."""
    return [values[int(i)] for i in rng.permutation(len(values))[:count]]
