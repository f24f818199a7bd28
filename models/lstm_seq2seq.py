"""LSTM encoder-decoder with attention. Bahdanau et al. (arXiv:1409.0473) in the
global, general form of Luong et al. (arXiv:1508.04025).

Notable features: packed rows (states are reset where an example begins), a
bidirectional first encoder layer, input feeding left out so that training is one
scan a layer.

The surprise: unlike attention, a recurrent state belongs to its hypothesis, so
`decode_step` gathers it by `parents`.

Axis letters: B batch, T target time, S source time, D model, V vocabulary,
W hypotheses.
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
from t2t.layers.embedding import Embedding, shift_right
from t2t.layers.recurrence import LSTM
from t2t.layers.view import attention_mask


@registry.model("lstm_seq2seq")
class LSTMSeq2Seq(keras.Model):
    """LSTM encoder-decoder with attention, for text to text.

    Args:
      features: of the problem; `inputs` and `targets` are texts.
      hidden_size: D of embeddings and states.
      num_layers: LSTM layers on each side.
      dropout: rate between layers.
      label_smoothing: see `losses.cross_entropy`.
    """

    FEATURES = {"inputs": "text", "targets": "text"}
    PROMPT = "inputs"
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
        super().__init__(name="lstm_seq2seq")
        self.label_smoothing, self.hidden_size = label_smoothing, hidden_size
        self.input_embedding = Embedding(
            features["inputs"].size, hidden_size, name="input_embedding"
        )
        self.target_embedding = Embedding(
            features["targets"].size, hidden_size, name="target_embedding"
        )
        self.backward_layer = LSTM(hidden_size, reverse=True, name="encoder_backward")
        self.merge = keras.layers.Dense(hidden_size, name="encoder_merge")
        self.encoder_layers = [
            LSTM(hidden_size, name=f"encoder_{i}") for i in range(num_layers)
        ]
        self.decoder_layers = [
            LSTM(hidden_size, name=f"decoder_{i}") for i in range(num_layers)
        ]
        self.dropout = Dropout(dropout, name="dropout")
        self.memory_projection = keras.layers.Dense(
            hidden_size, use_bias=False, name="memory_projection"
        )
        self.combine = keras.layers.Dense(
            hidden_size, activation="tanh", name="combine"
        )

    def encode(self, batch: dict[str, Any], *, training: bool) -> Any:
        """The memory [B, S, D]."""
        segments = batch["inputs_segments"]
        x = self.dropout(self.input_embedding(batch["inputs"]), training=training)
        backward = self.backward_layer(x, segments)
        for i, layer in enumerate(self.encoder_layers):
            y = layer(x, segments)
            if i == 0:
                y = self.merge(ops.concatenate([y, backward], axis=-1))
            x = self.dropout(y, training=training)
        return x

    def attend(self, x: Any, memory: Any, mask: Any) -> tuple[Any, Any]:
        """Luong's general attention: x [B, T, D] -> (combined, weights [B, T, S])."""
        scores = ops.einsum("btd,bsd->bts", x, self.memory_projection(memory))
        weights = ops.softmax(ops.where(mask, scores, MASKED), axis=-1)
        context = ops.einsum("bts,bsd->btd", weights, memory)
        return self.combine(ops.concatenate([x, context], axis=-1)), weights

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, T, V] under teacher forcing, and the attention [B, 1, T, S]."""
        memory = self.encode(batch, training=training)
        segments = batch["targets_segments"]
        x = shift_right(batch["targets"], batch["targets_positions"])
        x = self.dropout(self.target_embedding(x), training=training)
        for layer in self.decoder_layers:
            x = self.dropout(layer(x, segments), training=training)
        mask = attention_mask(segments, batch["inputs_segments"])
        x, weights = self.attend(x, memory, mask)
        inner = {"decoder/cross_attention": weights[:, None]}
        return self.target_embedding.logits(x), inner

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, losses_lib.Sum], dict[str, Any]]:
        """({'all': (sum, weight)} over target tokens, inner values)."""
        logits, inner = self(batch, training=training)
        return losses_lib.of_tokens(
            logits,
            batch["targets"],
            batch["targets_segments"],
            inner,
            label_smoothing=self.label_smoothing,
            training=training,
        )

    def begin(
        self, batch: dict[str, Any], *, width: int, length: int
    ) -> tuple[Any, dict[str, Any], list[Any]]:
        """As `Transformer.begin`; the state is (h, c) [B, W, D] of each layer."""
        memory = self.encode(batch, training=False)
        rows = ops.shape(memory)[0]
        seen = ops.repeat(batch["inputs_segments"][:, None, :] > 0, width, axis=1)
        zeros = ops.zeros((rows, width, self.hidden_size), memory.dtype)
        state = [{"h": zeros, "c": zeros} for _ in self.decoder_layers]
        return ops.zeros((rows,), "int32"), {"memory": memory, "seen": seen}, state

    def decode_step(
        self,
        ids: Any,
        constants: dict[str, Any],
        state: list[Any],
        *,
        time: Any,
        visible: Any,
        parents: Any,
    ) -> tuple[Any, list[Any]]:
        """As `Transformer.decode_step`; states follow `parents` [B, W]."""
        x, new_state = self.target_embedding(ids), []
        for layer, kept in zip(self.decoder_layers, state, strict=True):
            h = ops.take_along_axis(kept["h"], parents[..., None], axis=1)
            c = ops.take_along_axis(kept["c"], parents[..., None], axis=1)
            h, c = layer.step(layer.project(x), h, c)
            new_state.append({"h": h, "c": c})
            x = h
        x, _ = self.attend(x, constants["memory"], constants["seen"])
        return self.target_embedding.logits(x), new_state
