"""The wire: a header, a little JSON, raw arrays. Never pickle.

header  24 bytes: magic, operation, request number, sizes of the two that follow
meta    JSON, at most 1 MB
data    arrays one after another, as meta or the table's signature describes them

Sizes are checked against what may come before anything is allocated.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

import numpy as np

MAGIC = b"t2r1"
_LAYOUT = struct.Struct("<4sB3xIIQ")
HEADER = _LAYOUT.size
MOST_META = 1 << 20

HELLO, OPEN, APPEND, SAMPLE, UPDATE, DELETE, RESET, INFO, CLOSE = range(1, 10)
PUBLISH, FETCH, CHECKPOINT, LOOK, MAP = range(10, 15)
REPLY, REFUSED, LATE = 32, 33, 34

Buffer = bytes | memoryview


class BadFrame(ConnectionError):
    """The other side does not speak this protocol; the connection must go."""


class Header(NamedTuple):
    operation: int
    request: int
    meta: int  # bytes
    data: int  # bytes


def header_of(raw: Buffer) -> Header:
    """The header in 24 bytes.

    Raises:
      BadFrame: when they are none.
    """
    magic, *fields = _LAYOUT.unpack(raw)
    header = Header(*fields)
    if magic != MAGIC:
        raise BadFrame(f"{bytes(raw[:4])!r} is not the beginning of a replay frame")
    if header.meta > MOST_META:
        raise BadFrame(f"{header.meta} bytes of description: at most {MOST_META}")
    return header


def meta_of(raw: Buffer) -> dict[str, Any]:
    """The JSON object in a frame.

    Raises:
      BadFrame: when it is none.
    """
    try:
        meta = json.loads(bytes(raw)) if len(raw) else {}
    except ValueError as error:
        raise BadFrame(f"a frame's description is not JSON: {error}") from None
    if not isinstance(meta, dict):
        raise BadFrame("a frame's description is not a JSON object")
    return meta


def frame(
    operation: int,
    request: int,
    meta: dict[str, Any] | None = None,
    arrays: list[np.ndarray] | None = None,
) -> list[Buffer]:
    """The buffers of a frame, for `sendmsg`; arrays are not copied."""
    described = json.dumps(meta, separators=(",", ":")).encode() if meta else b""
    buffers = [raw for array in arrays or [] if len(raw := flat(array))]
    size = sum(len(raw) for raw in buffers)
    header = _LAYOUT.pack(MAGIC, operation, request, len(described), size)
    return [header + described, *buffers]


def flat(array: np.ndarray) -> memoryview:
    """The bytes of a contiguous array, to be sent or received into."""
    if not array.size:
        return memoryview(b"")
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def describe(arrays: dict[str, np.ndarray]) -> list[Any]:
    """What `arrays_of` needs to know beside the bytes."""
    return [[name, a.dtype.name, list(a.shape)] for name, a in arrays.items()]


def blank(described: list[Any], size: int) -> dict[str, np.ndarray]:
    """Empty arrays as described, whose bytes are `size` in all.

    Raises:
      BadFrame: when they are not.
    """
    try:
        shapes = [(str(n), np.dtype(d), [int(x) for x in s]) for n, d, s in described]
        total = sum(d.itemsize * int(np.prod(s, dtype=object)) for _, d, s in shapes)
        fits = total == size and not any(d.hasobject for _, d, _ in shapes)
    except (TypeError, ValueError) as error:
        raise BadFrame(f"a frame's arrays are not described: {error}") from None
    if not fits or any(x < 0 for _, _, s in shapes for x in s):
        raise BadFrame(f"a frame's arrays are not the {size} bytes that follow")
    return {name: aligned(shape, dtype) for name, dtype, shape in shapes}


def aligned(shape: list[int], dtype: np.dtype) -> np.ndarray:
    """An empty array that begins at a multiple of 64 bytes, as accelerators' and
    TensorFlow's memory does."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)
