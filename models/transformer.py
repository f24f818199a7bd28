"""The Transformer, encoder-decoder. Vaswani et al. 2017 (arXiv:1706.03762).

Notable features: packed rows (masks and positions by segment), pre- or post-norm,
every position kind, grouped queries, one table for inputs, targets and softmax
when the vocabularies are the same, decoding of W hypotheses a sentence without
copying memory or caches.

Axis letters: B batch, T target time, S source time, D model, V vocabulary,
W hypotheses (beam width), L generated length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature, same_ids
from t2t.layers.blocks import BlockShape, Memory, Stack
from t2t.layers.embedding import shift_right
from t2t.layers.view import attention_mask, slot_times


class EncoderDecoder(keras.Model):
    """An encoder's stack and a decoder's, for text to text.

    Args:
      features: of the problem; `inputs` and `targets` are texts.
      encoder, decoder: stacks, the decoder's with cross-attention.
      label_smoothing: see `losses.cross_entropy`.
      share_embeddings: one table for inputs, targets and softmax where both
        features use the same vocabulary; the softmax is always tied to targets.
      auxiliary: weights of the stacks' own losses, see `losses.add_auxiliary`.
    """

    FEATURES = {"inputs": "text", "targets": "text"}
    PROMPT = "inputs"  # the feature that a decoder is given
    JIT = True  # dense stacks win under XLA on every device measured

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        encoder: Stack,
        decoder: Stack,
        label_smoothing: float = 0.0,
        share_embeddings: bool = True,
        auxiliary: Mapping[str, float] | None = None,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.label_smoothing, self.auxiliary = label_smoothing, dict(auxiliary or {})
        inputs, targets = features["inputs"], features["targets"]
        shared = share_embeddings and same_ids(inputs, targets)
        make_embedding = decoder.shape.make_embedding
        self.target_embedding = make_embedding(targets.size, "target_embedding")
        self.input_embedding = (
            self.target_embedding
            if shared
            else make_embedding(inputs.size, "input_embedding")
        )
        self.encoder, self.decoder = encoder, decoder

    # -- training -----------------------------------------------------------------

    def encode(
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[Any, dict[str, Any]]:
        """The memory [B, S, D] of `inputs`, and inner values."""
        memory, inner, _ = self.encoder(
            self.input_embedding(batch["inputs"]),
            segments=batch["inputs_segments"],
            positions=batch["inputs_positions"],
            training=training,
        )
        return memory, {f"encoder/{name}": value for name, value in inner.items()}

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, T, V] of every target under teacher forcing, and inner values."""
        memory, inner = self.encode(batch, training=training)
        segments, positions = batch["targets_segments"], batch["targets_positions"]
        x = self.target_embedding(shift_right(batch["targets"], positions))
        x, decoder_inner, _ = self.decoder(
            x,
            segments=segments,
            positions=positions,
            memory=Memory(
                attention_mask(segments, batch["inputs_segments"]), values=memory
            ),
            training=training,
        )
        inner.update({f"decoder/{name}": v for name, v in decoder_inner.items()})
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
            auxiliary=self.auxiliary,
        )

    # -- decoding -----------------------------------------------------------------

    def begin(
        self, batch: dict[str, Any], *, width: int, length: int
    ) -> tuple[Any, dict[str, Any], list[Any]]:
        """Encodes the inputs and makes room for `length` tokens of W hypotheses.

        Returns:
          (first ids [B], constants, state) for `decode_step`.
        """
        memory, _ = self.encode(batch, training=False)
        rows = ops.shape(memory)[0]
        seen = ops.repeat(batch["inputs_segments"][:, None, :] > 0, width, axis=1)
        constants = {"memory": self.decoder.memory_caches(memory), "seen": seen}
        state = self.decoder.empty_caches(rows, length * width, memory.dtype)
        return ops.zeros((rows,), "int32"), constants, state

    def longer(self, state: list[Any], slots: int) -> list[Any]:
        """The state with room for the tokens of `slots` more."""
        return self.decoder.longer_caches(state, slots)

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
        """Logits of the next token of each hypothesis.

        Args:
          ids: int [B, W], the last token of each hypothesis.
          time: int scalar, how many tokens were fed before; with a slot int [B].
          visible: bool [B, W, L·W]: the slots time·W + w that hold a hypothesis's
            own tokens, this one included. It may be narrower than the caches.
          parents: int [B, W]; unused, since nothing here is kept by hypothesis.
          slot: int scalar, in place of the time where rows began at different ones:
            the caches are a ring, see `slot_times`.

        Returns:
          (logits [B, W, V], new state).
        """
        rows, width = ops.shape(ids)
        slots = visible.shape[-1]
        times = slot_times(time, slot=slot, slots=slots, width=width)
        x, _, state = self.decoder(
            self.target_embedding(ids),
            visible=visible,
            positions=ops.broadcast_to(ops.reshape(time, (-1, 1)), (rows, width)),
            key_positions=ops.broadcast_to(times, (rows, slots)),
            memory=Memory(constants["seen"], caches=constants["memory"]),
            caches=state,
            slot=(time if slot is None else slot) * width,
        )
        return self.target_embedding.logits(x), state


@registry.model
class Transformer(EncoderDecoder):
    """Encoder-decoder Transformer for text to text.

    Args:
      features: of the problem; `inputs` and `targets` are texts.
      blocks: the knobs of all blocks.
      num_layers: encoder blocks.
      num_decoder_layers: decoder blocks; None for as many.
      label_smoothing, share_embeddings: see `EncoderDecoder`.
    """

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        num_layers: int = 6,
        num_decoder_layers: int | None = None,
        label_smoothing: float = 0.0,
        share_embeddings: bool = True,
    ) -> None:
        super().__init__(
            features,
            encoder=Stack(
                blocks, num_layers=num_layers, causal=False, cross=False, name="encoder"
            ),
            decoder=Stack(
                blocks,
                num_layers=num_decoder_layers or num_layers,
                causal=True,
                cross=True,
                name="decoder",
            ),
            label_smoothing=label_smoothing,
            share_embeddings=share_embeddings,
            auxiliary=blocks.auxiliary,
            name="transformer",
        )
