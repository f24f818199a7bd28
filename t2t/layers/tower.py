"""Small fully connected towers over vectors, single or as an ensemble."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

ACTIVATIONS = {"relu": ops.relu, "tanh": ops.tanh, "swish": ops.silu}


class Tower(keras.layers.Layer):
    """`members` towers of equal shape, evaluated as one batched product a layer.

    Args:
      sizes: units of each layer, the last without activation.
      members: E; 0 for one tower without an axis for it.
      activation: a name in `ACTIVATIONS`.
      last_scale: factor on the initial weights of the last layer.

    Shapes: [..., D] -> [..., sizes[-1]]; an ensemble takes [B, D], the same for
    all members, or [E, B, D], and gives [E, B, sizes[-1]].
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        *,
        members: int = 0,
        activation: str = "relu",
        last_scale: float = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.sizes, self.members = sizes, members
        self.activation, self.last_scale = ACTIVATIONS[activation], last_scale

    def build(self, shape: Any) -> None:
        lead = (self.members,) if self.members else ()
        width = shape[-1]
        self.kernels, self.biases = [], []
        for i, size in enumerate(self.sizes):
            last = i == len(self.sizes) - 1
            scale = self.last_scale if last else 1.0
            self.kernels.append(
                self.add_weight(
                    name=f"kernel_{i}",
                    shape=(*lead, width, size),
                    initializer=_uniform(width, size, scale),
                )
            )
            bias = (*lead, 1, size) if self.members else (size,)
            self.biases.append(
                self.add_weight(name=f"bias_{i}", shape=bias, initializer="zeros")
            )
            width = size
        self.built = True

    def call(self, x: Any) -> Any:
        if self.members and len(x.shape) == 2:
            x = ops.broadcast_to(x[None], (self.members, *ops.shape(x)))
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            x = ops.matmul(x, kernel) + bias
            if i < len(self.sizes) - 1:
                x = self.activation(x)
        return x


def _uniform(inputs: int, outputs: int, scale: float) -> keras.Initializer:
    """Glorot's, told the fan of one member."""
    limit = scale * (6.0 / (inputs + outputs)) ** 0.5
    return keras.initializers.RandomUniform(-limit, limit)
