"""Streams of encoded examples whose place is a few numbers.

A stream's `next` gives `(reference, example)`. A reference is a JSON value by
which `fetch` finds that example again, so whoever holds examples back (packing,
buckets) can save references instead of arrays. Suffixes (`_rev`, `_copy`) are
applied here: what is on disk is the problem without them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from t2t import registry
from t2t.data.records import Encoded
from t2t.data.shards import Shards

if TYPE_CHECKING:
    from t2t.problems.problem import Problem

Reference = Any
BLOCK = 128  # examples read at once: the shards are slow one by one


class Stream(Protocol):
    """Encoded examples, endless or once; `next` raises StopIteration at the end."""

    @property
    def size(self) -> int | None:
        """Examples an epoch; None when they never repeat."""
        ...

    @property
    def epoch(self) -> float: ...

    def next(self) -> tuple[Reference, Encoded]: ...

    def fetch(self, reference: Reference) -> Encoded: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


def _key(*parts: Any) -> np.ndarray:
    """A 128-bit Philox key that is a pure function of the parts."""
    text = "/".join(map(str, parts)).encode()
    return np.frombuffer(hashlib.sha256(text).digest()[:16], np.uint64)


def rng_at(key: np.ndarray, number: int) -> np.random.Generator:
    """The random generator of example `number`: 2^192 draws from its neighbours'."""
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, number]))


class StoredExamples:
    """The examples of one stored split: one pass in order, or epochs without end.

    Endless, each epoch is a new permutation of all examples (`shuffle`), a pure
    function of (seed, epoch). References are indices of examples.
    """

    def __init__(
        self,
        problem: Problem,
        shards: Shards,
        *,
        shuffle: bool,
        repeat: bool,
        seed: int,
    ) -> None:
        self._problem, self._shards = problem, shards
        self._shuffle, self._repeat = shuffle, repeat
        self._seed_key = (seed, shards.name, shards.split)
        self.size = len(shards)
        self._epoch, self._index = 0, 0
        self._order: tuple[int, np.ndarray] | None = None
        self._block: list[tuple[int, Encoded]] = []  # of what comes next, reversed

    @property
    def epoch(self) -> float:
        return self._epoch + self._index / max(self.size, 1)

    def next(self) -> tuple[int, Encoded]:
        if self._index == self.size:
            if not self._repeat or not self.size:
                raise StopIteration
            self._epoch, self._index = self._epoch + 1, 0
        if not self._block:
            order = self._permutation()[self._index : self._index + BLOCK].tolist()
            examples = self._shards.read(order)
            self._block = list(zip(order, examples, strict=True))[::-1]
        self._index += 1
        reference, example = self._block.pop()
        return reference, self._problem.swap(example)

    def fetch(self, reference: int) -> Encoded:
        return self._problem.swap(self._shards[reference])

    def state(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "index": self._index}

    def restore(self, state: dict[str, Any]) -> None:
        self._epoch, self._index = state["epoch"], state["index"]
        self._block = []

    def _permutation(self) -> np.ndarray:
        if self._order is None or self._order[0] != self._epoch:
            order = np.arange(self.size, dtype=np.uint32)
            if self._shuffle:
                rng_at(_key(*self._seed_key), self._epoch).shuffle(order)
            self._order = (self._epoch, order)
        return self._order[1]


class GeneratedExamples:
    """Examples made on the fly; example n is a pure function of (seed, split, n).

    Raises:
      ValueError: for a split that the problem has not.
    """

    def __init__(
        self, problem: Problem, split: str, *, seed: int, limit: int | None = None
    ) -> None:
        if split not in problem.SPLITS:
            hint = registry.close_to(split, problem.SPLITS)
            raise ValueError(
                f"{problem.name} has no split {split!r}.{hint} "
                f"Splits: {', '.join(problem.SPLITS)}"
            )
        self._problem, self._split, self._limit = problem, split, limit
        self._rng_key = _key(seed, split)
        self.size = limit
        self._index = 0

    @property
    def epoch(self) -> float:
        return self._index / self._limit if self._limit else 0.0

    def next(self) -> tuple[int, Encoded]:
        if self._index == self._limit:
            raise StopIteration
        self._index += 1
        return self._index - 1, self.fetch(self._index - 1)

    def fetch(self, reference: int) -> Encoded:
        rng = rng_at(self._rng_key, reference)
        raw = self._problem.example(self._split, rng)
        return self._problem.swap(self._problem.encode(raw))

    def state(self) -> dict[str, Any]:
        return {"index": self._index}

    def restore(self, state: dict[str, Any]) -> None:
        self._index = state["index"]


class Mixture:
    """Endless streams mixed; whose turn number n is, is a pure function of (seed, n).

    weights: relative shares; None takes size^(1/temperature): temperature 1 mixes
      in proportion to size, a higher one more evenly.
    References are [component, its reference].

    Raises:
      ValueError: for weights that cannot be used.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        *,
        weights: Sequence[float] | None,
        temperature: float = 1.0,
        seed: int,
    ) -> None:
        self._streams = dict(streams)
        self._names = list(streams)
        self._rng_key = _key(seed, "mixture")
        self._shares = np.cumsum(self._weights(weights, temperature))
        self._number = 0
        self._turns: tuple[int, np.ndarray] | None = None
        self.size = None

    @property
    def epoch(self) -> float:
        """Of the component that has been gone through most."""
        return max(stream.epoch for stream in self._streams.values())

    def next(self) -> tuple[list[Any], Encoded]:
        name = self._names[self.turn(self._number)]
        reference, example = self._streams[name].next()
        self._number += 1
        return [name, reference], example

    def turn(self, number: int) -> int:
        """Which component example `number` of the mixture comes from."""
        block, place = divmod(number, BLOCK)
        if self._turns is None or self._turns[0] != block:
            draws = rng_at(self._rng_key, block).random(BLOCK)
            turns = np.searchsorted(self._shares, draws, side="right")
            self._turns = (block, turns)
        return int(self._turns[1][place])

    def fetch(self, reference: list[Any]) -> Encoded:
        name, inner = reference
        return self._streams[name].fetch(inner)

    def state(self) -> dict[str, Any]:
        inner = {name: stream.state() for name, stream in self._streams.items()}
        return {"number": self._number, "streams": inner}

    def restore(self, state: dict[str, Any]) -> None:
        self._number = state["number"]
        for name, stream in self._streams.items():
            stream.restore(state["streams"][name])

    def _weights(
        self, weights: Sequence[float] | None, temperature: float
    ) -> np.ndarray:
        if weights is None:
            sizes = {name: stream.size for name, stream in self._streams.items()}
            for name, size in sizes.items():
                if not size:
                    raise ValueError(f"mixture: {name} has no size, so give weights")
            if not temperature > 0:
                raise ValueError(f"temperature must be above 0, not {temperature}")
            weights = [float(n or 0) ** (1 / temperature) for n in sizes.values()]
        shares = np.asarray(weights, np.float64)
        if len(shares) != len(self._streams) or not (shares > 0).all():
            raise ValueError(
                f"mixture: {len(self._streams)} problems need as many weights above "
                f"0, not {list(weights)}"
            )
        return shares / shares.sum()
