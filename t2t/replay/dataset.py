"""Samples as tensors: the one file here that imports TensorFlow.

    for batch in dataset(client, "t", 64):          a tf.data.Dataset of dicts
    for batch in Tensors(Sampler(client, "t", 64)): the same, without a copy

`Tensors` hands a batch over by DLPack, at a price of microseconds whatever its size.
That is safe because every batch arrives in memory of its own, which the tensor then
keeps; memory must begin at a multiple of 64 bytes, else TensorFlow aborts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from t2t.replay.lines import Lines
from t2t.replay.sampled import Sampled
from t2t.replay.sampler import Sampler

ALIGNMENT = 64
# In the order in which a sample has them.
KNOWN = {
    "key": "uint64",
    "probability": "float64",
    "priority": "float64",
    "times_sampled": "int64",
    "age": "int64",
    "length": "int64",
}


def arrays(sampled: Sampled) -> dict[str, np.ndarray]:
    """The columns of a sample, and what is known of its items as 'info/…'."""
    known: Any = zip(KNOWN, sampled[: len(KNOWN)], strict=True)
    return {**sampled.data, **{f"info/{name}": values for name, values in known}}


def as_tensor(array: np.ndarray) -> Any:
    """A tensor over the same memory where that is safe, else a copy.

    The array must not be written to afterwards.
    """
    aligned = array.ctypes.data % ALIGNMENT == 0 and array.flags.c_contiguous
    if aligned and array.size and array.dtype != np.bool_:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(array)


class Tensors:
    """An iterator of dicts of tensors over a sampler's batches.

    `state` and `restore` keep the count of batches given: what is sampled next is the
    server's to say, whose checkpoint keeps its generator.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler, self.given = sampler, 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        found = arrays(next(self._sampler))
        self.given += 1
        return {name: as_tensor(array) for name, array in found.items()}

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {"given": self.given}

    def restore(self, state: dict[str, Any]) -> None:
        self.given = state["given"]


def dataset(
    client: Lines,
    table: str,
    batch_size: int,
    *,
    in_flight: int = 2,
    workers: int = 1,
    shared: bool = True,
    timeout: float = 60.0,
) -> Any:
    """A `tf.data.Dataset` of whole batches, prefetched.

    Args:
      client: of a server, or of a service in this process.
      table: its name; the first writer tells its shapes, so it must have come.
      batch_size: items of a batch.
      in_flight: batches asked for ahead, on each of `workers` connections.
      shared: gather from the server's memory, where this host has it.
      timeout: seconds that a batch, and the first writer, may take.

    Raises:
      DeadlinePassed: when no writer came in time.
    """
    signature = {
        name: tf.TensorSpec((batch_size, *column.shape), column.dtype)
        for name, column in client.signature(table, timeout=timeout).items()
    }
    signature |= {
        f"info/{name}": tf.TensorSpec((batch_size,), dtype)
        for name, dtype in KNOWN.items()
    }

    def batches() -> Iterator[dict[str, np.ndarray]]:
        sampler = Sampler(
            client,
            table,
            batch_size,
            in_flight=in_flight,
            workers=workers,
            shared=shared,
            timeout=timeout,
        )
        try:
            for sampled in sampler:
                yield arrays(sampled)
        finally:
            sampler.close()

    made = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return made.prefetch(2)
