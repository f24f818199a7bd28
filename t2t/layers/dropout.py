"""Dropout whose mask is a pure function of a seed, so nothing random is stored.

The step opens `random_seed(seed)` around a model's losses, with a seed made from
(run seed, step, replica, micro-batch). Each `Dropout` mixes in a salt of its own
name. A resumed run, another replica and a rematerialised block therefore draw
exactly the bits that they should, and checkpoints hold no generator state.

The surprise: the bits come from an integer hash of the position (lowbias32, by
Chris Wellons), not from `keras.random`. XLA fuses it into the neighbouring
operations; Keras's Threefry costs eight times as much on a CPU.
"""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

_current = threading.local()


@contextlib.contextmanager
def random_seed(seed: Any) -> Iterator[None]:
    """Makes the scalar `seed` (int, or int32 tensor) that of all dropouts within."""
    outer = current_seed()
    _current.seed = seed
    try:
        yield
    finally:
        _current.seed = outer


def current_seed() -> Any:
    """The seed of the innermost `random_seed`, or None."""
    return getattr(_current, "seed", None)


def mix(value: Any) -> Any:
    """The lowbias32 hash of a uint32 tensor: every input bit moves every output."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        value = ops.bitwise_xor(value, ops.right_shift(value, uint32(shift)))
        value = ops.multiply(value, uint32(factor))
    return ops.bitwise_xor(value, ops.right_shift(value, uint32(16)))


def uint32(value: int) -> Any:
    return ops.convert_to_tensor(value & 0xFFFFFFFF, "uint32")


def random_bits(shape: tuple[int, ...], seed: Any) -> Any:
    """Uniform uint32 bits of a shape, a pure function of the uint32 scalar `seed`."""
    size = 1
    for length in shape:
        size = size * length
    index = ops.cast(ops.arange(size, dtype="int32"), "uint32")
    return ops.reshape(mix(ops.bitwise_xor(mix(index), seed)), shape)


class Dropout(keras.layers.Layer):
    """Zeroes a share `rate` of the values in training and scales up the rest.

    Raises:
      RuntimeError: in training outside of `random_seed`.
    """

    def __init__(self, rate: float, *, name: str | None = None) -> None:
        super().__init__(name=name)
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate lies in [0, 1), not {rate}")
        self.rate = rate

    def call(self, x: Any, *, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return x
        seed = current_seed()
        if seed is None:
            raise RuntimeError(
                "dropout in training needs a seed: wrap the call in "
                "t2t.layers.dropout.random_seed(seed)"
            )
        salt = uint32(zlib.crc32(self.path.encode()))
        salted = mix(ops.bitwise_xor(ops.cast(seed, "uint32"), salt))
        kept = random_bits(ops.shape(x), salted) >= uint32(int(self.rate * 2**32))
        return ops.where(kept, x / (1.0 - self.rate), ops.zeros_like(x))
