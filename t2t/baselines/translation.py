"""Outputs without a network: the input itself, and what the nearest example has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from t2t import metrics as metrics_lib
from t2t.baselines.examples import Examples
from t2t.baselines.learned import weighed

PART = 500  # inputs compared at a time


def baselines(
    known: Examples, asked: Examples, *, metrics: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, float]]]:
    """A copy of the input, and a translation memory of the training split."""
    given, wanted = asked.columns["inputs"], asked.told
    yield "copy of the input", metrics_lib.scores(metrics, wanted, given)
    found = [known.told[i] for i in nearest(known, asked)]
    yield "nearest example's", metrics_lib.scores(metrics, wanted, found)


def nearest(known: Examples, asked: Examples) -> np.ndarray:
    """The training example whose input is the most alike, by the cosine of TF-IDF."""
    x, other = weighed(known, asked)
    parts = [
        np.asarray((other[i : i + PART] @ x.T).argmax(axis=1)).reshape(-1)
        for i in range(0, len(asked), PART)
    ]
    return np.concatenate(parts)
