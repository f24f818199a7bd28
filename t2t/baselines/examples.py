"""A split as columns: texts, arrays, and what is to be told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from t2t.features import Feature
from t2t.run.problems import split_examples


@dataclasses.dataclass(frozen=True)
class Examples:
    """features: offered by the problem. columns: {name: texts, or an array [N, …]}."""

    features: dict[str, Feature]
    columns: dict[str, Any]
    target: str

    @property
    def told(self) -> Any:
        """What is to be told: texts, ids [N] or numbers [N, X]."""
        return self.columns[self.target]

    @property
    def inputs(self) -> dict[str, Feature]:
        return {n: f for n, f in self.features.items() if n != self.target}

    def __len__(self) -> int:
        return len(self.told)


def read_examples(
    problem: Any, split: str, *, data_dir: str | Path | None, limit: int = 0
) -> Examples:
    """The first examples of a split; limit 0 for all."""
    read = split_examples(problem, split, data_dir=data_dir, limit=limit)
    features = problem.offered()
    columns: dict[str, Any] = {}
    for name, feature in features.items():
        values = [example[name] for example in read]
        if feature.kind == "text":
            columns[name] = [feature.vocabulary.decode(v.tolist()) for v in values]
        else:
            columns[name] = np.stack(values)
    return Examples(features, columns, problem.TARGET)


def number_errors(found: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """As `t2t.losses.number_metrics` has them; numbers [N, X]."""
    away = np.abs(found - wanted)
    return {
        "absolute_error": float(away.mean()),
        "squared_error": float(np.square(away).mean()),
        "normalised_deviation": float(away.sum() / max(np.abs(wanted).sum(), 1e-9)),
    }
