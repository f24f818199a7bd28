"""The algorithmic family: small computations on digits, made on the fly.

Source: Tensor2Tensor's algorithmic.py (Kaiser and Sutskever, arXiv:1511.08228).
Digits are separated by spaces; numbers stand with the least digit first, as
there. A hash of the input decides its split, so no dev or test example is ever
trained on. `test_long` has twice the trained length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from t2t import features as features_lib
from t2t import registry, text
from t2t.features import Feature
from t2t.problems import holdout
from t2t.problems.problem import DEV, TEST, TRAIN, Example, Problem

TEST_LONG = "test_long"
HELD_OUT = 0.05  # of all inputs, for each of dev and test

Digits = Sequence[int]


class Algorithmic(Problem):
    """A rule on digits: `question` draws an input, `answer` computes the target.

    Args:
      min_length, max_length: digits of an input (of each number, where two meet).
    """

    FEATURES = {"inputs": "text", "targets": "text"}
    METRICS = ("sequence_accuracy",)
    SPLITS = {TRAIN: 1, DEV: 1, TEST: 1, TEST_LONG: 1}
    generated = True
    licence = "made up, free of rights"

    def __init__(self, *, min_length: int = 1, max_length: int = 10) -> None:
        if not 1 <= min_length <= max_length:
            raise ValueError(
                f"{self.name or type(self).__name__}: lengths from {min_length} to "
                f"{max_length}; expected 1 <= min_length <= max_length"
            )
        self.min_length = min_length
        self.max_length = max_length
        self.symbols = text.Symbols("decimal", "0123456789+*")

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "inputs": features_lib.text(self.symbols),
            "targets": features_lib.text(self.symbols),
        }

    def example(self, split: str, rng: np.random.Generator) -> Example:
        if split not in self.SPLITS:
            raise ValueError(f"{self.name} has no split {split!r}: {[*self.SPLITS]}")
        while True:
            inputs, targets = self.pair(self._length(split, rng), rng)
            if split in (TEST_LONG, _split_of(inputs)):
                return {"inputs": inputs, "targets": targets}

    def pair(self, length: int, rng: np.random.Generator) -> tuple[str, str]:
        """An input of that length and its target, both in text form."""
        digits = [int(d) for d in rng.integers(10, size=length)]
        return _spaced(digits), _spaced(self.answer(digits))

    def answer(self, digits: Digits) -> Digits:
        raise NotImplementedError

    def _length(self, split: str, rng: np.random.Generator) -> int:
        if split == TEST_LONG:
            return 2 * self.max_length
        return int(rng.integers(self.min_length, self.max_length + 1))


@registry.problem
class AlgorithmicCopy(Algorithmic):
    """Copies digits: '3 1 2' gives '3 1 2'."""

    def answer(self, digits: Digits) -> Digits:
        return digits


@registry.problem
class AlgorithmicReverse(Algorithmic):
    """Reverses digits: '3 1 2' gives '2 1 3'."""

    def answer(self, digits: Digits) -> Digits:
        return digits[::-1]


@registry.problem
class AlgorithmicSort(Algorithmic):
    """Sorts digits: '3 1 2' gives '1 2 3'."""

    def answer(self, digits: Digits) -> Digits:
        return sorted(digits)


@registry.problem
class AlgorithmicShift(Algorithmic):
    """Adds three to each digit, modulo ten: '3 1 9' gives '6 4 2'."""

    def answer(self, digits: Digits) -> Digits:
        return [(digit + 3) % 10 for digit in digits]


@registry.problem
class AlgorithmicMean(AlgorithmicCopy):
    """The mean of the digits, as a number: '3 1 4 2' is worth 2.5."""

    FEATURES = {"inputs": "text", "targets": "real"}
    METRICS = ("pearson",)

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "inputs": features_lib.text(self.symbols),
            "targets": Feature("real", (1,), "float32", "X"),
        }

    def example(self, split: str, rng: np.random.Generator) -> Example:
        inputs = super().example(split, rng)["inputs"]
        return {"inputs": inputs, "targets": [np.mean([*map(int, inputs.split())])]}


class Arithmetic(Algorithmic):
    """Two numbers and a sign, least digit first."""

    SIGN = ""

    def pair(self, length: int, rng: np.random.Generator) -> tuple[str, str]:
        first, second = (
            [int(d) for d in rng.integers(10, size=length)] for _ in range(2)
        )
        result = self.result(_number(first), _number(second))
        digits = [int(d) for d in reversed(str(result))]
        return f"{_spaced(first)} {self.SIGN} {_spaced(second)}", _spaced(digits)

    def result(self, first: int, second: int) -> int:
        raise NotImplementedError


@registry.problem
class AlgorithmicAddition(Arithmetic):
    """Adds two numbers, least digit first: '9 1 + 1 2' (19 + 21) gives '0 4'."""

    SIGN = "+"

    def result(self, first: int, second: int) -> int:
        return first + second


@registry.problem
class AlgorithmicMultiplication(Arithmetic):
    """Multiplies two numbers, least digit first: '2 1 * 3 0' gives '6 3'."""

    SIGN = "*"

    def __init__(self, *, min_length: int = 1, max_length: int = 3) -> None:
        super().__init__(min_length=min_length, max_length=max_length)

    def result(self, first: int, second: int) -> int:
        return first * second


def _split_of(inputs: str) -> str:
    place = holdout.share(inputs)
    return TEST if place < HELD_OUT else DEV if place < 2 * HELD_OUT else TRAIN


def _spaced(digits: Digits) -> str:
    return " ".join(map(str, digits))


def _number(digits: Digits) -> int:
    return int("".join(map(str, reversed(digits))))
