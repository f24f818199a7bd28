"""A multi-layer perceptron over images: the smallest model (`basic_fc_relu`)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers.dropout import Dropout
from t2t.layers.image import standardise


@registry.model("mlp")
class MLP(keras.Model):
    """Fully connected layers with ReLU, for images.

    Args:
      features: of the problem; `image` is an image, `label` a label.
      hidden_size: units of each hidden layer.
      num_layers: hidden layers.
      dropout: rate after each hidden layer.
      label_smoothing: see `losses.cross_entropy`.
    """

    FEATURES = {"image": "image", "label": "label"}
    JIT = True

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 128,
        num_layers: int = 2,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name="mlp")
        self.label_smoothing = label_smoothing
        self.hidden = [
            keras.layers.Dense(hidden_size, activation="relu", name=f"hidden_{i}")
            for i in range(num_layers)
        ]
        self.dropouts = [
            Dropout(dropout, name=f"dropout_{i}") for i in range(num_layers)
        ]
        self.classes = keras.layers.Dense(features["label"].size, name="classes")

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, V] and the hidden activations."""
        x = standardise(batch["image"])
        x = ops.reshape(x, (ops.shape(x)[0], -1))
        inner = {}
        for i, (layer, dropout) in enumerate(
            zip(self.hidden, self.dropouts, strict=True)
        ):
            x = inner[f"hidden_{i}"] = layer(x)
            x = dropout(x, training=training)
        return ops.cast(self.classes(x), "float32"), inner

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, losses_lib.Sum], dict[str, Any]]:
        """({'all': (sum, weight)} over examples, inner values)."""
        logits, inner = self(batch, training=training)
        return losses_lib.of_labels(
            logits,
            batch["label"],
            batch["weights"],
            inner,
            label_smoothing=self.label_smoothing,
            training=training,
        )
