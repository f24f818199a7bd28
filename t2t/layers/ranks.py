"""Numbers of any scale, by how many steps of a fixed ladder they stand above."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

# Each whole number where it matters which, then ever wider steps, on both sides of 0.
_NEAR = np.arange(-10, 11)
_FAR = np.array(
    [12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500]
    + [1_000, 3_000, 10_000, 100_000, 1_000_000]
)
LADDER = np.concatenate([-_FAR[::-1], _NEAR, _FAR]).astype(np.float32)
MEAN, SCALE = 0.5, 4.0


class Ranks(keras.layers.Layer):
    """[B, D] -> [B, 2 D]: r and r², with r in ±2 the rank among `LADDER`.

    After MLGO, whose ranks are among the quantiles of a corpus, squares beside them
    (arXiv:2101.04808); a fixed ladder needs no corpus, and is the same for any other.
    """

    def call(self, x: Any) -> Any:
        above = ops.cast(x[..., None] >= LADDER, "float32")
        rank = (ops.mean(above, axis=-1) - MEAN) * SCALE
        return ops.concatenate([rank, ops.square(rank)], axis=-1)
