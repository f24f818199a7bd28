"""Position-wise feed-forward: ReLU, GELU, and gated units (arXiv:2002.05202)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import knobs
from t2t.layers.dropout import Dropout

ACTIVATIONS = {"relu": ops.relu, "gelu": ops.gelu, "silu": ops.silu}
GATED = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}


class FeedForward(keras.layers.Layer):
    """D -> F -> D. Gated kinds have a second input projection and no biases.

    Args:
      hidden_size: D.
      filter_size: F.
      activation: 'relu', 'gelu', 'silu', or gated 'swiglu', 'geglu', 'reglu'.
      dropout: rate on the F activations.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        filter_size: int,
        activation: str = "relu",
        dropout: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        knobs.check_choice("blocks.activation", activation)
        self.gated = activation in GATED
        self.activation = ACTIVATIONS[GATED.get(activation, activation)]
        bias = not self.gated
        self.input_projection = keras.layers.Dense(
            filter_size, use_bias=bias, name="input"
        )
        if self.gated:
            self.gate = keras.layers.Dense(filter_size, use_bias=False, name="gate")
        self.output_projection = keras.layers.Dense(
            hidden_size, use_bias=bias, name="output"
        )
        self.dropout = Dropout(dropout, name="dropout")

    def call(self, x: Any, *, training: bool = False) -> Any:
        """[B, T, D] -> [B, T, D]."""
        hidden = self.input_projection(x)  # [B, T, F]
        if self.gated:
            hidden = self.activation(self.gate(x)) * hidden
        else:
            hidden = self.activation(hidden)
        return self.output_projection(self.dropout(hidden, training=training))
