"""Chunks: runs of consecutive steps of one writer, shared by the items over them.

A store is an array of `slots`, each with room for K steps of every column. Step
`k` of slot `s` is *row* s·K + k. A slot is leased to a writer, filled, committed,
and never written again until its last reference has gone.

Axis letters: N items, T steps of a window, K steps of a chunk.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from t2t.replay.columns import Signature, allocate, ordered
from t2t.replay.packing import PackedColumn


class OutOfSlots(RuntimeError):
    """All chunks are referenced: items must go before a new one can come."""


def path_of(folder: Path, name: str, signature: Signature) -> Path:
    """Of a column's file: by number, as a name may be anything."""
    return folder / f"{list(signature).index(name):03d}.column"


class ChunkStore:
    """Preallocated chunks of one signature, with reference counts.

    Args:
      signature: of a step.
      slots: chunks that the store can hold.
      steps: K, steps of a chunk.
      folder: where columns are kept as files; in memory by default.
      shared: the folder is in memory, for other processes to look into.
      packing: {column: how it is packed}, see `t2t.replay.packing`; the others are
        arrays.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        slots: int,
        steps: int,
        folder: Path | None = None,
        shared: bool = False,
        packing: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.shared = folder, shared
        self.signature, self.slots, self.steps = ordered(signature), slots, steps
        unknown = [name for name in packing or {} if name not in signature]
        if unknown:
            raise ValueError(
                f"packing names {unknown[0]!r}, but a step has {', '.join(signature)}"
            )
        self.packed = {
            name: PackedColumn(how, slots, steps, *signature[name])
            for name, how in (packing or {}).items()
        }
        if shared and (folder is None or self.packed):
            raise ValueError("shared columns need a folder, and cannot be packed")
        self.columns = {
            name: allocate(
                slots * steps,
                column,
                path=None if folder is None else path_of(folder, name, self.signature),
                touch=shared or folder is None,
            )
            for name, column in self.signature.items()
            if name not in self.packed
        }
        self.references = np.zeros(slots, np.int64)
        # Counts leases: a reader that gathers on its own sees what has changed.
        self.generations = np.zeros(slots, np.int64)
        self.sealed = np.zeros(slots, bool)  # filled, and not to change any more
        self._free = list(range(slots))[::-1]

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def nbytes(self) -> int:
        """That the columns take."""
        packed = sum(column.nbytes for column in self.packed.values())
        return packed + sum(column.nbytes for column in self.columns.values())

    def lease(self) -> int:
        """A slot to fill, with one reference, the writer's.

        Raises:
          OutOfSlots: when none is free.
        """
        if not self._free:
            raise OutOfSlots(f"all {self.slots} chunks are in use")
        slot = self._free.pop()
        self.references[slot] = 1
        self.generations[slot] += 1
        self.sealed[slot] = False
        return slot

    def views(self, slot: int, count: int) -> dict[str, np.ndarray]:
        """The first `count` steps of a leased slot, to be written into, then sealed."""
        rows = slice(slot * self.steps, slot * self.steps + count)
        return {
            name: self.packed[name].view(slot)[:count]
            if name in self.packed
            else self.columns[name][rows]
            for name in self.signature
        }

    def seal(self, slot: int) -> None:
        """A slot has been filled; it will not change any more."""
        self.sealed[slot] = True
        for column in self.packed.values():
            column.seal(slot)

    def read(self, name: str, slots: np.ndarray) -> np.ndarray:
        """Whole chunks of a column, [N] -> [N, K, …]."""
        if name in self.packed:
            return np.stack([self.packed[name].get(slot) for slot in slots.tolist()])
        return self._by_slot(name)[slots]

    def write(self, name: str, slots: np.ndarray, values: np.ndarray) -> None:
        """Puts whole chunks [N, K, …] where they were in another store."""
        if name not in self.packed:
            self._by_slot(name)[slots] = values
            return
        for slot, chunk in zip(slots.tolist(), values, strict=True):
            self.packed[name].put(slot, chunk)

    def _by_slot(self, name: str) -> np.ndarray:
        """An array column as [slots, K, …]."""
        column = self.columns[name]
        return column.reshape(self.slots, self.steps, *column.shape[1:])

    def occupy(self, slots: np.ndarray, generations: np.ndarray) -> np.ndarray:
        """Slots for chunks of another store, the same ones where they are there;
        each with one reference.

        Raises:
          OutOfSlots: when there are too few.
        """
        if len(slots) > len(self._free):
            raise OutOfSlots(f"{len(slots)} chunks for {len(self._free)} free slots")
        if len(slots) and slots.max() >= self.slots:
            moved = np.array([self.lease() for _ in slots], np.int64)
            self.sealed[moved] = True
            return moved
        taken = np.zeros(self.slots, bool)
        taken[slots] = True
        self._free = [slot for slot in self._free if not taken[slot]]
        self.references[slots] = 1
        self.sealed[slots] = True
        self.generations[slots] = generations
        return slots.copy()

    def retain(self, slots: np.ndarray) -> None:
        """Adds a reference for each entry; a slot may occur more than once."""
        np.add.at(self.references, slots, 1)

    def release(self, slots: np.ndarray) -> None:
        """Takes a reference for each entry; slots without any become free."""
        np.subtract.at(self.references, slots, 1)
        gone = np.unique(slots[self.references[slots] == 0]).tolist()
        self._free.extend(gone)
        for column in self.packed.values():
            for slot in gone:
                column.drop(slot)

    def slots_of(self, rows: np.ndarray) -> np.ndarray:
        """Each slot that a window touches, once a window; rows [N, T] -> [·].

        The steps of a window follow one another, so its slots change in order.
        """
        slots = rows // self.steps
        changes = np.ones(slots.shape, bool)
        changes[:, 1:] = slots[:, 1:] != slots[:, :-1]
        return slots[changes]

    def gather(self, name: str, rows: np.ndarray) -> np.ndarray:
        """rows [N, T] of a column -> [N, T, …]."""
        if name in self.packed:
            return self.packed[name].gather(rows // self.steps, rows % self.steps)
        return np.take(self.columns[name], rows, axis=0, mode="clip")
