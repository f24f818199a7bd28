"""Feed-forward layers: ReLU, GELU, gated units (arXiv:2002.05202), and with a view of
neighbours (Tensor2Tensor's `conv_relu_conv`).
"""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import ops

from t2t import knobs
from t2t.layers.composite import Composite
from t2t.layers.dropout import Dropout
from t2t.layers.neighbours import neighbours
from t2t.layers.view import View

ACTIVATIONS = {
    "relu": ops.relu,
    "gelu": ops.gelu,
    "gelu_exact": functools.partial(ops.gelu, approximate=False),
    "silu": ops.silu,
}
GATED = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}


class FeedForward(Composite):
    """D -> F -> D. Gated kinds have a second input projection.

    Args:
      hidden_size: D.
      filter_size: F.
      activation: 'relu', 'gelu' (by tanh), 'gelu_exact', 'silu', or gated 'swiglu',
        'geglu', 'reglu'.
      filter_width: tokens that the input projections see, a convolution where more
        than one: up to the token itself where causal, else around it.
      causal: see `filter_width`.
      biases: None for those of ungated kinds alone.
      dropout: rate on the F activations.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        filter_size: int,
        activation: str = "relu",
        filter_width: int = 1,
        causal: bool = False,
        biases: bool | None = None,
        dropout: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        knobs.check_choice("blocks.activation", activation)
        self.gated = activation in GATED
        self.activation = ACTIVATIONS[GATED.get(activation, activation)]
        last = 0 if causal else filter_width // 2
        self.hidden_size = hidden_size
        self.offsets = tuple(range(last - filter_width + 1, last + 1))
        bias = not self.gated if biases is None else biases
        self.input_projection = keras.layers.Dense(
            filter_size, use_bias=bias, name="input"
        )
        if self.gated:
            self.gate = keras.layers.Dense(
                filter_size, use_bias=bool(biases), name="gate"
            )
        self.output_projection = keras.layers.Dense(
            hidden_size, use_bias=bias, name="output"
        )
        self.dropout = Dropout(dropout, name="dropout")

    def empty_cache(self, rows: int, slots: int, dtype: str) -> Any:
        """Inputs of zeros [B, S, D]; None where no neighbour is looked at."""
        if len(self.offsets) == 1:
            return None
        return ops.zeros((rows, slots, self.hidden_size), dtype)

    def call(
        self,
        x: Any,
        *,
        view: View | None = None,
        cache: Any = None,
        training: bool = False,
    ) -> tuple[Any, dict[str, Any], Any]:
        """[B, T, D] -> ([B, T, D], inner values, the new cache)."""
        if len(self.offsets) > 1:
            assert view is not None
            # One product over tokens laid side by side: faster than a convolution.
            beside, cache = neighbours(x, self.offsets, view, cache)
            x = ops.concatenate(beside, axis=-1)  # [B, T, width·D]
        hidden = self.input_projection(x)  # [B, T, F]
        if self.gated:
            hidden = self.activation(self.gate(x)) * hidden
        else:
            hidden = self.activation(hidden)
        hidden = self.dropout(hidden, training=training)
        return self.output_projection(hidden), {}, cache
