"""What a sample is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Sampled(NamedTuple):
    """N sampled items, as the table knew them when they were drawn."""

    keys: np.ndarray  # uint64 [N]
    probabilities: np.ndarray  # float64 [N]
    priorities: np.ndarray  # float64 [N]
    times_sampled: np.ndarray  # int64 [N], this batch included
    ages: np.ndarray  # int64 [N]: items inserted since
    lengths: np.ndarray  # int64 [N]: steps of the window, at most T
    size: int  # items of the table
    data: dict[str, np.ndarray]  # [N, T, …] by batch column; empty when not gathered
    rows: np.ndarray  # int64 [N, T], of the store


def join(parts: list[Sampled]) -> Sampled:
    """Several samples of one table as one."""
    if len(parts) == 1:
        return parts[0]
    data = {n: np.concatenate([p.data[n] for p in parts]) for n in parts[0].data}
    arrays = [
        np.concatenate(values) for values in zip(*(p[:6] for p in parts), strict=True)
    ]
    rows = np.concatenate([part.rows for part in parts])
    return Sampled(*arrays, size=parts[-1].size, data=data, rows=rows)


def split(sampled: Sampled, n: int) -> tuple[Sampled, Sampled | None]:
    """The first n items, and the rest, if any."""
    first = part(sampled, slice(0, n))
    rest = part(sampled, slice(n, None)) if len(sampled.keys) > n else None
    return first, rest


def part(sampled: Sampled, chosen: slice) -> Sampled:
    """Some items of a sample."""
    return Sampled(
        *(values[chosen] for values in sampled[:6]),
        size=sampled.size,
        data={name: values[chosen] for name, values in sampled.data.items()},
        rows=sampled.rows[chosen],
    )
