"""A Transformer encoder that classifies a text. After BERT (arXiv:1810.04805) and
the `transformer_encoder` of Tensor2Tensor.

Notable features: mean pooling over the real tokens, so no class token is needed
and every position is read.

Axis letters: B batch, T time, D model, V classes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.embedding import Embedding


@registry.model
class TransformerEncoder(keras.Model):
    """Transformer encoder for text classification.

    Args:
      features: of the problem; `inputs` is a text, `label` a label.
      blocks: the knobs of all blocks.
      num_layers: blocks.
      label_smoothing: see `losses.cross_entropy`.
    """

    FEATURES = {"inputs": "text", "label": "label"}
    PROMPT = "inputs"
    JIT = True

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        num_layers: int = 6,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name="transformer_encoder")
        self.block_shape, self.label_smoothing = blocks, label_smoothing
        self.embedding = Embedding(
            features["inputs"].size, blocks.hidden_size, name="embedding"
        )
        self.encoder = Stack(
            blocks, num_layers=num_layers, causal=False, cross=False, name="encoder"
        )
        self.classes = keras.layers.Dense(features["label"].size, name="classes")

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, V], and inner values ('pooled' [B, D] among them)."""
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
        inner["pooled"] = pooled
        return ops.cast(self.classes(pooled), "float32"), inner

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
            auxiliary=self.block_shape.auxiliary,
        )
