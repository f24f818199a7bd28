"""From a stream of examples to batches of static shape, in numpy.

`Packed` lays several short examples into each row: first fit into all rows of the
batch at once, and those that fit nowhere wait for the next batch. `Rows` gives
each example a row of its own, in one length or several (buckets). Both hold
waiting examples as references, so their state is small and exact.

Fill is real tokens over slots; without text, real rows over rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from t2t.data.records import Encoded
from t2t.data.streams import Reference, Stream
from t2t.features import EOS, Feature
from t2t.sources import Batch

# A packed batch is given out when this many examples have found no room in it.
WAITING = 32


class Batcher:
    """What `Packed` and `Rows` share: length limits, counts, state.

    buckets: {length: rows}, the shapes of batches; the longest is the limit.
    drop_long: drop and count examples above the limit; False cuts them.
    """

    def __init__(
        self,
        stream: Stream,
        features: Mapping[str, Feature],
        *,
        buckets: Mapping[int, int],
        drop_long: bool = True,
    ) -> None:
        self._stream, self._features = stream, features
        self._buckets = dict(sorted(buckets.items()))
        self._max_length, self._drop_long = max(buckets), drop_long
        self.texts = [n for n, f in features.items() if f.sequence]
        self._along = {n: f.along for n, f in features.items() if f.along}
        self._counts = {"real": 0, "slots": 0, "dropped": 0}

    def next(self) -> Batch:
        """The next batch; StopIteration when a one-pass stream is at its end."""
        raise NotImplementedError

    def report(self) -> dict[str, float]:
        slots = max(self._counts["slots"], 1)
        return {
            "fill": self._counts["real"] / slots,
            "dropped": self._counts["dropped"],
            "epoch": self._stream.epoch,
        }

    def state(self) -> dict[str, Any]:
        return {
            "stream": self._stream.state(),
            "waiting": self._waiting(),
            "counts": dict(self._counts),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._stream.restore(state["stream"])
        self._counts = dict(state["counts"])
        self._wait([(ref, self._fit(self._fetch(ref))) for ref in state["waiting"]])

    def _waiting(self) -> list[Reference]:
        raise NotImplementedError

    def _wait(self, examples: list[tuple[Reference, Any]]) -> None:
        raise NotImplementedError

    def _fetch(self, reference: Reference) -> Encoded:
        return self._stream.fetch(reference)

    def _take(self) -> tuple[Reference, Encoded] | None:
        """The next example that fits, or None at the end of the stream.

        Raises:
          ValueError: when a whole epoch had none that fits.
        """
        for _ in range((self._stream.size or 100_000) + 1):
            try:
                reference, example = self._stream.next()
            except StopIteration:
                return None
            fitted = self._fit(example)
            if fitted is not None:
                return reference, fitted
            self._counts["dropped"] += 1
        raise ValueError(
            f"max_length={self._max_length} is too small: no example of a whole "
            "epoch fits"
        )

    def _fit(self, example: Encoded) -> Any:
        """The example, cut to `max_length` where that is asked for, or None."""
        if all(len(example[name]) <= self._max_length for name in self.texts):
            return example
        if self._drop_long:
            return None
        cut = dict(example)
        for name in self.texts:
            if len(example[name]) > self._max_length:
                cut[name] = example[name][: self._max_length].copy()
                if example[name][-1] == EOS:
                    cut[name][-1] = EOS
        for name, text in self._along.items():
            cut[name] = example[name][: len(cut[text])]
        return cut

    def _count(self, batch: Batch) -> None:
        for name in self.texts:
            self._counts["real"] += int(np.count_nonzero(batch[f"{name}_segments"]))
            self._counts["slots"] += batch[name].size
        if not self.texts:
            self._counts["real"] += int(batch["weights"].sum())
            self._counts["slots"] += batch["weights"].size


class Packed(Batcher):
    """Rows of slots for each text feature, shared by several examples.

    All features of one example stand in one row under one segment number, those that
    go along a text in its slots.
    """

    def __init__(
        self,
        stream: Stream,
        features: Mapping[str, Feature],
        *,
        buckets: Mapping[int, int],
        drop_long: bool = True,
    ) -> None:
        super().__init__(stream, features, buckets=buckets, drop_long=drop_long)
        ((_, self._rows),) = self._buckets.items()  # one shape: packing needs no more
        self._held: list[tuple[Reference, Encoded]] = []

    def next(self) -> Batch:
        batch = self._empty()
        used = np.zeros((self._rows, len(self.texts)), np.int64)
        segments = np.zeros(self._rows, np.int64)
        old, self._held = self._held[::-1], []
        while len(self._held) < WAITING:
            taken = old.pop() if old else self._take()
            if taken is None:
                break
            lengths = [len(taken[1][name]) for name in self.texts]
            fits = np.all(used + lengths <= self._max_length, axis=1)
            row = int(np.argmax(fits))
            if not fits[row]:
                self._held.append(taken)
                continue
            segments[row] += 1
            self._lay(batch, taken[1], row=row, start=used[row], segment=segments[row])
            used[row] += lengths
        if not segments.any():
            raise StopIteration
        self._count(batch)
        return batch

    def _empty(self) -> Batch:
        shape = (self._rows, self._max_length)
        batch = {
            name + part: np.zeros(shape, np.int32)
            for name in self.texts
            for part in ("", "_segments", "_positions")
        }
        for name in self._along:
            feature = self._features[name]
            batch[name] = np.zeros((*shape, *feature.shape[1:]), feature.dtype)  # type: ignore
        return batch

    def _lay(
        self, batch: Batch, example: Encoded, *, row: int, start: Any, segment: int
    ) -> None:
        for name, at in zip(self.texts, start, strict=True):
            ids = example[name]
            place = (row, slice(at, at + len(ids)))
            batch[name][place] = ids
            batch[f"{name}_segments"][place] = segment
            batch[f"{name}_positions"][place] = np.arange(len(ids))
            for beside, text in self._along.items():
                if text == name:
                    batch[beside][place] = example[beside]

    def _waiting(self) -> list[Reference]:
        return [reference for reference, _ in self._held]

    def _wait(self, examples: list[tuple[Reference, Any]]) -> None:
        self._held = examples


class Rows(Batcher):
    """One example a row; a batch of shape [rows, length] for each bucket.

    An example goes to the shortest bucket that holds its longest text.
    """

    def __init__(
        self,
        stream: Stream,
        features: Mapping[str, Feature],
        *,
        buckets: Mapping[int, int],
        drop_long: bool = True,
    ) -> None:
        super().__init__(stream, features, buckets=buckets, drop_long=drop_long)
        self._wait([])

    def next(self) -> Batch:
        while (taken := self._take()) is not None:
            length = self._bucket(taken[1])
            self._held[length].append(taken)
            if len(self._held[length]) == self._buckets[length]:
                return self._give(length)
        for length, held in self._held.items():
            if held:
                return self._give(length)
        raise StopIteration

    def _bucket(self, example: Encoded) -> int:
        longest = max((len(example[name]) for name in self.texts), default=0)
        return next(length for length in self._buckets if length >= longest)

    def _give(self, length: int) -> Batch:
        examples = [example for _, example in self._held[length]]
        self._held[length] = []
        rows = self._buckets[length]
        batch: Batch = {"weights": np.zeros(rows, np.float32)}
        batch["weights"][: len(examples)] = 1
        for name, feature in self._features.items():
            arrays = [example[name] for example in examples]
            batch[name] = _stack(arrays, feature, rows=rows, length=length)
        for name in self.texts:
            lengths = np.zeros(rows, np.int32)
            lengths[: len(examples)] = [len(example[name]) for example in examples]
            places = np.arange(length, dtype=np.int32)[None, :]
            real = places < lengths[:, None]
            batch[f"{name}_segments"] = real.astype(np.int32)
            batch[f"{name}_positions"] = np.where(real, places, 0)
        self._count(batch)
        return batch

    def _waiting(self) -> list[Reference]:
        return [ref for held in self._held.values() for ref, _ in held]

    def _wait(self, examples: list[tuple[Reference, Any]]) -> None:
        self._held: dict[int, list[tuple[Reference, Encoded]]] = {
            length: [] for length in self._buckets
        }
        for reference, example in examples:
            self._held[self._bucket(example)].append((reference, example))


def _stack(
    arrays: list[np.ndarray], feature: Feature, *, rows: int, length: int
) -> np.ndarray:
    """[rows, …]: the arrays, a first axis that varies padded to `length`, filler 0."""
    varies = bool(feature.shape) and feature.shape[0] is None
    shape = (length, *arrays[0].shape[1:]) if varies else arrays[0].shape
    stacked = np.zeros((rows, *shape), feature.dtype)
    for row, array in enumerate(arrays):
        if varies:
            stacked[row, : len(array)] = array[:length]
        else:
            stacked[row] = array
    return stacked
