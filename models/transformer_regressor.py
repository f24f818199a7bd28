"""A Transformer encoder that tells numbers of a text: the `transformer_regressor` of
Tensor2Tensor, whose Text2Real problems are of this form.

Notable features: mean pooling over the real tokens; targets of any scale, since the
mean and the variance of those that training has seen are variables of the model.

Axis letters: B batch, T time, D model, X numbers.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.standard import Standard


@registry.model
class TransformerRegressor(keras.Model):
    """Transformer encoder for numbers that belong to a text.

    Args:
      features: of the problem; `inputs` is a text, `targets` real [X].
      blocks: the knobs of all blocks.
      num_layers: blocks.
    """

    FEATURES = {"inputs": "text", "targets": "real"}
    PROMPT = "inputs"
    METRICS = ("absolute_error", "squared_error", "normalised_deviation")
    JIT = True

    def __init__(
        self, features: dict[str, Feature], *, blocks: BlockShape, num_layers: int = 6
    ) -> None:
        super().__init__(name="transformer_regressor")
        self.auxiliary = blocks.auxiliary
        size = int(features["targets"].shape[0] or 1)
        self.embedding = blocks.make_embedding(features["inputs"].size, "embedding")
        self.encoder = Stack(
            blocks, num_layers=num_layers, causal=False, cross=False, name="encoder"
        )
        self.numbers = keras.layers.Dense(size, name="numbers")
        self.standard = Standard(size, active=True)

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Numbers [B, X], and inner values ('standardised' [B, X] among them)."""
        segments = batch["inputs_segments"]
        x, inner, _ = self.encoder(
            self.embedding(batch["inputs"]),
            segments=segments,
            positions=batch["inputs_positions"],
            training=training,
        )
        present = ops.cast(segments > 0, x.dtype)[..., None]
        pooled = ops.sum(x * present, axis=1)
        pooled = pooled / ops.maximum(ops.sum(present, axis=1), 1.0)
        inner = {f"encoder/{name}": value for name, value in inner.items()}
        inner["standardised"] = ops.cast(self.numbers(pooled), "float32")
        return self.standard.restored(inner["standardised"]), inner

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, losses_lib.Sum], dict[str, Any]]:
        """({'all': (squared errors of the standardised, examples)}, inner values)."""
        found, inner = self(batch, training=training)
        return losses_lib.of_numbers(
            found,
            batch["targets"],
            batch["weights"],
            inner,
            standard=self.standard,
            training=training,
            auxiliary=self.auxiliary,
        )

    def followers(self) -> list[tuple[Any, ...]]:
        return [*self.standard.followers()]
