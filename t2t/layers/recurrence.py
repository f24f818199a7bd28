"""An LSTM (Hochreiter and Schmidhuber 1997) over packed rows.

Keras's LSTM cannot reset its state inside a row; packed rows need it.
Axis letters: B batch, T time, D units.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class LSTM(keras.layers.Layer):
    """x [B, T, D'] -> h [B, T, D]; the state starts at zero in each segment."""

    def __init__(
        self, units: int, *, reverse: bool = False, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.units, self.reverse = units, reverse
        self.project = keras.layers.Dense(4 * units, name="input")
        self.recurrent = keras.layers.Dense(
            4 * units, use_bias=False, kernel_initializer="orthogonal", name="recurrent"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.project.build(input_shape)
        self.recurrent.build((*input_shape[:-1], self.units))

    def step(self, projected: Any, h: Any, c: Any) -> tuple[Any, Any]:
        """One step of any leading shape: projected [..., 4D], h and c [..., D]."""
        gates = projected + self.recurrent(h)
        i, f, o, g = ops.split(gates, 4, axis=-1)
        # The forget gate opens by 1, as in Jozefowicz et al. 2015.
        c = ops.sigmoid(f + 1.0) * c + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(c), c

    def call(self, x: Any, segments: Any) -> Any:
        projected = ops.transpose(self.project(x), (1, 0, 2))  # [T, B, 4D]
        along = ops.transpose(segments)  # [T, B]
        if self.reverse:
            projected, along = ops.flip(projected, axis=0), ops.flip(along, axis=0)
        before = ops.pad(along, [[1, 0], [0, 0]])[:-1]
        same = ops.cast(ops.equal(along, before), projected.dtype)[..., None]

        def step(state: tuple[Any, Any], at: tuple[Any, Any]) -> tuple[Any, Any]:
            h, c = state
            gates, keep = at
            h, c = self.step(gates, h * keep, c * keep)
            return (h, c), h

        zeros = ops.zeros((ops.shape(x)[0], self.units), projected.dtype)
        _, outputs = ops.scan(step, (zeros, zeros), (projected, same))
        if self.reverse:
            outputs = ops.flip(outputs, axis=0)
        return ops.transpose(outputs, (1, 0, 2))
