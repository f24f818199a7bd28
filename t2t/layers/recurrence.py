"""An LSTM (Hochreiter and Schmidhuber 1997) over packed rows.

Keras's LSTM cannot reset its state inside a row; packed rows need it. Keras's
RNN runs the loop: unlike `ops.scan` it tells XLA the number of steps, without
which the gradient does not compile.
Axis letters: B batch, T time, D units.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class _Cell(keras.layers.Layer):
    """One step: [keep, input projection] [B, 1 + 4D] and the state (h, c) [B, D]."""

    def __init__(self, units: int, *, name: str) -> None:
        super().__init__(name=name)
        self.units, self.state_size, self.output_size = units, [units, units], units
        self.recurrent = keras.layers.Dense(
            4 * units, use_bias=False, kernel_initializer="orthogonal", name="recurrent"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.recurrent.build((None, self.units))

    def step(self, projected: Any, h: Any, c: Any) -> tuple[Any, Any]:
        gates = projected + self.recurrent(h)
        i, f, o, g = ops.split(gates, 4, axis=-1)
        # The forget gate opens by 1, as in Jozefowicz et al. 2015.
        c = ops.sigmoid(f + 1.0) * c + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(c), c

    def call(
        self, inputs: Any, states: Any, training: bool = False
    ) -> tuple[Any, list[Any]]:
        keep, projected = inputs[:, :1], inputs[:, 1:]
        h, c = self.step(projected, states[0] * keep, states[1] * keep)
        return h, [h, c]


class LSTM(keras.layers.Layer):
    """x [B, T, D'] -> h [B, T, D]; the state starts at zero in each segment."""

    def __init__(
        self, units: int, *, reverse: bool = False, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.units, self.reverse = units, reverse
        self.project = keras.layers.Dense(4 * units, name="input")
        self.cell = _Cell(units, name="cell")
        self.loop = keras.layers.RNN(
            self.cell, return_sequences=True, go_backwards=reverse, name="loop"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.project.build(input_shape)
        self.loop.build((*input_shape[:-1], 1 + 4 * self.units))

    def step(self, projected: Any, h: Any, c: Any) -> tuple[Any, Any]:
        """One step of any leading shape: projected [..., 4D], h and c [..., D]."""
        return self.cell.step(projected, h, c)

    def call(self, x: Any, segments: Any) -> Any:
        if self.reverse:
            before = ops.pad(segments, [[0, 0], [0, 1]])[:, 1:]
        else:
            before = ops.pad(segments, [[0, 0], [1, 0]])[:, :-1]
        projected = self.project(x)  # [B, T, 4D]
        keep = ops.cast(ops.equal(segments, before), projected.dtype)[..., None]
        outputs = self.loop(ops.concatenate([keep, projected], axis=-1))
        return ops.flip(outputs, axis=1) if self.reverse else outputs
