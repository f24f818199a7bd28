"""What a step consists of, and memory for many of them."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from t2t import memory


class Column(NamedTuple):
    """One named value of every step: its shape and its numpy dtype's name."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Of one step."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


Signature = dict[str, Column]  # on the wire and in stores its columns go by name


class BadStep(ValueError):
    """A step that is not of the signature; names the column."""


def ordered(signature: Signature) -> Signature:
    """The same, its columns in the order in which they travel."""
    return dict(sorted(signature.items()))


def step_bytes(signature: Signature) -> int:
    """Of one step."""
    return sum(column.nbytes for column in signature.values())


def plain(signature: Signature) -> dict[str, Any]:
    """The signature as JSON holds it."""
    return {name: [list(c.shape), c.dtype] for name, c in signature.items()}


def from_plain(value: dict[str, Any]) -> Signature:
    """The inverse of `plain`.

    Raises:
      ValueError: for what is no signature, or a dtype that is not plain numbers.
    """
    signature = {}
    for name, (shape, dtype) in value.items():
        if np.dtype(dtype).hasobject or np.dtype(dtype).kind not in "biufc":
            raise ValueError(f"column {name}: {dtype} is not a dtype of plain numbers")
        if any(not isinstance(size, int) or size < 0 for size in shape):
            raise ValueError(f"column {name}: {shape} is no shape")
        signature[str(name)] = Column(tuple(shape), np.dtype(dtype).name)
    return ordered(signature)


def signature_of(step: dict[str, Any]) -> Signature:
    """The signature of an example step."""
    arrays = {name: np.asarray(value) for name, value in step.items()}
    return ordered({n: Column(a.shape, a.dtype.name) for n, a in arrays.items()})


def check_step(step: dict[str, Any], signature: Signature) -> dict[str, np.ndarray]:
    """The step as arrays of the signature's dtypes.

    Raises:
      BadStep: for a column that is missing, unknown, or of another shape or kind.
    """
    if step.keys() != signature.keys():
        missing = [*(signature.keys() - step.keys())]
        unknown = [*(step.keys() - signature.keys())]
        raise BadStep(f"a step needs {[*signature]}: missing {missing}, has {unknown}")
    arrays = {}
    for name, column in signature.items():
        array = np.asarray(step[name])
        if array.shape != column.shape or not np.can_cast(
            array.dtype, column.dtype, "same_kind"
        ):
            raise BadStep(
                f"{name} is {array.dtype}{list(array.shape)}: expected "
                f"{column.dtype}{list(column.shape)}"
            )
        arrays[name] = array.astype(column.dtype, copy=False)
    return arrays


def allocate(
    rows: int, column: Column, *, path: Path | None = None, touch: bool = True
) -> np.ndarray:
    """[rows, *shape], page-aligned; in a file when `path` is given.

    A first write into an untouched page costs twenty times a later one, so `touch`
    writes to all of them. A file lets the kernel write cold pages to disk, and lets
    other processes see them. Its blocks are taken now: a disk that is full later would
    end the process by a signal.

    Raises:
      OSError: when there is no room.
    """
    size = max(1, rows * column.nbytes)
    blank = mmap.mmap(-1, size) if path is None else memory.create(path, size)
    array = np.frombuffer(blank, np.uint8, rows * column.nbytes)
    if touch:
        array.fill(0)
    return array.view(column.dtype).reshape(rows, *column.shape)


def attach(path: Path, rows: int, column: Column) -> np.ndarray:
    """The same rows, in another process than the one that allocated them."""
    mapped = memory.attach(path, max(1, rows * column.nbytes))
    array = np.frombuffer(mapped, np.uint8, rows * column.nbytes)
    return array.view(column.dtype).reshape(rows, *column.shape)
