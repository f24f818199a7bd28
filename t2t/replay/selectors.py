"""Which item is sampled next, or removed next.

A selector knows the items of a table by their places (0 … capacity-1) and their
priorities. Ordered ones (fifo, lifo, min_heap, max_heap) name one item until it
goes; random ones (uniform, prioritized, epoch) draw. All work on whole batches.

Rules taken over from Reverb: heaps and queues give probability 1, uniform 1/size;
when all priorities are zero, prioritized draws uniformly; among equal priorities
a heap gives the one that was set longest ago.
"""

from __future__ import annotations

import collections
import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from t2t.replay.names import close_to
from t2t.replay.sum_tree import SumTree

Places = np.ndarray  # int64 [N], each once unless said otherwise
State = dict[str, np.ndarray]


class Selector(Protocol):
    """Places enter, change their priority, and leave; some are chosen."""

    ordered: bool

    def insert(self, places: Places, priorities: np.ndarray) -> None: ...

    def update(self, places: Places, priorities: np.ndarray) -> None: ...

    def delete(self, places: Places) -> None: ...

    def first(self, n: int) -> Places:
        """The next n in order, as if each left when chosen; ordered ones only."""
        ...

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Places, np.ndarray]:
        """n places, repeats allowed, and the probability of each; random ones only."""
        ...

    def reset(self) -> None: ...

    def snapshot(self) -> Callable[[], State]:
        """Copies now, in milliseconds for a million items; what it returns makes of
        them, on any thread, the state from which `restore` goes on exactly."""
        ...

    def restore(self, state: State) -> None: ...


class _Ordered:
    """Entries (rank, stamp, place) of which a stale one is passed over.

    A place is stamped anew when it enters or changes; `_stamps` has its valid one.
    """

    ordered = True

    def __init__(self, capacity: int) -> None:
        self._stamps = np.zeros(capacity, np.int64)
        self._counter = itertools.count(1)

    def _stamped(self, places: Places) -> list[tuple[int, int]]:
        """(stamp, place) of each, the stamps new."""
        stamps = list(itertools.islice(self._counter, len(places)))
        self._stamps[places] = stamps
        return list(zip(stamps, places.tolist(), strict=True))

    def delete(self, places: Places) -> None:
        self._stamps[places] = 0

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Places, np.ndarray]:
        raise NotImplementedError("an ordered selector does not draw")

    def snapshot(self) -> Callable[[], State]:
        # The stamps say it all: a stale entry is one whose stamp is another.
        stamps = self._stamps.copy()
        return lambda: {"entries": _by_stamp(stamps)}

    def _restamp(self, pairs: np.ndarray) -> None:
        self._stamps[pairs[:, 1]] = pairs[:, 0]
        self._counter = itertools.count(int(pairs[:, 0].max(initial=0)) + 1)


def _by_stamp(stamps: np.ndarray) -> np.ndarray:
    """[·, 2] of (stamp, place) of the places that are there, the oldest first."""
    places = np.flatnonzero(stamps)
    pairs = np.stack([stamps[places], places], axis=1)
    return pairs[np.argsort(pairs[:, 0])]


class Fifo(_Ordered):
    """The item that has been there longest."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._entries: collections.deque[tuple[int, int]] = collections.deque()

    def insert(self, places: Places, priorities: np.ndarray) -> None:
        self._entries.extend(self._stamped(places))

    def update(self, places: Places, priorities: np.ndarray) -> None:
        pass

    def first(self, n: int) -> Places:
        entries, stamps = self._entries, self._stamps
        while entries and stamps[entries[0][1]] != entries[0][0]:
            entries.popleft()
        valid = (place for stamp, place in entries if stamps[place] == stamp)
        return np.fromiter(itertools.islice(valid, n), np.int64)

    def reset(self) -> None:
        self._stamps[:] = 0
        self._entries.clear()

    def restore(self, state: State) -> None:
        self._restamp(state["entries"])
        self._entries.extend(map(tuple, state["entries"].tolist()))


class Lifo(Fifo):
    """The item that came last."""

    def first(self, n: int) -> Places:
        entries, stamps = self._entries, self._stamps
        while entries and stamps[entries[-1][1]] != entries[-1][0]:
            entries.pop()
        valid = (p for stamp, p in reversed(entries) if stamps[p] == stamp)
        return np.fromiter(itertools.islice(valid, n), np.int64)


class MinHeap(_Ordered):
    """The item of least priority."""

    sign = 1.0

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._heap: list[tuple[float, int, int]] = []
        self._ranks = np.zeros(capacity)  # of each place; what a snapshot copies

    def insert(self, places: Places, priorities: np.ndarray) -> None:
        self._ranks[places] = ranks = self.sign * priorities
        stamped = self._stamped(places)
        for rank, (stamp, place) in zip(ranks.tolist(), stamped, strict=True):
            heapq.heappush(self._heap, (rank, stamp, place))
        self._shrink()

    update = insert

    def first(self, n: int) -> Places:
        taken: list[tuple[float, int, int]] = []
        while self._heap and len(taken) < n:
            entry = heapq.heappop(self._heap)
            if self._stamps[entry[2]] == entry[1]:
                taken.append(entry)
        for entry in taken:
            heapq.heappush(self._heap, entry)
        return np.array([place for _, _, place in taken], np.int64)

    def _shrink(self) -> None:
        """Stale entries are dropped before they outnumber the places."""
        if len(self._heap) > 64 + 2 * len(self._stamps):
            self._heap = [e for e in self._heap if self._stamps[e[2]] == e[1]]
            heapq.heapify(self._heap)

    def reset(self) -> None:
        self._stamps[:] = 0
        self._heap.clear()

    def snapshot(self) -> Callable[[], State]:
        stamps, ranks = self._stamps.copy(), self._ranks.copy()

        def state() -> State:
            entries = _by_stamp(stamps)
            return {"entries": entries, "ranks": ranks[entries[:, 1]]}

        return state

    def restore(self, state: State) -> None:
        self._restamp(state["entries"])
        self._ranks[state["entries"][:, 1]] = state["ranks"]
        pairs = state["entries"].tolist()
        ranks = state["ranks"].tolist()
        self._heap = [(r, *pair) for r, pair in zip(ranks, pairs, strict=True)]
        heapq.heapify(self._heap)


class MaxHeap(MinHeap):
    """The item of greatest priority."""

    sign = -1.0


class Uniform:
    """Every item alike."""

    ordered = False

    def __init__(self, capacity: int) -> None:
        self._dense = np.zeros(capacity, np.int64)  # the places, in any order
        self._where = np.full(capacity, -1, np.int64)  # of each place in `_dense`
        self.size = 0

    def insert(self, places: Places, priorities: np.ndarray) -> None:
        for place in places.tolist():
            self._put(place, self.size)
            self.size += 1

    def update(self, places: Places, priorities: np.ndarray) -> None:
        pass

    def delete(self, places: Places) -> None:
        for place in places.tolist():
            hole = int(self._where[place])
            self.size -= 1
            self._put(int(self._dense[self.size]), hole)
            self._where[place] = -1

    def first(self, n: int) -> Places:
        raise NotImplementedError("a random selector has no order")

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Places, np.ndarray]:
        chosen = self._dense[rng.integers(self.size, size=n)]
        return chosen, np.full(n, 1.0 / self.size)

    def reset(self) -> None:
        self._where[:] = -1
        self.size = 0

    def snapshot(self) -> Callable[[], State]:
        dense = self._dense[: self.size].copy()
        return lambda: {"dense": dense}

    def restore(self, state: State) -> None:
        dense = state["dense"]
        self.size = len(dense)
        self._dense[: self.size] = dense
        self._where[dense] = np.arange(self.size)

    def _put(self, place: int, index: int) -> None:
        self._dense[index] = place
        self._where[place] = index


class Epoch(Uniform):
    """Without replacement: each item once, in random order, then all anew.

    An item that enters takes part in the round under way.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._left = 0  # `_dense[:_left]` has not had its turn in this round

    def insert(self, places: Places, priorities: np.ndarray) -> None:
        for place in places.tolist():
            if self._left < self.size:
                self._put(int(self._dense[self._left]), self.size)
            self._put(place, self._left)
            self._left += 1
            self.size += 1

    def delete(self, places: Places) -> None:
        for place in places.tolist():
            hole = int(self._where[place])
            if hole < self._left:
                self._left -= 1
                self._put(int(self._dense[self._left]), hole)
                hole = self._left
            self.size -= 1
            if hole < self.size:
                self._put(int(self._dense[self.size]), hole)
            self._where[place] = -1

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Places, np.ndarray]:
        chosen, chances = np.empty(n, np.int64), np.empty(n)
        for i in range(n):
            self._left = self._left or self.size
            index = int(rng.integers(self._left))
            chosen[i], chances[i] = self._dense[index], 1.0 / self._left
            self._left -= 1
            last = int(self._dense[self._left])
            self._put(int(chosen[i]), self._left)
            self._put(last, index)
        return chosen, chances

    def reset(self) -> None:
        super().reset()
        self._left = 0

    def snapshot(self) -> Callable[[], State]:
        dense, left = super().snapshot(), np.array(self._left)
        return lambda: {**dense(), "left": left}

    def restore(self, state: State) -> None:
        super().restore(state)
        self._left = int(state["left"])


class Prioritized(Uniform):
    """In proportion to priority^exponent (Schaul et al., arXiv:1511.05952)."""

    def __init__(self, capacity: int, exponent: float = 1.0) -> None:
        super().__init__(capacity)
        self.exponent = exponent
        self._capacity = capacity
        self._tree = SumTree(capacity)

    def insert(self, places: Places, priorities: np.ndarray) -> None:
        super().insert(places, priorities)
        self.update(places, priorities)

    def update(self, places: Places, priorities: np.ndarray) -> None:
        # 0^0 is 1 to numpy, but what has no priority is not to be drawn.
        weights = np.where(priorities > 0, priorities, 0.0) ** self.exponent
        self._tree.update(places, np.where(priorities > 0, weights, 0.0))

    def delete(self, places: Places) -> None:
        super().delete(places)
        self._tree.update(places, np.zeros(len(places)))

    @property
    def total(self) -> float:
        """The sum of priority^exponent."""
        return self._tree.total

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Places, np.ndarray]:
        total = self.total
        if total <= 0:
            return super().draw(n, rng)
        places = self._tree.find(rng.random(n))
        return places, self._tree.weights(places) / total

    def reset(self) -> None:
        super().reset()
        self._tree = SumTree(self._capacity)

    def snapshot(self) -> Callable[[], State]:
        before, leaves = super().snapshot(), self._tree.leaves.copy()

        def state() -> State:
            dense = before()["dense"]
            return {"dense": dense, "weights": leaves[dense]}

        return state

    def restore(self, state: State) -> None:
        super().restore(state)
        self._tree.update(state["dense"], state["weights"])


SELECTORS: dict[str, Any] = {
    "fifo": Fifo,
    "lifo": Lifo,
    "uniform": Uniform,
    "epoch": Epoch,
    "prioritized": Prioritized,
    "min_heap": MinHeap,
    "max_heap": MaxHeap,
}


def check_selector(name: str) -> None:
    """Raises:
    ValueError: for a name that is none of `SELECTORS`.
    """
    if name not in SELECTORS:
        close = close_to(name, SELECTORS)
        raise ValueError(
            f"there is no selector {name!r}.{close} Selectors: {', '.join(SELECTORS)}"
        )


def make_selector(name: str, capacity: int, *, exponent: float = 1.0) -> Selector:
    """A selector by name.

    Raises:
      ValueError: for a name that is none of `SELECTORS`.
    """
    check_selector(name)
    if name == "prioritized":
        return Prioritized(capacity, exponent)
    return SELECTORS[name](capacity)


def weight_of(selector: Selector, size: int) -> float:
    """What all items of a selector weigh together when it draws."""
    total = selector.total if isinstance(selector, Prioritized) else 0.0
    return total or float(size)


def draws(
    selector: Selector, n: int, rng: np.random.Generator
) -> Iterator[tuple[int, float]]:
    """n places one after another, for a table whose items may leave in between."""
    for _ in range(n):
        if selector.ordered:
            yield int(selector.first(1)[0]), 1.0
        else:
            place, chance = selector.draw(1, rng)
            yield int(place[0]), float(chance[0])
