"""A table: items over chunks, a sampler, a remover and a limiter.

One thread uses it; nothing here waits. What the limiter does not allow now is the
server's to park.

Axis letters: N items, T steps of the longest window.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any, Protocol

import numpy as np

from t2t.replay.chunks import ChunkStore
from t2t.replay.clock import Clock, steady
from t2t.replay.columns import Signature
from t2t.replay.limiter import Limiter, Limits, min_size
from t2t.replay.sampled import Sampled, join
from t2t.replay.selectors import check_selector, draws, make_selector, weight_of
from t2t.replay.snapshot import in_order
from t2t.replay.streams import ReplayError

# In which `Table.look` may go through the items.
ORDERS = ("newest", "oldest", "highest", "lowest")
LOOKED_AT = 20_000  # items at most, for histograms and quantiles


@dataclasses.dataclass(frozen=True)
class Slice:
    """Which steps of an item's window a column of its batches shows."""

    column: str
    start: int = 0
    stop: int | None = None


class Hook(Protocol):
    """Told of what happens to a table, on its thread; it must not wait.

    `event` is 'insert', 'sample', 'update', 'delete' or 'reset'; `places` [N] says
    which items, whose `table.keys`, `table.priorities` and so on may be read.
    """

    def __call__(self, event: str, table: Table, places: np.ndarray) -> None: ...


@dataclasses.dataclass(frozen=True)
class TableConfig:
    """What a table is.

    Args:
      name: by which writers and samplers call it.
      window: T, steps of an item at most.
      max_size: items; one more makes the remover take one away.
      sampler, remover: names in `t2t.replay.selectors`.
      exponent: of priorities, for 'prioritized'.
      remover_exponent: of a remover that is 'prioritized'; `exponent` by default.
      limits: see `t2t.replay.limiter`.
      max_times_sampled: an item goes after so many samples; 0 for never.
      columns: {name in a batch: Slice}; all columns of the whole window by default.
      hooks: see `Hook`.
    """

    name: str
    window: int = 1
    max_size: int = 1_000_000
    sampler: str = "uniform"
    remover: str = "fifo"
    exponent: float = 1.0
    limits: Limits = dataclasses.field(default_factory=lambda: min_size(1))
    max_times_sampled: int = 0
    columns: dict[str, Slice] | None = None
    hooks: tuple[Hook, ...] = ()
    remover_exponent: float | None = None

    def __post_init__(self) -> None:
        for field in ("window", "max_size"):
            if getattr(self, field) < 1:
                raise ValueError(
                    f"table {self.name}: {field} is at least 1, not "
                    f"{getattr(self, field)}"
                )
        for role in (self.sampler, self.remover):
            check_selector(role)
        if min(self.exponent, self.remover_exponent or 0.0) < 0:
            raise ValueError(f"table {self.name}: an exponent is 0 or more")
        if self.limits.min_size > self.max_size:
            raise ValueError(
                f"table {self.name}: min_size={self.limits.min_size} is above "
                f"max_size={self.max_size}, so nothing could ever be sampled"
            )


class Table:
    """Items of one table, over the chunks of a store."""

    def __init__(
        self,
        config: TableConfig,
        store: ChunkStore,
        *,
        seed: int = 0,
        clock: Clock = steady,
    ) -> None:
        self.config, self.store, self.clock = config, store, clock
        self.limiter = Limiter(config.limits)
        self.columns = _columns(config, store)
        # A new item is there before the remover chooses, and may be what it chooses.
        self.capacity = capacity = config.max_size + 1
        self.sampler = make_selector(config.sampler, capacity, exponent=config.exponent)
        exponent = config.remover_exponent
        exponent = config.exponent if exponent is None else exponent
        self.remover = make_selector(config.remover, capacity, exponent=exponent)
        self.rng = np.random.default_rng(seed)
        self.keys = np.zeros(capacity, np.uint64)
        self.rows = np.zeros((capacity, config.window), np.int64)
        self.lengths = np.zeros(capacity, np.int64)
        self.priorities = np.zeros(capacity, np.float64)
        self.times_sampled = np.zeros(capacity, np.int64)
        self.inserted_as = np.zeros(capacity, np.int64)  # the how many-th insert
        self.sampled_as = np.zeros(capacity, np.int64)  # the how many-th sample, last
        self.born = np.zeros(capacity, np.float64)  # seconds, by the clock
        self.max_priority = 1.0
        self.evicted = 0  # items removed because chunks ran out
        self.leases = np.zeros(capacity, np.uint64)  # counts the items of each place
        # Items drawn between a sample and the priorities that came back for it.
        self.staleness: collections.deque[float] = collections.deque(maxlen=256)
        self._stack = np.arange(capacity)[::-1].copy()  # free places, to be popped
        self._free = capacity  # how many of them

    @property
    def size(self) -> int:
        return self.capacity - self._free

    @property
    def free_places(self) -> np.ndarray:
        """In the order in which they were freed; items take the last first."""
        return self._stack[: self._free]

    @free_places.setter
    def free_places(self, places: np.ndarray) -> None:
        self._free = len(places)
        self._stack[: self._free] = places

    @property
    def batch_signature(self) -> Signature:
        """Of one item of a batch: {name: Column([T', …])}, T' the steps it shows."""
        steps, own = range(self.config.window), self.store.signature
        return {
            name: own[s.column]._replace(
                shape=(len(steps[s.start : s.stop]), *own[s.column].shape)
            )
            for name, s in self.columns.items()
        }

    # -- what clients do -------------------------------------------------------------

    def insert(
        self, rows: np.ndarray, lengths: np.ndarray, priorities: np.ndarray
    ) -> np.ndarray:
        """Items over committed rows; their keys. The limiter has been asked.

        Args:
          rows: int64 [N, T]; beyond an item's length its last row is repeated.
          lengths: int64 [N].
          priorities: float64 [N]; NaN stands for the greatest so far.
        """
        priorities = np.where(np.isnan(priorities), self.max_priority, priorities)
        keys, start = np.empty(len(rows), np.uint64), 0
        at_once = len(rows) if self.config.remover == "fifo" else 1
        while start < len(rows):
            # Of a full table an item of this very batch may be the next to go.
            room = self.config.max_size - self.size
            n = max(1, room, at_once if at_once <= self.config.max_size else 1)
            part = slice(start, start + n)
            keys[part] = self._insert(rows[part], lengths[part], priorities[part])
            start += n
        return keys

    def sample(self, n: int, *, gather: bool = True) -> Sampled:
        """n items that the limiter has allowed, gathered; fewer when items run out.

        With `max_times_sampled` items may go while sampling goes on, and it ends
        when fewer than the limiter's min_size are left.
        """
        most = self.config.max_times_sampled
        if not most:
            return self._sampled(*self._draw(n), gather)
        if self.sampler.ordered:
            usable = self.size - self.config.limits.min_size + 1
            places = self.sampler.first(min(n, usable))
            places = np.repeat(places, most - self.times_sampled[places])[:n]
            return self._sampled(places, np.ones(len(places)), gather)
        parts = []
        for place, chance in draws(self.sampler, n, self.rng):
            one = np.array([place]), np.array([chance])
            parts.append(self._sampled(*one, gather))
            if self.size < self.config.limits.min_size:
                break
        return join(parts)

    def update(self, keys: np.ndarray, priorities: np.ndarray) -> int:
        """Sets priorities; keys of items that have gone are passed over.

        Of a key given twice the last priority counts. Returns the number set.
        """
        found, index = self._places(keys)
        if not len(found):
            return 0
        # The last of each: np.unique names the first, so look from the end.
        places, last = np.unique(found[::-1], return_index=True)
        values = np.asarray(priorities, np.float64)[index][::-1][last]
        self.priorities[places] = values
        self.max_priority = max(self.max_priority, float(values.max()))
        if (drawn := self.times_sampled[places] > 0).any():
            since = self.limiter.samples - self.sampled_as[places[drawn]]
            self.staleness.append(float(since.mean()))
        self.sampler.update(places, values)
        self.remover.update(places, values)
        self._tell("update", places)
        return len(places)

    def delete(self, keys: np.ndarray) -> int:
        """Removes items; keys of items that have gone are passed over."""
        places = np.unique(self._places(keys)[0])
        self._remove(places)
        return len(places)

    def reset(self) -> None:
        """Empties the table; the limiter begins anew."""
        self._remove(self.occupied())
        self.sampler.reset()
        self.remover.reset()
        self.limiter.reset()
        self.max_priority = 1.0
        self.staleness.clear()
        self._tell("reset", np.zeros(0, np.int64))

    def evict(self, n: int) -> int:
        """Removes up to n items, as the remover chooses, for want of chunks."""
        n = min(n, self.size)
        self._remove_next(n)
        self.evicted += n
        return n

    def occupied(self) -> np.ndarray:
        """Places of all items, in the order of their insertion."""
        return in_order(self.free_places, self.inserted_as)

    def look(self, n: int, order: str) -> Sampled:
        """Some items without sampling them: the first n in an order of `ORDERS`.

        Raises:
          ReplayError: for another order.
        """
        if order not in ORDERS:
            raise ReplayError(f"there is no order {order!r}: {', '.join(ORDERS)}")
        places = self.occupied()
        if order in ("newest", "oldest"):
            places = places[::-1] if order == "newest" else places
        else:
            ranks = np.argsort(self.priorities[places], kind="stable")
            places = places[ranks[::-1] if order == "highest" else ranks]
        places = places[:n]
        return self._shown(places, np.zeros(len(places)))

    def info(self, *, detail: bool = False) -> dict[str, Any]:
        """Numbers for people and for monitoring, as JSON holds them.

        Args:
          detail: also how priorities and ages are spread, by `LOOKED_AT` items.
        """
        limits = self.limiter
        return {
            **(self._spread() if detail else {}),
            "size": self.size,
            "weight": weight_of(self.sampler, self.size),
            "max_size": self.config.max_size,
            "inserts": limits.inserts,
            "samples": limits.samples,
            "samples_per_insert": limits.samples / max(1, limits.inserts),
            "evicted": self.evicted,
            "staleness": _staleness(self.staleness),
            "sampler": self.config.sampler,
            "remover": self.config.remover,
            "window": self.config.window,
        }

    def insert_restored(
        self, rows: np.ndarray, lengths: np.ndarray, priorities: np.ndarray
    ) -> np.ndarray:
        """Items of a table that was another one; their places."""
        if not len(rows):
            return np.zeros(0, np.int64)
        return self._places(self._insert(rows, lengths, priorities))[0]

    # -- parts -----------------------------------------------------------------------

    def _insert(
        self, rows: np.ndarray, lengths: np.ndarray, priorities: np.ndarray
    ) -> np.ndarray:
        n = len(rows)
        if n > 1:  # the oldest go first, so that there are places for all
            self._remove_next(self.size + n - self.config.max_size)
        self._free -= n
        places = self._stack[self._free : self._free + n][::-1].copy()
        self.leases[places] += np.uint64(1)
        keys = self.leases[places] * np.uint64(self.capacity) + places.astype(np.uint64)
        self.keys[places] = keys
        self.rows[places] = rows
        self.lengths[places] = lengths
        self.priorities[places] = priorities
        self.times_sampled[places] = 0
        self.inserted_as[places] = self.limiter.inserts + np.arange(n)
        self.born[places] = self.clock()
        self.limiter.inserts += n
        self.max_priority = max(self.max_priority, float(priorities.max()))
        self.store.retain(self.store.slots_of(rows))
        self.sampler.insert(places, priorities)
        self.remover.insert(places, priorities)
        self._tell("insert", places)
        if n == 1:
            self._remove_next(self.size - self.config.max_size)
        return keys

    def _draw(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        if self.sampler.ordered:
            return np.repeat(self.sampler.first(1), n), np.ones(n)
        return self.sampler.draw(n, self.rng)

    def _spread(self) -> dict[str, Any]:
        """Histograms and quantiles over the items, or over enough of them."""
        places = np.arange(self.capacity)
        if self.capacity > LOOKED_AT:  # not by `rng`: looking changes no later draw
            rng = np.random.default_rng(self.limiter.inserts)
            places = rng.integers(self.capacity, size=LOOKED_AT)
        places = places[self.keys[places] > 0]
        if not len(places):
            places = self.occupied()[:LOOKED_AT]
        if not len(places):
            return {}
        counts, edges = np.histogram(self.priorities[places], bins=20)
        marks = [0.0, 0.5, 0.9, 0.99, 1.0]
        seconds = np.maximum(self.clock() - self.born[places], 0.0)
        return {
            "looked_at": len(places),
            "priorities": {"counts": counts.tolist(), "edges": edges.tolist()},
            "seconds": np.quantile(seconds, marks).round(3).tolist(),
            "times_sampled": np.quantile(self.times_sampled[places], marks).tolist(),
        }

    def _sampled(
        self, places: np.ndarray, chances: np.ndarray, gather: bool
    ) -> Sampled:
        np.add.at(self.times_sampled, places, 1)
        self.limiter.samples += len(places)
        self.sampled_as[places] = self.limiter.samples
        sampled = self._shown(places, chances, gather=gather)
        self._tell("sample", places)
        if limit := self.config.max_times_sampled:
            self._remove(np.unique(places[self.times_sampled[places] >= limit]))
        return sampled

    def _shown(
        self, places: np.ndarray, chances: np.ndarray, *, gather: bool = True
    ) -> Sampled:
        rows = self.rows[places]
        return Sampled(
            keys=self.keys[places],
            probabilities=chances,
            priorities=self.priorities[places],
            times_sampled=self.times_sampled[places],
            ages=self.limiter.inserts - self.inserted_as[places],
            lengths=self.lengths[places],
            size=self.size,
            data={
                name: self.store.gather(s.column, rows[:, s.start : s.stop])
                for name, s in self.columns.items()
                if gather
            },
            rows=rows,
        )

    def _places(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the items that are still there, and which of `keys` they are."""
        keys = np.asarray(keys, np.uint64)
        places = (keys % np.uint64(self.capacity)).astype(np.int64)
        there = (self.keys[places] == keys) & (keys > 0)
        return places[there], np.flatnonzero(there)

    def _remove_next(self, n: int) -> None:
        """Removes n items, if n is above 0, as the remover chooses."""
        if self.remover.ordered:
            self._remove(self.remover.first(max(0, n)))
            return
        for place, _ in draws(self.remover, n, self.rng):
            self._remove(np.array([place]))

    def _remove(self, places: np.ndarray) -> None:
        if not len(places):
            return
        self._tell("delete", places)
        self.sampler.delete(places)
        self.remover.delete(places)
        self.keys[places] = 0
        self._stack[self._free : self._free + len(places)] = places
        self._free += len(places)
        self.store.release(self.store.slots_of(self.rows[places]))

    def _tell(self, event: str, places: np.ndarray) -> None:
        for hook in self.config.hooks:
            hook(event, self, places)


def _staleness(found: collections.deque[float]) -> dict[str, float] | None:
    """Of the last updates, as `Table.info` says it; None before any."""
    if not found:
        return None
    return {"median": float(np.median(found)), "most": max(found)}


def _columns(config: TableConfig, store: ChunkStore) -> dict[str, Slice]:
    columns = config.columns or {name: Slice(name) for name in store.signature}
    for name, part in columns.items():
        if part.column not in store.signature:
            raise ReplayError(
                f"table {config.name}: {name} shows {part.column!r}, but a step has "
                f"{', '.join(store.signature)}"
            )
        if not len(range(*slice(part.start, part.stop).indices(config.window))):
            raise ReplayError(
                f"table {config.name}: {name} shows no step of a window of "
                f"{config.window}"
            )
    return columns
