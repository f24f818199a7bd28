"""Forecasts without a network: the last season again, and a line through history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from t2t.baselines.examples import Examples, number_errors
from t2t.baselines.learned import linear_numbers


def baselines(
    known: Examples, asked: Examples, *, seasons: Sequence[int]
) -> Iterator[tuple[str, dict[str, float]]]:
    """The seasonal naive forecast of each season, and linear regression."""
    history, wanted = asked.columns["inputs"], asked.told
    yield "last number", number_errors(history[:, -1:], wanted)
    for season in seasons:
        found = seasonal_naive(history, wanted.shape[1], season=season)
        yield f"seasonal naive, {season}", number_errors(found, wanted)
    yield linear_numbers(known, asked)


def seasonal_naive(history: np.ndarray, horizon: int, *, season: int) -> np.ndarray:
    """The last `season` numbers of [N, S] over and over: [N, horizon].

    Hyndman and Athanasopoulos, Forecasting: Principles and Practice, section 5.2.
    """
    last = history[:, -season:]
    return np.tile(last, -(-horizon // season))[:, :horizon]
