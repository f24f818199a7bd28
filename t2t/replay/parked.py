"""Requests that wait in a service, for the limiter to allow them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from t2t.replay.sampled import Sampled
from t2t.replay.streams import Stream
from t2t.replay.table import Table

Done = Callable[[Any], None]  # gets the result or an Exception
# A table, and rows [N, T], lengths [N] and priorities [N] of items for it.
Group = tuple[Table, np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass
class Insert:
    stream: Stream
    groups: list[Group]
    done: Done


@dataclasses.dataclass
class Sample:
    wanted: int
    deadline: float  # seconds, by the service's clock
    done: Done
    gather: bool = True
    parts: list[Sampled] = dataclasses.field(default_factory=list)


def without(groups: list[Group], n: int) -> list[Group]:
    """The groups of items without their first n items."""
    rest = []
    for table, rows, lengths, priorities in groups:
        if n < len(rows):
            rest.append((table, rows[n:], lengths[n:], priorities[n:]))
        n = max(0, n - len(rows))
    return rest


def why(name: str, table: Table | None) -> str:
    """Why a sample of a table was not allowed in time."""
    if table is None:
        return f"table {name}: no writer came in time"
    limits = table.config.limits
    if table.size < limits.min_size:
        return (
            f"table {name} has {table.size} items of the {limits.min_size} that "
            "sampling begins with"
        )
    return (
        f"table {name}: {table.limiter.samples} samples of "
        f"{table.limiter.inserts} inserts are all that samples_per_insert="
        f"{limits.samples_per_insert:g} allows"
    )
