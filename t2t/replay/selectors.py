"""Which item is sampled next, or removed next.

A selector knows the items of a table by their places (0 … capacity-1) and their
priorities. Ordered ones (fifo, lifo, min_heap, max_heap) name one item until it
goes; random ones (uniform, prioritized, epoch) draw. All work on whole batches.

Rules taken over from Reverb: heaps and queues give probability 1, uniform 1/size;
when all priorities are zero, prioritized draws uniformly; among equal priorities
a heap gives the one that was set longest ago.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from t2t.names import close_to
from t2t.replay.sum_tree import SumTree

Places = np.ndarray  # int64 [N], each once unless said otherwise
State = dict[str, np.ndarray]
Copy = Callable[[np.ndarray], np.ndarray]


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

    def snapshot(self, copy: Copy = np.copy) -> Callable[[], State]:
        """Copies now, in milliseconds for a million items; what it returns makes of
        them, on any thread, the state from which `restore` goes on exactly."""
        ...

    def restore(self, state: State) -> None: ...


class _Ordered:
    """A place is stamped anew when it enters or changes; an entry with a stamp that is
    not its place's is stale, and passed over."""

    ordered = True

    def __init__(self, capacity: int) -> None:
        self._stamps = np.zeros(capacity, np.int64)  # 0 where nothing is

    def delete(self, places: Places) -> None:
        self._stamps[places] = 0

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Places, np.ndarray]:
        raise NotImplementedError("an ordered selector does not draw")

    def snapshot(self, copy: Copy = np.copy) -> Callable[[], State]:
        # The stamps say it all: a stale entry is one whose stamp is another.
        stamps = copy(self._stamps)
        return lambda: {"entries": _by_stamp(stamps)}


def _by_stamp(stamps: np.ndarray) -> np.ndarray:
    """[·, 2] of (stamp, place) of the places that are there, the oldest first."""
    places = np.flatnonzero(stamps)
    pairs = np.stack([stamps[places], places], axis=1)
    return pairs[np.argsort(pairs[:, 0])]


class Fifo(_Ordered):
    """The item that has been there longest.

    Entries are in a ring, which is larger than the places are many so that it is
    seldom that stale ones must be squeezed out. The stamp of an entry is its position
    plus one, so that none is 0.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._ring = np.zeros(capacity + capacity // 4 + 64, np.int64)
        self._head = self._tail = 0  # positions, which are taken modulo its length

    def insert(self, places: Places, priorities: np.ndarray) -> None:
        if self._tail + len(places) - self._head > len(self._ring):
            self._squeeze()
        positions = np.arange(self._tail, self._tail + len(places))
        self._ring[positions % len(self._ring)] = places
        self._stamps[places] = positions + 1
        self._tail += len(places)

    def update(self, places: Places, priorities: np.ndarray) -> None:
        pass

    def first(self, n: int) -> Places:
        ring, stamps = self._ring, self._stamps
        while self._head < self._tail:
            place = ring[self._head % len(ring)]
            if stamps[place] == self._head + 1:
                break
            self._head += 1
        if n == 1 and self._head < self._tail:
            return np.array([place])
        found, start, width = [ring[:0]], self._head, n + 16
        while start < self._tail and sum(map(len, found)) < n:
            stop = min(self._tail, start + width)
            found.append(self._valid(start, stop))
            start, width = stop, 2 * width
        return np.concatenate(found)[:n]

    def reset(self) -> None:
        self._stamps[:] = 0
        self._head = self._tail = 0

    def restore(self, state: State) -> None:
        self.reset()
        places = state["entries"][:, 1]
        self.insert(places, places)

    def _valid(self, start: int, stop: int) -> Places:
        """Of the entries at these positions, in order, those that are not stale."""
        positions = np.arange(start, stop)
        places = self._ring[positions % len(self._ring)]
        return places[self._stamps[places] == positions + 1]

    def _squeeze(self) -> None:
        places = self._valid(self._head, self._tail)
        self._head = self._tail
        self.insert(places, places)


class Lifo(Fifo):
    """The item that came last."""

    def first(self, n: int) -> Places:
        ring, stamps = self._ring, self._stamps
        while self._head < self._tail:
            place = ring[(self._tail - 1) % len(ring)]
            if stamps[place] == self._tail:
                break
            self._tail -= 1
        if n == 1 and self._head < self._tail:
            return np.array([place])
        found, stop, width = [ring[:0]], self._tail, n + 16
        while stop > self._head and sum(map(len, found)) < n:
            start = max(self._head, stop - width)
            found.append(self._valid(start, stop)[::-1])
            stop, width = start, 2 * width
        return np.concatenate(found)[:n]


class MinHeap(_Ordered):
    """The item of least priority."""

    sign = 1.0

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # (rank, stamp, place): of equal ranks the one that was set longest ago is first
        self._heap: list[tuple[float, int, int]] = []
        self._counter = itertools.count(1)
        self._ranks = np.zeros(capacity)  # of each place; what a snapshot copies

    def insert(self, places: Places, priorities: np.ndarray) -> None:
        self._ranks[places] = ranks = self.sign * priorities
        stamps = list(itertools.islice(self._counter, len(places)))
        self._stamps[places] = stamps
        for entry in zip(ranks.tolist(), stamps, places.tolist(), strict=True):
            heapq.heappush(self._heap, entry)
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

    def snapshot(self, copy: Copy = np.copy) -> Callable[[], State]:
        stamps, ranks = copy(self._stamps), copy(self._ranks)

        def state() -> State:
            entries = _by_stamp(stamps)
            return {"entries": entries, "ranks": ranks[entries[:, 1]]}

        return state

    def restore(self, state: State) -> None:
        stamps, places = state["entries"].T
        self._stamps[places] = stamps
        self._counter = itertools.count(int(stamps.max(initial=0)) + 1)
        self._ranks[places] = state["ranks"]
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

    def snapshot(self, copy: Copy = np.copy) -> Callable[[], State]:
        dense = copy(self._dense[: self.size])
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

    def snapshot(self, copy: Copy = np.copy) -> Callable[[], State]:
        dense, left = super().snapshot(copy), np.array(self._left)
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

    def snapshot(self, copy: Copy = np.copy) -> Callable[[], State]:
        before, leaves = super().snapshot(copy), copy(self._tree.leaves)

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
