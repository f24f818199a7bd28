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

from t2t.replay.client import Client
from t2t.replay.sampler import Sampler
from t2t.replay.table import Sampled

ALIGNMENT = 64
KNOWN = ("key", "probability", "priority", "times_sampled", "age", "length")


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
    client: Client,
    table: str,
    batch_size: int,
    *,
    in_flight: int = 2,
    timeout: float = 60.0,
) -> Any:
    """A `tf.data.Dataset` of whole batches, prefetched.

    Args:
      client: of the server.
      table: its name; it must have an item, which tells the shapes.
      batch_size: items of a batch.
      in_flight: batches asked for ahead.
      timeout: seconds that a batch may take.
    """
    first = arrays(client.sample(table, 1, timeout=timeout))
    signature = {
        name: tf.TensorSpec((batch_size, *array.shape[1:]), array.dtype)
        for name, array in first.items()
    }

    def batches() -> Iterator[dict[str, np.ndarray]]:
        sampler = Sampler(
            client, table, batch_size, in_flight=in_flight, timeout=timeout
        )
        try:
            for sampled in sampler:
                yield arrays(sampled)
        finally:
            sampler.close()

    made = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return made.prefetch(2)
