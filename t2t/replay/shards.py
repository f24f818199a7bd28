"""Several servers as one: more machines, more memory, no server knows another.

A writer stays with one shard. A batch is shared out among the shards as sampling
over all their items would: in proportion to what their samplers weigh in all (their
sizes, or sums of priorities), looked at now and then; probabilities are those of that.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from t2t.replay.client import Client
from t2t.replay.clock import Clock, steady
from t2t.replay.sampled import Sampled, join
from t2t.replay.streams import DeadlinePassed, ReplayError

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
      clock: of deadlines, and of the looks at the shards' sizes.
    """

    def __init__(
        self, clients: Sequence[Client], *, seed: int = 0, clock: Clock = steady
    ) -> None:
        if not clients:
            raise ReplayError("shards: at least one server")
        self.clients, self._clock = list(clients), clock
        # One a shard: a batch takes as long as the slowest of them.
        self._threads = concurrent.futures.ThreadPoolExecutor(len(self.clients))
        self._turns = itertools.cycle(self.clients)
        self._rng = np.random.default_rng(seed)
        self._looked: dict[str, tuple[float, np.ndarray]] = {}

    def for_writer(self) -> Client:
        """The shard that the next writer stays with: each in turn."""
        return next(self._turns)

    def sample(self, table: str, n: int, *, timeout: float = 60.0) -> FromShards:
        """n items from all shards, or fewer when no more came in time.

        Raises:
          DeadlinePassed: when no shard has any in time.
        """
        until = self._clock() + timeout
        shares = self._shares(table, until)
        counts = self._rng.multinomial(n, shares)
        asked = {
            shard: self._threads.submit(
                self.clients[shard].sample,
                table,
                int(counts[shard]),
                timeout=max(0.0, until - self._clock()),
            )
            for shard in np.flatnonzero(counts).tolist()
        }
        parts, origins, late = [], [], None
        for shard, answer in asked.items():
            try:
                part = answer.result()
            except DeadlinePassed as error:
                late = error
                continue
            chances = part.probabilities * shares[shard]
            parts.append(part._replace(probabilities=chances))
            origins.append(np.full(len(part.keys), shard))
        if not parts:
            raise late or DeadlinePassed(f"no shard has items of table {table}")
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

    def close(self) -> None:
        """Ends the threads and closes the clients."""
        self._threads.shutdown()
        for client in self.clients:
            client.close()

    def _shares(self, table: str, until: float) -> np.ndarray:
        """Each shard's share of the weights; waits until there are any items."""
        while True:
            looked, weights = self._looked.get(table, (-math.inf, np.zeros(0)))
            if self._clock() - looked > LOOKED_EVERY or not weights.any():
                infos = [info["tables"].get(table) for info in self.info()]
                if None in infos:
                    raise ReplayError(f"a shard has no table {table!r}")
                found = [info.get("weight", 0.0) for info in infos if info]
                weights = np.array(found, np.float64)
                self._looked[table] = self._clock(), weights
            if weights.any():
                return weights / weights.sum()
            if self._clock() > until:
                raise DeadlinePassed(f"no shard has items of table {table}")
            time.sleep(0.05)
