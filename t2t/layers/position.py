"""Positions of their own: sinusoids, learned embeddings, rotary angles.

Those by distance are in `t2t.layers.relative`. All take explicit integer positions
[B, T], because packed rows restart them.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


def sinusoids(positions: Any, size: int, *, last: int = 1) -> Any:
    """Sines beside cosines at geometric wavelengths, [B, T] -> [B, T, size].

    Vaswani et al. (arXiv:1706.03762) section 3.5, laid out as Tensor2Tensor does:
    the first half sines, the second cosines, wavelengths 2π to 20 000π.

    Args:
      last: 1 for these; 0 for those of the paper's formula, whose longest is shorter.
    """
    half = size // 2
    step = math.log(10_000.0) / max(half - last, 1)
    rates = ops.exp(ops.arange(half, dtype="float32") * -step)  # [size/2]
    angles = ops.cast(positions, "float32")[..., None] * rates  # [B, T, size/2]
    signal = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
    return ops.pad(signal, [[0, 0], [0, 0], [0, size % 2]])


def rotate(x: Any, positions: Any, *, wavelength: float = 10_000.0) -> Any:
    """Rotary embedding (RoFormer, arXiv:2104.09864), first half with second half.

    With three positions a token, of four neighbouring pairs two turn by the first
    and one by each of the others: every axis has fast and slow pairs (as Qwen3-Omni,
    arXiv:2509.17765, interleaves them).

    Args:
      x: [B, T, H, K], K even.
      positions: int [B, T], or [B, T, 3].
    """
    half = x.shape[-1] // 2
    rates = ops.exp(
        ops.arange(half, dtype="float32") * (-math.log(wavelength) / half)
    )  # [K/2]
    turns = ops.cast(positions, "float32")
    if len(positions.shape) == 3:
        axes = [(0, 1, 0, 2)[j % 4] for j in range(half)]
        turns = ops.stack([turns[..., a] for a in axes], axis=-1)[:, :, None]
    else:
        turns = turns[..., None, None]
    angles = turns * rates  # [B, T, 1, K/2]
    sin = ops.cast(ops.sin(angles), x.dtype)
    cos = ops.cast(ops.cos(angles), x.dtype)
    first, second = x[..., :half], x[..., half:]
    return ops.concatenate(
        [first * cos - second * sin, second * cos + first * sin], axis=-1
    )


class LearnedPositions(keras.layers.Layer):
    """A trained vector for each position below `max_length`."""

    def __init__(self, max_length: int, size: int, *, name: str = "positions") -> None:
        super().__init__(name=name)
        self.max_length, self.size = max_length, size

    def build(self, positions_shape: Any) -> None:
        self.table = self.add_weight(
            shape=(self.max_length, self.size),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="table",
        )

    def call(self, positions: Any) -> Any:
        """int [B, T] -> [B, T, D]; later positions share the last vector."""
        return ops.take(self.table, ops.minimum(positions, self.max_length - 1), axis=0)
