"""Dropout whose mask is a pure function of the seed of the step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t.layers.seeds import current_seed, random_bits, salted, uint32


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
                "t2t.layers.seeds.random_seed(seed)"
            )
        bits = random_bits(ops.shape(x), salted(seed, self.path))
        kept = bits >= uint32(int(self.rate * 2**32))
        return ops.where(kept, x / (1.0 - self.rate), ops.zeros_like(x))
