"""Columns kept compressed: less memory, more work at each sample.

A packed column is kept as bytes, a chunk at a time; a sample unpacks the chunks that
it touches. `delta` keeps the difference of each step from the one before, which is
small where steps are alike. `auto` tries all on a column's first chunk and keeps to
the smallest, or to plain bytes where nothing saves a fifth.

Off by default, and that is measured: `scripts/bench_replay --rows=packing` prints what
each saves and costs, and a sample of a packed column costs many times that of a plain
one, because a whole chunk is unpacked for a few steps of it.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import numpy as np

from t2t.names import close_to

REMEMBERED = 256  # chunks kept unpacked, those used last


def _lz4() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    from lz4 import block

    return block.compress, block.decompress


def _zstd() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    import zstandard

    return (
        zstandard.ZstdCompressor(level=1).compress,
        zstandard.ZstdDecompressor().decompress,
    )


def _plain() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    return bytes, bytes


LIBRARIES: dict[str, Any] = {"lz4": _lz4, "zstd": _zstd, "plain": _plain}
PACKINGS = ("lz4", "zstd", "delta+lz4", "delta+zstd", "plain")
AUTO = "auto"
SAVED = 0.2  # of the bytes, for which unpacking is worth it


class Packing:
    """How one column is packed: a name in `PACKINGS`.

    Raises:
      ValueError: for another name.
      ImportError: with how to install the library.
    """

    def __init__(self, name: str) -> None:
        if name not in PACKINGS:
            names = ", ".join((*PACKINGS, AUTO))
            close = close_to(name, (*PACKINGS, AUTO))
            raise ValueError(f"there is no packing {name!r}: {names}.{close}")
        self.name, self.delta = name, name.startswith("delta+")
        try:
            library = LIBRARIES[name.removeprefix("delta+")]
            self._compress, self._decompress = library()
        except ImportError as error:
            raise ImportError(
                f"packing {name!r} needs {error.name}: pip install -e '.[replay]'"
            ) from None

    def pack(self, values: np.ndarray) -> bytes:
        """Steps [K, …] as bytes."""
        whole = _as_integers(values)
        if self.delta:
            whole = whole.copy()
            whole[1:] -= whole[:-1].copy()
        return self._compress(whole.tobytes())

    def unpack(self, packed: bytes, like: np.ndarray) -> np.ndarray:
        """The inverse; `like` has the shape and dtype."""
        values = np.frombuffer(self._decompress(packed), like.dtype)
        values = values.reshape(like.shape)
        if self.delta:
            values = values.copy()  # bytes are not to be written to
            whole = _as_integers(values)
            for step in range(1, len(whole)):  # faster than np.add.accumulate
                here = whole[step : step + 1]
                np.add(here, whole[step - 1 : step], out=here)
        return values


def choose(values: np.ndarray) -> str:
    """The packing by which steps [K, …] take the least room.

    Raises:
      ImportError: when neither library is installed.
    """
    sizes, missing = {}, None
    for name in PACKINGS:
        try:
            sizes[name] = len(Packing(name).pack(values))
        except ImportError as error:
            missing = error
    if len(sizes) == 1 and missing is not None:
        raise missing
    # Of equals the first: lz4 unpacks faster than zstd.
    best = min(sizes, key=lambda name: sizes[name])
    return best if sizes[best] <= (1 - SAVED) * values.nbytes else "plain"


def _as_integers(values: np.ndarray) -> np.ndarray:
    """The same bytes as unsigned integers, whose differences wrap around."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


class PackedColumn:
    """The chunks of a column, packed.

    Args:
      packing: a name in `PACKINGS`, or 'auto'.
      slots, steps: of the store.
      shape, dtype: of a step.
    """

    def __init__(
        self, packing: str, slots: int, steps: int, shape: tuple[int, ...], dtype: str
    ) -> None:
        # None until the first chunk says which.
        self._packing = None if packing == AUTO else Packing(packing)
        if packing == AUTO:
            choose(np.zeros((1, 1), np.uint8))  # tells now if no library is there
        self._packed: list[bytes | None] = [None] * slots
        self._blank = np.zeros((steps, *shape), dtype)
        self._filling: dict[int, np.ndarray] = {}
        self._unpacked: collections.OrderedDict[int, np.ndarray] = (
            collections.OrderedDict()
        )
        self.nbytes = 0

    @property
    def packing(self) -> str:
        """By which its chunks are packed; 'auto' before the first."""
        return AUTO if self._packing is None else self._packing.name

    def view(self, slot: int) -> np.ndarray:
        """Room [K, …] to be filled before `seal`."""
        self._filling[slot] = np.zeros_like(self._blank)
        return self._filling[slot]

    def seal(self, slot: int) -> None:
        """Packs what was filled in."""
        self.put(slot, self._filling.pop(slot))

    def put(self, slot: int, values: np.ndarray) -> None:
        self.drop(slot)
        if self._packing is None:
            self._packing = Packing(choose(values))
        packed = self._packing.pack(values)
        self._packed[slot] = packed
        self.nbytes += len(packed)

    def drop(self, slot: int) -> None:
        """Forgets a chunk, filled or packed."""
        self._filling.pop(slot, None)
        self._unpacked.pop(slot, None)
        self.nbytes -= len(self._packed[slot] or b"")
        self._packed[slot] = None

    def get(self, slot: int) -> np.ndarray:
        """[K, …], not to be written to."""
        values = self._unpacked.get(slot)
        if values is None:
            packed = self._packed[slot]
            assert packed is not None, "a chunk is sealed before it is read"
            assert self._packing is not None
            values = self._packing.unpack(packed, self._blank)
            self._unpacked[slot] = values
            if len(self._unpacked) > REMEMBERED:
                self._unpacked.popitem(last=False)
        else:
            self._unpacked.move_to_end(slot)
        return values

    def gather(self, slots: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """[N, T] each -> [N, T, …]."""
        flat, at = slots.ravel(), steps.ravel()
        found = np.empty((len(flat), *self._blank.shape[1:]), self._blank.dtype)
        order = np.argsort(flat, kind="stable")
        borders = np.flatnonzero(np.diff(flat[order])) + 1
        for part in np.split(order, borders):  # of one chunk each
            if len(part):
                found[part] = self.get(int(flat[part[0]]))[at[part]]
        return found.reshape(*slots.shape, *self._blank.shape[1:])
