"""Small problems for the tests of t2t.data: pairs, pictures, numbers made up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t import features as features_lib
from t2t.features import Feature
from t2t.problems.problem import Problem
from t2t.text import Bytes, Subwords


class Pairs(Problem):
    """Short pairs; each text holds the number of its example."""

    FEATURES = {"inputs": "text", "targets": "text"}
    SPLITS = {"train": 3, "dev": 1}

    def __init__(self, count: int = 300, name: str = "pairs") -> None:
        self.count, self.name = count, name
        self._vocabulary = Bytes()

    @property
    def features(self) -> dict[str, Feature]:
        one = features_lib.text(self._vocabulary)
        return {"inputs": one, "targets": one}

    def examples(self, split: str, tmp_dir: Path) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng(len(split))
        for i in range(self.count if split == "train" else 20):
            n = int(rng.integers(1, 20))
            yield {"inputs": f"{i}:" + "a" * n, "targets": f"{i}:" + "b" * (21 - n)}


class Learned(Pairs):
    """Pairs whose vocabulary has to be built."""

    def __init__(self, count: int = 300, name: str = "learned") -> None:
        super().__init__(count, name)
        self._vocabulary = Subwords("learned", 300)


class Faulty(Pairs):
    """Its tenth example cannot be encoded."""

    def encode(self, example: dict[str, Any]) -> dict[str, np.ndarray]:
        if example["inputs"].startswith("10:"):
            raise ValueError("a bad line")
        return super().encode(example)


class Pictures(Problem):
    """Tiny pictures with a number; no text at all."""

    FEATURES = {"image": "image", "value": "real"}
    SPLITS = {"train": 2}
    name = "pictures"

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "image": features_lib.image(2, 3, 1),
            "value": Feature("real", (), "float32", ""),
        }

    def examples(self, split: str, tmp_dir: Path) -> Iterator[dict[str, Any]]:
        for i in range(10):
            yield {"image": np.full((2, 3, 1), i, np.uint8), "value": np.float32(i)}


class Numbers(Pairs):
    """Made on the fly: a number and its double."""

    generated = True

    def example(self, split: str, rng: np.random.Generator) -> dict[str, Any]:
        n = int(rng.integers(10**6))
        return {"inputs": str(n), "targets": str(2 * n)}
