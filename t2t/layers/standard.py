"""Numbers of any scale, brought to mean 0 and variance 1 by what training has seen."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

RATE = 1e-3  # share by which the averages move a step, once 1000 steps have been seen
BOUND = 10.0


class Standard(keras.layers.Layer):
    """(x - mean) / standard deviation over [..., D], within ±10; or x itself.

    The averages are variables, so they are saved with the run and go to its actors
    with the weights. The step moves them, as `followers` says, towards what `sums`
    gives of each batch: the same on one device, on several and in micro-batches.

    Args:
      size: D.
      active: False to pass everything as it is.
    """

    def __init__(self, size: int, *, active: bool, name: str = "standard") -> None:
        super().__init__(name=name, trainable=False, dtype="float32")
        self.active = active
        if active:
            self.mean = self.add_weight(
                name="mean", shape=(size,), initializer="zeros", autocast=False
            )
            self.variance = self.add_weight(
                name="variance", shape=(size,), initializer="ones", autocast=False
            )
        self.built = True

    def call(self, x: Any) -> Any:
        if not self.active:
            return x
        scaled = (x - self.mean) / ops.sqrt(self.variance + 1e-6)
        return ops.clip(scaled, -BOUND, BOUND)

    def restored(self, x: Any) -> Any:
        """What was brought to mean 0 and variance 1, in its own units."""
        if not self.active:
            return x
        return x * ops.sqrt(self.variance + 1e-6) + self.mean

    def sums(self, x: Any, weights: Any) -> dict[str, tuple[Any, Any]]:
        """{statistic: (sum [D], weight)} of rows [B, D] with weights [B]."""
        if not self.active:
            return {}
        total = ops.sum(weights)
        squares = ops.square(x - self.mean)
        return {
            name: (ops.sum(weights[:, None] * values, axis=0), total)
            for name, values in (("mean", x), ("variance", squares))
        }

    def followers(self) -> list[tuple[keras.Variable, str, float]]:
        if not self.active:
            return []
        return [(self.mean, "mean", RATE), (self.variance, "variance", RATE)]
