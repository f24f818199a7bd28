"""Bytes from one process to another through shared memory, with bells to sleep by.

A file holds two rings, from the compiler and to it; little-endian, 64-byte lines:

    line 0   "t2tring1", u64 bytes of each ring's data
    then for each ring: u64 bytes written so far; u64 bytes read so far; u32 1 while its
    reader sleeps; u32 1 while its writer does (a line each); the data

Who sleeps says so, looks once more, and waits for a byte in a fifo of its own: BASE.out
wakes the host, BASE.in the compiler. Who has written or read looks whether the other
one sleeps. The fifos tell of a dead partner, too.
"""

from __future__ import annotations

import mmap
import struct
import threading
from pathlib import Path

from t2t import memory

MAGIC = b"t2tring1"
LINE = 64
_LINES = 4  # before each ring's data
_START = struct.Struct("<8sQ")
CAPACITY = 1 << 20


def size_of(capacity: int) -> int:
    """Bytes of the file."""
    return LINE + 2 * (_LINES * LINE + capacity)


class Pair:
    """Both rings of a file: the first from the compiler, the second to it."""

    def __init__(self, mapped: mmap.mmap, capacity: int) -> None:
        self._mapped = mapped
        self._view = memoryview(mapped)
        second = LINE + _LINES * LINE + capacity
        self.rings = (
            Ring(self._view, LINE, capacity),
            Ring(self._view, second, capacity),
        )

    @classmethod
    def create(cls, path: Path, *, capacity: int = CAPACITY) -> Pair:
        """A new file, all empty."""
        mapped = memory.create(path, size_of(capacity))
        mapped[: _START.size] = _START.pack(MAGIC, capacity)
        return cls(mapped, capacity)

    @classmethod
    def attach(cls, path: Path) -> Pair:
        """The file that a host made.

        Raises:
          ValueError: when it is none.
        """
        with open(path, "rb") as file:
            start = file.read(_START.size)
        magic, capacity = _START.unpack(start.ljust(_START.size, b"\0"))
        if magic != MAGIC or path.stat().st_size != size_of(capacity):
            raise ValueError(f"{path} holds no rings")
        return cls(memory.attach(path, size_of(capacity)), capacity)

    def close(self) -> None:
        for ring in self.rings:
            ring.close()
        self._view.release()
        self._mapped.close()


class Ring:
    """One direction: one process writes, another one reads."""

    def __init__(self, view: memoryview, at: int, capacity: int) -> None:
        lines = [view[at + n * LINE : at + n * LINE + 8] for n in range(_LINES)]
        self._written, self._read = lines[0].cast("Q"), lines[1].cast("Q")
        self._reader_sleeps, self._writer_sleeps = (
            line[:4].cast("I") for line in lines[2:]
        )
        start = at + _LINES * LINE
        self._data, self._capacity = view[start : start + capacity], capacity
        self._parts = [*lines, self._data]
        # Neither compiler nor processor may move a write past the count that
        # announces it: an unlock and a lock between them see to that.
        self._fence = threading.Lock()
        self._fence.acquire()

    def write(self, data: memoryview) -> int:
        """Writes what there is room for; how much that was."""
        head = self._written[0]
        size = min(len(data), self._capacity - (head - self._read[0]))
        if size:
            at = head % self._capacity
            first = min(size, self._capacity - at)
            self._data[at : at + first] = data[:first]
            self._data[: size - first] = data[first:size]
            self._barrier()
            self._written[0] = head + size
        return size

    def read(self) -> bytes:
        """All that is there.

        Raises:
          ValueError: when the counts make no sense.
        """
        tail = self._read[0]
        size = self._written[0] - tail
        if not size:
            return b""
        if not 0 < size <= self._capacity:
            raise ValueError(f"a ring of {self._capacity} bytes that holds {size}")
        self._barrier()
        at = tail % self._capacity
        first = min(size, self._capacity - at)
        data = bytes(self._data[at : at + first])
        if first < size:
            data += bytes(self._data[: size - first])
        self._barrier()
        self._read[0] = tail + size
        return data

    def empty(self) -> bool:
        return self._written[0] == self._read[0]

    def full(self) -> bool:
        return self._written[0] - self._read[0] == self._capacity

    def reader_sleeps(self, sleeps: bool) -> None:
        """Said by the reader, who has to look once more before it does."""
        self._reader_sleeps[0] = sleeps
        self._barrier()

    def writer_sleeps(self, sleeps: bool) -> None:
        """Said by the writer, who has to look once more before it does."""
        self._writer_sleeps[0] = sleeps
        self._barrier()

    def has_sleeping_reader(self) -> bool:
        """Asked by the writer after a write."""
        self._barrier()
        return bool(self._reader_sleeps[0])

    def has_sleeping_writer(self) -> bool:
        """Asked by the reader after a read."""
        self._barrier()
        return bool(self._writer_sleeps[0])

    def _barrier(self) -> None:
        self._fence.release()
        self._fence.acquire()

    def close(self) -> None:
        for part in (self._written, self._read, *self._parts):
            part.release()
        self._reader_sleeps.release()
        self._writer_sleeps.release()
