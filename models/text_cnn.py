"""A convolutional network over words. Kim 2014 (arXiv:1408.5882).

Notable features: filters of several widths over the embedded words, each with its
largest answer anywhere in the text; nothing else. What padding would answer is never
taken for the largest.

Axis letters: B batch, T time, D embedding, C filters of a width, V classes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers.attention import MASKED
from t2t.layers.dropout import Dropout
from t2t.layers.embedding import Embedding


@registry.model("text_cnn")
class TextCNN(keras.Model):
    """Convolutions and max-over-time pooling for text classification.

    Args:
      features: of the problem; `inputs` is a text, `label` a label.
      hidden_size: D.
      filter_widths: in tokens.
      num_filters: C, of each width.
      dropout: rate on the pooled answers.
      label_smoothing: see `losses.cross_entropy`.
    """

    FEATURES = {"inputs": "text", "label": "label"}
    PROMPT = "inputs"
    JIT = True

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 300,
        filter_widths: tuple[int, ...] = (3, 4, 5),
        num_filters: int = 100,
        dropout: float = 0.5,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name="text_cnn")
        self.label_smoothing, self.widths = label_smoothing, tuple(filter_widths)
        self.embedding = Embedding(
            features["inputs"].size, hidden_size, name="embedding"
        )
        self.filters = [
            keras.layers.Dense(num_filters, name=f"filters_{width}")
            for width in self.widths
        ]
        self.dropout = Dropout(dropout, name="dropout")
        self.classes = keras.layers.Dense(features["label"].size, name="classes")

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, V], and the pooled answers [B, C · widths]."""
        present = batch["inputs_segments"] > 0
        x = self.embedding(ops.where(present, batch["inputs"], 0))
        size = ops.sum(ops.cast(present, "int32"), axis=1)
        found = [
            self._pooled(x, size, width, filters)
            for width, filters in zip(self.widths, self.filters, strict=True)
        ]
        pooled = ops.concatenate(found, axis=-1)
        logits = self.classes(self.dropout(pooled, training=training))
        return ops.cast(logits, "float32"), {"pooled": pooled}

    def _pooled(self, x: Any, size: Any, width: int, filters: Any) -> Any:
        """The largest answer [B, C] of filters to any `width` tokens in a row.

        A text that is shorter counts as one window, filled up with zeros.
        """
        length = x.shape[1]
        x = ops.pad(x, [[0, 0], [0, width - 1], [0, 0]])
        # One product over tokens laid side by side: faster than a convolution.
        windows = [x[:, i : i + length] for i in range(width)]
        answers = ops.relu(filters(ops.concatenate(windows, axis=-1)))  # [B, T, C]
        first = ops.arange(length, dtype="int32")[None]
        inside = first <= ops.maximum(size - width, 0)[:, None]
        answers = ops.where(inside[..., None], answers, MASKED)
        return ops.max(answers, axis=1)

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
