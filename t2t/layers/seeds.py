"""Randomness as a pure function of a seed, so that nothing random is stored.

The step opens `random_seed(seed)` around a model's losses, with a seed made from
(run seed, step, replica, micro-batch); an actor gives `act` one made from (run seed,
step). A resumed run, another replica and a rematerialised block therefore draw
exactly the numbers that they should, and checkpoints hold no generator state.

The surprise: the bits come from an integer hash of the position (lowbias32, by
Chris Wellons), not from `keras.random`. XLA fuses it into the neighbouring
operations; Keras's Threefry costs eight times as much on a CPU.
"""

from __future__ import annotations

import contextlib
import math
import threading
import zlib
from collections.abc import Iterator
from typing import Any

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
    """Uniform uint32 bits of a shape, a pure function of the uint32 scalar `seed`.

    With seeds [B] they are [B, *shape], each row a function of its own seed.
    """
    size = 1
    for length in shape:
        size = size * length
    index = ops.cast(ops.arange(size, dtype="int32"), "uint32")
    if len(ops.shape(seed)) == 1:
        shape, seed = (*seed.shape, *shape), seed[:, None]
    return ops.reshape(mix(ops.bitwise_xor(mix(index), seed)), shape)


def salted(seed: Any, salt: str) -> Any:
    """A uint32 seed for one use of `seed` among several, told apart by a name."""
    return mix(
        ops.bitwise_xor(ops.cast(seed, "uint32"), uint32(zlib.crc32(salt.encode())))
    )


def uniform(shape: tuple[int, ...], seed: Any) -> Any:
    """float32 in (0, 1), never 0 and never 1; `seed` as in `random_bits`."""
    bits = ops.right_shift(random_bits(shape, seed), uint32(8))
    return (ops.cast(ops.cast(bits, "int32"), "float32") + 0.5) / 2.0**24


def normal(shape: tuple[int, ...], seed: Any) -> Any:
    """Standard normal float32 (Box and Muller); `seed` as in `random_bits`."""
    radius = ops.sqrt(-2.0 * ops.log(uniform(shape, salted(seed, "radius"))))
    return radius * ops.cos(2.0 * math.pi * uniform(shape, salted(seed, "angle")))


def gumbel(shape: tuple[int, ...], seed: Any) -> Any:
    """Standard Gumbel float32: the argmax of logits plus it draws from softmax."""
    return -ops.log(-ops.log(uniform(shape, seed)))
