"""LSTM encoder-decoder with attention: Luong's (arXiv:1508.04025), global and general,
or Bahdanau's (arXiv:1409.0473), additive.

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

from t2t import knobs, registry
from t2t import losses as losses_lib
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
      attention: 'luong' scores q·W m, 'bahdanau' v·tanh(U q + W m).
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
        attention: str = "luong",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name="lstm_seq2seq")
        knobs.check_choice("lstm_seq2seq.attention", attention)
        self.label_smoothing, self.hidden_size = label_smoothing, hidden_size
        self.additive = attention == "bahdanau"
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
        if self.additive:
            self.query_projection = keras.layers.Dense(
                hidden_size, use_bias=False, name="query_projection"
            )
            self.score = keras.layers.Dense(1, use_bias=False, name="score")
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

    def attend(self, x: Any, keys: Any, memory: Any, mask: Any) -> tuple[Any, Any]:
        """x [B, T, D] -> (combined [B, T, D], weights [B, T, S]).

        Args:
          keys: the projected memory, [B, S, D].
        """
        if self.additive:
            query = self.query_projection(x)[:, :, None]  # [B, T, 1, D]
            scores = self.score(ops.tanh(query + keys[:, None]))[..., 0]
        else:
            scores = ops.einsum("btd,bsd->bts", x, keys)
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
        x, weights = self.attend(x, self.memory_projection(memory), memory, mask)
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
        constants = {
            "memory": memory,
            "keys": self.memory_projection(memory),
            "seen": seen,
        }
        return ops.zeros((rows,), "int32"), constants, state

    def decode_step(
        self,
        ids: Any,
        constants: dict[str, Any],
        state: list[Any],
        *,
        time: Any,
        visible: Any,
        parents: Any,
        slot: Any = None,
    ) -> tuple[Any, list[Any]]:
        """As `Transformer.decode_step`; states follow `parents` [B, W]."""
        x, new_state = self.target_embedding(ids), []
        for layer, kept in zip(self.decoder_layers, state, strict=True):
            h = ops.take_along_axis(kept["h"], parents[..., None], axis=1)
            c = ops.take_along_axis(kept["c"], parents[..., None], axis=1)
            h, c = layer.step(layer.project(x), h, c)
            new_state.append({"h": h, "c": c})
            x = h
        x, _ = self.attend(x, constants["keys"], constants["memory"], constants["seen"])
        return self.target_embedding.logits(x), new_state
