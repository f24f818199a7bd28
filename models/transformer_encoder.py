"""A Transformer encoder that classifies a text. After BERT (arXiv:1810.04805) and
the `transformer_encoder` of Tensor2Tensor.

Notable features: mean pooling over the real tokens, so no class token is needed
and every position is read; or BERT's own: the first token, a pooler, kinds of tokens.

Axis letters: B batch, T time, D model, V classes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import knobs, registry
from t2t import losses as losses_lib
from t2t.features import EOS, Feature
from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.dropout import Dropout


@registry.model
class TransformerEncoder(keras.Model):
    """Transformer encoder for text classification.

    Args:
      features: of the problem; `inputs` is a text, `label` a label.
      blocks: the knobs of all blocks.
      num_layers: blocks.
      label_smoothing: see `losses.cross_entropy`.
      token_types: kinds of tokens, by the ends of sequences before them; 0 for none.
      pooling: 'mean' of the real tokens, or the 'first' one.
      pooler: whether tanh(W·pooled + b) is classified, as in BERT.
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
        token_types: int = 0,
        pooling: str = "mean",
        pooler: bool = False,
    ) -> None:
        super().__init__(name="transformer_encoder")
        knobs.check_choice("transformer_encoder.pooling", pooling)
        self.pooling, self.token_types = pooling, token_types
        self.block_shape, self.label_smoothing = blocks, label_smoothing
        self.embedding = blocks.make_embedding(features["inputs"].size, "embedding")
        if token_types:
            self.types = keras.layers.Embedding(
                token_types, blocks.hidden_size, name="token_types"
            )
        self.pooler = keras.layers.Identity(name="pooler")
        if pooler:
            self.pooler = keras.layers.Dense(
                blocks.hidden_size, activation="tanh", name="pooler"
            )
        self.dropout = Dropout(blocks.dropout if pooler else 0.0, name="dropout")
        self.encoder = Stack(
            blocks, num_layers=num_layers, causal=False, cross=False, name="encoder"
        )
        self.classes = keras.layers.Dense(features["label"].size, name="classes")

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, V], and inner values ('pooled' [B, D] among them)."""
        ids, segments = batch["inputs"], batch["inputs_segments"]
        x = self.embedding(ids)
        if self.token_types:
            x = x + self.types(self._types(ids))
        x, inner, _ = self.encoder(
            x,
            segments=segments,
            positions=batch["inputs_positions"],
            training=training,
        )
        pooled = self.dropout(self.pooler(self._pool(x, segments)), training=training)
        inner = {f"encoder/{name}": value for name, value in inner.items()}
        inner["pooled"] = pooled
        return ops.cast(self.classes(pooled), "float32"), inner

    def _types(self, ids: Any) -> Any:
        """int [B, T]: how many sequences have ended before each token."""
        ends = ops.cast(ops.equal(ids, EOS), "int32")
        return ops.minimum(ops.cumsum(ends, axis=1) - ends, self.token_types - 1)

    def _pool(self, x: Any, segments: Any) -> Any:
        """[B, T, D] -> [B, D]."""
        if self.pooling == "first":
            return x[:, 0]
        present = ops.cast(segments > 0, x.dtype)[..., None]
        pooled = ops.sum(x * present, axis=1)
        return pooled / ops.maximum(ops.sum(present, axis=1), 1.0)

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
