"""Several servers as one: more machines, more memory, no server knows another.

A writer stays with one shard. A batch is shared out among the shards as uniform
sampling over all their items would: in proportion to their sizes, looked at now and
then. For prioritised tables that holds as long as shards have alike priorities, which
writers that are spread evenly see to.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from t2t.replay.client import Client
from t2t.replay.streams import DeadlinePassed, ReplayError
from t2t.replay.table import Sampled, join

LOOKED_EVERY = 1.0  # seconds between looks at the shards' sizes


class FromShards(NamedTuple):
    """A batch, and the shard of each of its items [N]."""

    sampled: Sampled
    shards: np.ndarray


class Shards:
    """Clients of servers with the same tables.

    Args:
      clients: one a server.
      seed: of the choice of shards.
    """

    def __init__(self, clients: Sequence[Client], *, seed: int = 0) -> None:
        if not clients:
            raise ReplayError("shards: at least one server")
        self.clients = list(clients)
        self._turns = itertools.cycle(self.clients)
        self._rng = np.random.default_rng(seed)
        self._looked: dict[str, tuple[float, np.ndarray]] = {}

    def for_writer(self) -> Client:
        """The shard that the next writer stays with: each in turn."""
        return next(self._turns)

    def sample(self, table: str, n: int, *, timeout: float = 60.0) -> FromShards:
        """n items from all shards.

        Raises:
          DeadlinePassed: when no shard has any in time.
        """
        counts = self._rng.multinomial(n, self._shares(table, timeout))
        parts, origins = [], []
        for shard, count in enumerate(counts.tolist()):
            if count:
                part = self.clients[shard].sample(table, count, timeout=timeout)
                parts.append(part)
                origins.append(np.full(len(part.keys), shard))
        return FromShards(join(parts), np.concatenate(origins))

    def update(self, table: str, batch: FromShards, priorities: np.ndarray) -> int:
        """Sets the priorities [N] of a batch; how many items were still there."""
        count = 0
        for shard, client in enumerate(self.clients):
            own = batch.shards == shard
            if own.any():
                keys = batch.sampled.keys[own]
                count += client.update(table, keys, np.asarray(priorities)[own])
        return count

    def info(self) -> list[dict[str, Any]]:
        """Of each shard."""
        return [client.info() for client in self.clients]

    def _shares(self, table: str, timeout: float) -> np.ndarray:
        """Each shard's share of the items; waits until there are any."""
        until = time.monotonic() + timeout
        while True:
            looked, sizes = self._looked.get(table, (-LOOKED_EVERY, np.zeros(0)))
            if time.monotonic() - looked > LOOKED_EVERY or not sizes.any():
                infos = [info["tables"].get(table) for info in self.info()]
                if None in infos:
                    raise ReplayError(f"a shard has no table {table!r}")
                sizes = np.array([info["size"] for info in infos if info], np.float64)
                self._looked[table] = time.monotonic(), sizes
            if sizes.any():
                return sizes / sizes.sum()
            if time.monotonic() > until:
                raise DeadlinePassed(f"no shard has items of table {table}")
            time.sleep(0.05)
