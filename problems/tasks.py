"""The seven tasks that most problems are: features, metrics, vocabularies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from t2t import features as features_lib
from t2t import registry, text
from t2t.features import Feature
from t2t.problems.problem import Example, Problem


class WithText(Problem):
    """A problem with one vocabulary of its own; a subclass names its defaults.

    Args:
      vocabulary: 'unigram', 'bpe', 'subwords' or 'bytes', or the file of a published
        one; '' for the default.
      vocabulary_size: ids wanted, which 'bytes' ignores; 0 for the default.
    """

    VOCABULARY = "unigram"
    VOCABULARY_SIZE = 8192

    def __init__(self, *, vocabulary: str = "", vocabulary_size: int = 0) -> None:
        self.vocabulary = text.vocabulary(
            vocabulary or self.VOCABULARY,
            stem(self),
            size=vocabulary_size or self.VOCABULARY_SIZE,
        )


class TextToText(WithText):
    """A text in, a text out; one vocabulary for both sides.

    Args: see `WithText`.
    """

    FEATURES = {"inputs": "text", "targets": "text"}
    SUGGESTED = ("transformer_small", "transformer")
    METRICS = ("bleu", "chrf", "sequence_accuracy")

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "inputs": features_lib.text(self.vocabulary),
            "targets": features_lib.text(
                getattr(self.vocabulary, "for_targets", self.vocabulary)
            ),
        }


class LanguageModel(WithText):
    """Text to be continued; one example is a passage.

    Args: see `WithText`.
    """

    FEATURES = {"targets": "text"}
    SUGGESTED = ("transformer_small", "transformer_lm")
    # Judged by its loss, in bits a byte; there is no output to compare.
    METRICS = ()

    @property
    def features(self) -> dict[str, Feature]:
        return {"targets": features_lib.text(self.vocabulary)}


class TextClass(WithText):
    """A text in, one of a few labels out.

    A subclass names its `LABELS`, or leaves them to be built from the data.

    Args: see `WithText`.
    """

    FEATURES = {"inputs": "text", "label": "label"}
    SUGGESTED = ("transformer_small", "transformer_encoder")
    METRICS = ("accuracy",)
    TARGET = "label"
    LABELS: tuple[str, ...] = ()

    @cached_property
    def labels(self) -> text.ClassLabels:
        return _own_labels(self, self.LABELS)

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "inputs": features_lib.text(self.vocabulary),
            "label": features_lib.label(self.labels),
        }


class TextToReal(WithText):
    """A text in, numbers out, which a raw example has as a list.

    Args: see `WithText`.
    """

    FEATURES = {"inputs": "text", "targets": "real"}
    SUGGESTED = ("transformer_small", "transformer_regressor")
    METRICS = ("pearson",)
    NUMBERS = 1

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "inputs": features_lib.text(self.vocabulary),
            "targets": Feature("real", (self.NUMBERS,), "float32", "X"),
        }


class TimeSeries(Problem):
    """The last numbers of a series in, the next ones out; raw examples have lists.

    Class attributes:
      HISTORY, HORIZON: how many numbers are known, and how many are wanted.
      SEASONS: after how many numbers it may be expected to repeat itself.
    """

    FEATURES = {"inputs": "real", "targets": "real"}
    SUGGESTED = ("nbeats_small", "nbeats")
    HISTORY, HORIZON = 168, 24
    SEASONS: tuple[int, ...] = (24, 168)

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "inputs": Feature("real", (self.HISTORY,), "float32", "S"),
            "targets": Feature("real", (self.HORIZON,), "float32", "T"),
        }

    def asked(self, line: str) -> Example:
        """The last HISTORY of the numbers of a line.

        Raises:
          ValueError: where they are fewer, or are no numbers.
        """
        numbers = line.replace(",", " ").split()
        if len(numbers) < self.HISTORY:
            raise ValueError(
                f"{len(numbers)} numbers, of which the next {self.HORIZON} are asked: "
                f"{self.HISTORY} are needed"
            )
        return {"inputs": [real_number(n) for n in numbers[-self.HISTORY :]]}

    def line(self, example: Example) -> str:
        """The line that asks for an example's targets."""
        return features_lib.number_text(example["inputs"])

    def fake(self, split: str) -> Iterator[Example]:
        """200 windows of waves with noise, of the length of the first season."""
        rng = np.random.default_rng([len(split), *split.encode()])
        time = np.arange(self.HISTORY + self.HORIZON)
        for start in range(200):
            wave = np.sin(2 * np.pi * (start + time) / self.SEASONS[0])
            series = 10 + 3 * wave + rng.normal(size=len(time)) / 4
            yield self.window(series.tolist(), self.HISTORY)

    def window(self, series: Sequence[float], start: int) -> Example:
        """What is known before a place of a series, and what follows."""
        known = series[start - self.HISTORY : start]
        return {"inputs": known, "targets": series[start : start + self.HORIZON]}


class ImageClass(Problem):
    """A picture in, one of a few labels out; a subclass gives SHAPE and LABELS."""

    FEATURES = {"image": "image", "label": "label"}
    SUGGESTED = ("resnet_small", "resnet")
    METRICS = ("accuracy",)
    TARGET = "label"
    SHAPE: tuple[int, int, int] = (0, 0, 0)  # height, width, channels
    LABELS: tuple[str, ...] = ()

    @cached_property
    def labels(self) -> text.ClassLabels:
        return _own_labels(self, self.LABELS)

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "image": features_lib.image(*self.SHAPE),
            "label": features_lib.label(self.labels),
        }

    def fake(self, split: str) -> Iterator[Example]:
        """200 pictures, a bright square on noise; its place tells the label."""
        height, width, channels = self.SHAPE
        rng = np.random.default_rng([len(split), *split.encode()])
        names = self.LABELS[:50]
        for i in range(200):
            k = i % len(names)
            picture = rng.integers(0, 64, (height, width, channels), np.uint8)
            row, column = divmod(k * max(1, height * width // len(names)), width)
            picture[row : row + 2, column : column + 2] = 255
            yield {"image": picture, "label": names[k]}


def stem(problem: Problem) -> str:
    """The name that a problem's files carry: its class's, in snake case."""
    return registry.snake_case(type(problem).__name__)


def real_number(text: str) -> float:
    """
    Raises:
      ValueError: for a text that is no finite number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text.strip()[:40]!r} is no number")
    return number


def _own_labels(problem: Problem, labels: Sequence[str]) -> text.ClassLabels:
    return text.ClassLabels(stem(problem), labels or None)
