"""A decoder-only Transformer language model. GPT (Radford et al. 2018), and the
`attention_lm` of Tensor2Tensor.

Notable features: packed rows, prompts of different lengths in one batch, decoding
of W hypotheses in which the prompt is stored once.

Axis letters: B batch, T target time, P prompt time, D model, V vocabulary,
W hypotheses, L generated length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.embedding import Embedding, shift_right
from t2t.layers.view import attention_mask, slot_times


class DecoderOnly(keras.Model):
    """A decoder's stack, for texts that go on.

    Args:
      embedding: of the ids.
      decoder: a causal stack.
      label_smoothing: see `losses.cross_entropy`.
      auxiliary: weights of the stack's own losses, see `losses.add_auxiliary`.
    """

    FEATURES = {"targets": "text|pixels"}
    PROMPT = "targets"
    JIT = True

    def __init__(
        self,
        *,
        embedding: Embedding,
        decoder: Stack,
        label_smoothing: float = 0.0,
        auxiliary: Mapping[str, float] | None = None,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.label_smoothing, self.auxiliary = label_smoothing, dict(auxiliary or {})
        self.embedding, self.decoder = embedding, decoder

    def embed(self, ids: Any, positions: Any) -> Any:
        """The ids fed at some positions, those that stand before them: [B, T, D]."""
        return self.embedding(ids)

    def logits(self, x: Any) -> Any:
        """[B, T, D] -> [B, T, V], float32."""
        return self.embedding.logits(x)

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, T, V] of every token from those before it, and inner values."""
        segments, positions = batch["targets_segments"], batch["targets_positions"]
        x, inner, _ = self.decoder(
            self.embed(shift_right(batch["targets"], positions), positions),
            segments=segments,
            positions=positions,
            training=training,
        )
        inner = {f"decoder/{name}": value for name, value in inner.items()}
        return self.logits(x), inner

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, losses_lib.Sum], dict[str, Any]]:
        """({'all': (sum, weight)} over tokens, inner values)."""
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

    def begin(
        self, batch: dict[str, Any], *, width: int, length: int
    ) -> tuple[Any, dict[str, Any], list[Any]]:
        """Reads the prompts and makes room for `length` tokens of W hypotheses.

        The prompt [B, P] (right-padded, perhaps empty) fills slots 0 to P-1 but for
        its last token, which is the first that `decode_step` is fed.

        Returns:
          (first ids [B], constants, state) for `decode_step`.
        """
        prompt, segments = batch["targets"], batch["targets_segments"]
        rows, size = ops.shape(prompt)
        lengths = ops.sum(ops.cast(segments > 0, "int32"), axis=1)  # [B]
        # Fed so far: the start symbol and all of the prompt but its last token.
        fed = shift_right(prompt, batch["targets_positions"])
        slots = ops.arange(size, dtype="int32")
        state = self.decoder.empty_caches(
            rows, size + length * width, self.compute_dtype
        )
        present = ops.broadcast_to(slots, (rows, size)) < lengths[:, None]
        own = ops.cast(present, "int32")
        mask = attention_mask(own, own, causal=True)
        total = size + length * width
        mask = ops.pad(mask, [[0, 0], [0, 0], [0, total - size]])
        positions = ops.broadcast_to(slots, (rows, size))
        _, _, state = self.decoder(
            self.embed(fed, positions),
            visible=mask,
            positions=positions,
            key_positions=ops.zeros((rows, total), "int32")
            + ops.pad(slots, [[0, total - size]]),
            caches=state,
            slot=0,
        )
        last = ops.take_along_axis(
            prompt, ops.maximum(lengths - 1, 0)[:, None], axis=1
        )[:, 0]
        first = ops.where(lengths > 0, last, 0)
        return first, {"lengths": lengths, "present": present}, state

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
        """Logits [B, W, V] of the next token; arguments as in `Transformer`."""
        rows, width = ops.shape(ids)
        lengths, present = constants["lengths"], constants["present"]
        size = present.shape[1]
        positions = ops.broadcast_to((lengths + time)[:, None], (rows, width))
        times = slot_times(time, slot=slot, slots=visible.shape[-1], width=width)
        key_positions = ops.concatenate(
            [
                ops.broadcast_to(ops.arange(size, dtype="int32"), (rows, size)),
                lengths[:, None] + times,
            ],
            axis=1,
        )
        seen = ops.repeat(present[:, None, :], width, axis=1)
        mask = ops.concatenate([seen, visible], axis=2)  # [B, W, P + L·W]
        x, _, state = self.decoder(
            self.embed(ids, positions),
            visible=mask,
            positions=positions,
            key_positions=key_positions,
            caches=state,
            slot=size + (time if slot is None else slot) * width,
        )
        return self.logits(x), state


@registry.model("transformer_lm")
class TransformerLM(DecoderOnly):
    """Decoder-only Transformer for language modelling.

    Args:
      features: of the problem; `targets` is a text, or the pixels of a picture.
      blocks: the knobs of all blocks.
      num_layers: blocks.
      label_smoothing: see `losses.cross_entropy`.
    """

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        num_layers: int = 6,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            embedding=blocks.make_embedding(features["targets"].size, "embedding"),
            decoder=Stack(
                blocks, num_layers=num_layers, causal=True, cross=False, name="decoder"
            ),
            label_smoothing=label_smoothing,
            auxiliary=blocks.auxiliary,
            name="transformer_lm",
        )
