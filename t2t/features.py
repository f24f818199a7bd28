"""What a problem promises and a model accepts: the contract between siblings.

Problems and models never import each other; they meet in a dict of `Feature`s.
Axis letters: B batch, T target/query time, S source time, H height, W width,
C channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from t2t import registry

PAD, EOS = 0, 1
SEQUENCES = ("text", "pixels")  # kinds that are ids, one after another


class Vocabulary(Protocol):
    """Text to ids and back. Ids 0 and 1 are padding and end of sequence.

    A vocabulary is *built* when it can encode: by `build` from texts, or by
    `load` from the file that `save` wrote.
    """

    name: str  # names the file; problems that share a name share the file
    suffix: str  # of the file, such as '.model'

    @property
    def size(self) -> int:
        """Number of ids, padding and end of sequence included."""
        ...

    @property
    def built(self) -> bool: ...

    def build(self, texts: Iterable[str]) -> None: ...

    def encode(self, text: str) -> list[int]:
        """Ids without end of sequence."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text up to the first end of sequence; padding is skipped."""
        ...

    def save(self, folder: Path) -> Path: ...

    def load(self, folder: Path) -> None: ...


@dataclasses.dataclass(frozen=True)
class Feature:
    """One named array of an example.

    kind: 'text' (ids of a vocabulary, ending with EOS), 'pixels' (the same, of the
      values of a picture, see `t2t.text.Pixels`), 'label' (a class id, or one for each
      place of `shape`),
      'image' (uint8 [H, W, C]), 'real' (float vector or series), 'audio' (int16
      samples [N]), 'slots' (whole numbers beside a text, see `along`).
    shape: of one example, without batch; None where it varies.
    axes: one letter an axis of `shape`.
    classes: of a label without a vocabulary, such as an action.
    low, high: bounds of a real feature, where it has any.
    along: the text feature whose slots this one shares: its first axis is T of that
      text, and it is packed, cut and padded with it.
    levels: the last ids or classes, as many as their product, are codes: each stands
      for numbers of so many levels (`t2t.layers.quantise.FiniteScalar`).
    """

    kind: str
    shape: tuple[int | None, ...]
    dtype: str
    axes: str
    vocabulary: Vocabulary | None = None
    classes: int = 0
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    along: str = ""
    levels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.axes) != len(self.shape):
            raise ValueError(
                f"a feature of shape {self.shape} needs {len(self.shape)} axis "
                f"letters, not {self.axes!r}"
            )

    @property
    def sequence(self) -> bool:
        """Whether it is ids one after another, to be packed, cut and padded."""
        return self.kind in SEQUENCES

    @property
    def size(self) -> int:
        """Number of ids or classes.

        Raises:
          ValueError: when the feature has no vocabulary, or one not built yet.
        """
        if self.vocabulary is not None:
            return self.vocabulary.size
        if not self.classes:
            raise ValueError(f"a {self.kind!r} feature has no vocabulary")
        return self.classes

    @property
    def bare(self) -> Feature:
        """The same, knowing how many ids there are and not which."""
        if self.vocabulary is None:
            return self
        return dataclasses.replace(self, vocabulary=None, classes=self.size)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), each of the feature's shape.

        Raises:
          ValueError: when it has none.
        """
        if self.low is None or self.high is None:
            raise ValueError(f"a {self.kind!r} feature of {self.shape} has no bounds")
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        return low.reshape(self.shape), high.reshape(self.shape)  # type: ignore


def text(vocabulary: Vocabulary) -> Feature:
    return Feature("text", (None,), "int32", "T", vocabulary)


def pixels(vocabulary: Vocabulary) -> Feature:
    return Feature("pixels", (None,), "int32", "T", vocabulary)


def label(vocabulary: Vocabulary) -> Feature:
    return Feature("label", (), "int32", "", vocabulary)


def image(height: int, width: int, channels: int) -> Feature:
    return Feature("image", (height, width, channels), "uint8", "HWC")


def same_ids(one: Feature, other: Feature) -> bool:
    """Whether ids of both mean the same, whatever cuts their texts."""
    ids = [getattr(f.vocabulary, "ids", f.vocabulary) for f in (one, other)]
    return ids[0] is ids[1]


def number_text(values: Iterable[float]) -> str:
    """The numbers of a real feature as text, apart by spaces."""
    return " ".join(f"{value:.6g}" for value in values)


class FeatureMismatch(ValueError):
    """A model was offered features that it cannot take."""


def accepts(wanted: Mapping[str, str], offered: Mapping[str, str]) -> bool:
    """Whether every wanted feature is offered in one of its kinds ('a|b')."""
    return all(
        name in offered and offered[name] in kinds.split("|")
        for name, kinds in wanted.items()
    )


def check_match(problem_name: str, model_name: str) -> None:
    """Refuses a problem and a model that do not fit, before anything is built.

    Raises:
      FeatureMismatch: saying what is wanted, what is offered, which model fits.
    """
    zoo = registry.current()
    offered = zoo.features(zoo.declaration("problem", problem_name))
    wanted = zoo.features(zoo.declaration("model", model_name))
    if not offered or not wanted or accepts(wanted, offered):
        return
    name, kind = next(
        (n, k)
        for n, k in wanted.items()
        if n not in offered or offered[n] not in k.split("|")
    )
    fitting = [
        other
        for other in zoo.names("model")
        if (want := zoo.features(zoo.declaration("model", other)))
        and accepts(want, offered)
    ]
    have = ", ".join(f"{n} ({k})" for n, k in offered.items())
    remedy = f": try --model={' or '.join(fitting[:3])}" if fitting else ""
    raise FeatureMismatch(
        f"{model_name} wants a {kind!r} feature named {name}; "
        f"{problem_name} offers {have}{remedy}"
    )
