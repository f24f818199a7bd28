"""The five tasks that most problems are: features, metrics, vocabularies."""

from __future__ import annotations

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


def _own_labels(problem: Problem, labels: Sequence[str]) -> text.ClassLabels:
    return text.ClassLabels(stem(problem), labels or None)
