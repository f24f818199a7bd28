"""A server's columns, mapped by a client on the same host: nothing is copied twice.

A writer fills slots that the server granted it; what travels is their numbers. A
sampler gets the rows of its items, which stay pinned until it says that it has
gathered them. So a slot never has a writer and a reader at the same time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from t2t.replay.chunks import path_of
from t2t.replay.columns import attach, from_plain


class Mapping:
    """The columns of a store, by its `Service.mapping`.

    Raises:
      OSError: when the files are not there: the server is on another host.
    """

    def __init__(self, described: dict[str, Any]) -> None:
        self.steps = int(described["steps"])
        signature = from_plain(described["signature"])
        rows, folder = int(described["slots"]) * self.steps, Path(described["folder"])
        self.columns = {
            name: attach(path_of(folder, name, signature), rows, column)
            for name, column in signature.items()
        }

    def views(self, slot: int) -> dict[str, np.ndarray]:
        """All steps of a granted slot, to be written into."""
        rows = slice(slot * self.steps, (slot + 1) * self.steps)
        return {name: column[rows] for name, column in self.columns.items()}

    def gather(self, name: str, rows: np.ndarray) -> np.ndarray:
        """rows [N, T] of a column -> [N, T, …], a copy."""
        return np.take(self.columns[name], rows, axis=0, mode="clip")


def attached(described: dict[str, Any] | None) -> Mapping | None:
    """The mapping, where the server offers one and this host has it."""
    if described is None:
        return None
    try:
        return Mapping(described)
    except OSError:
        return None
