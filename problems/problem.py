"""What every problem is: features, examples by split, vocabularies, metrics.

A problem yields *raw* examples (strings, labels by name, uint8 images); `encode`
turns one into arrays by the features' vocabularies. Three kinds of problem:

- stored: `examples(split, tmp_dir)` yields a finite corpus once; `t2t-datagen`
  writes it to shards;
- generated (`generated = True`): `example(split, rng)` makes one example from a
  random generator, so the data are endless and never written;
- interactive (`interactive = True`): `environment(split)` answers to actions, and
  the data come from acting; see `t2t.environments`.

A class states `FEATURES = {name: kind}` as a literal, which the registry reads
without importing, and builds the `Feature`s of the same names in `features`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t import features as features_lib
from t2t.features import Feature, Vocabulary

Example = dict[str, Any]

TRAIN, DEV, TEST = "train", "dev", "test"


class Problem:
    """Base of all problems; subclasses fill the parts that are theirs.

    Class attributes:
      FEATURES: {feature name: kind}, a literal.
      METRICS: names in `t2t.metrics`, of references against decoded outputs.
      TARGET: the feature that a model predicts.
      SPLITS: {split: number of shards}.
      generated: whether examples are made on the fly.
      interactive: whether they come from acting in an environment.
      SUGGESTED: (hparams set, model) that fit when the user names none.
      licence: of the data, when known.
    """

    FEATURES: dict[str, str] = {}
    METRICS: tuple[str, ...] = ()
    TARGET = "targets"
    SPLITS: dict[str, int] = {TRAIN: 10, DEV: 1, TEST: 1}
    generated = False
    interactive = False
    SUGGESTED: tuple[str, str] | None = None
    licence = "unknown"
    # Set by `get` from the suffixes of the name, see t2t.registry.
    name: str = ""
    suffixes: tuple[str, ...] = ()

    # -- what a subclass gives --------------------------------------------------

    @property
    def features(self) -> dict[str, Feature]:
        """{name: Feature}, before suffixes are applied."""
        raise NotImplementedError

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        """All raw examples of a split, in a fixed order.

        Raises:
          DataUnavailable: in one line, when the data cannot be had here.
        """
        raise NotImplementedError

    def example(self, split: str, rng: np.random.Generator) -> Example:
        """One raw example of a generated problem."""
        raise NotImplementedError

    def fake(self, split: str) -> Iterator[Example]:
        """About 200 made-up raw examples of the real schema, the same at each call."""
        rng = np.random.default_rng([len(split), *split.encode()])
        for _ in range(200):
            yield self.example(split, rng)

    def without_examples(self, split: str) -> str:
        """What is said when a split turns out to have none."""
        return f"{self.name} has no examples for its split {split!r}"

    # -- what it then can do ----------------------------------------------------

    @property
    def stored(self) -> bool:
        """Whether its examples are written to shards."""
        return not (self.generated or self.interactive)

    def offered(self) -> dict[str, Feature]:
        """{name: Feature} as models see them, suffixes applied."""
        offered = dict(self.features)
        for suffix in self.suffixes:
            offered = _SUFFIX_RULES[suffix](offered)
        return offered

    @property
    def vocabularies(self) -> dict[str, Vocabulary]:
        """{file name stem: vocabulary} of all features, each once."""
        found = [f.vocabulary for f in self.features.values()]
        return {v.name: v for v in found if v is not None}

    def raw(self, example: Example) -> Example:
        """A raw example with the suffixes' rules applied."""
        for suffix in self.suffixes:
            example = _SUFFIX_RULES[suffix](dict(example))
        return example

    def encode(self, example: Example) -> dict[str, np.ndarray]:
        """A raw example (suffixes not yet applied) as arrays, unsuffixed too."""
        return {name: self.encode_value(name, example[name]) for name in self.features}

    def encode_value(self, name: str, value: Any) -> np.ndarray:
        """The raw value of a feature as an array."""
        return encode_feature(self.features[name], value)

    def encode_asked(self, line: str) -> dict[str, np.ndarray]:
        """What a line asks, as arrays, of a problem that has `asked(line)`.

        Raises:
          ValueError: where the line is none that can be answered.
        """
        read = self.asked(line)  # type: ignore[attr-defined]
        return {name: self.encode_value(name, value) for name, value in read.items()}

    def swap(self, encoded: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Applies the suffixes' rules to an encoded example."""
        for suffix in self.suffixes:
            encoded = _SUFFIX_RULES[suffix](dict(encoded))
        return encoded

    def text_for_vocabulary(
        self, vocabulary: Vocabulary, examples: Iterable[Example]
    ) -> Iterator[str]:
        """The training texts of the features that use `vocabulary`."""
        names = [n for n, f in self.features.items() if f.vocabulary is vocabulary]
        for example in examples:
            for name in names:
                yield example[name]

    def load_vocabularies(self, folder: Path) -> None:
        """Loads every vocabulary that is not built from its file in `folder`."""
        for vocabulary in self.vocabularies.values():
            if not vocabulary.built:
                vocabulary.load(folder)

    def save_vocabularies(self, folder: Path) -> None:
        for vocabulary in self.vocabularies.values():
            vocabulary.save(folder)


class DataUnavailable(RuntimeError):
    """The data cannot be had here; the message is one line with the remedy."""


def encode_feature(feature: Feature, value: Any) -> np.ndarray:
    """One raw value as the array that the feature describes."""
    if feature.sequence:
        assert feature.vocabulary is not None
        ids = feature.vocabulary.encode(value)
        return np.asarray([*ids, features_lib.EOS], np.int32)
    if feature.kind == "label" and isinstance(value, str):
        assert feature.vocabulary is not None
        return np.asarray(feature.vocabulary.encode(value)[0], np.int32)
    return np.asarray(value, feature.dtype)


def _reversed(values: dict[str, Any]) -> dict[str, Any]:
    values["inputs"], values["targets"] = values["targets"], values["inputs"]
    return values


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    values["targets"] = values["inputs"]
    return values


_SUFFIX_RULES = {"_rev": _reversed, "_copy": _copied}
