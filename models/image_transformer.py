"""The Image Transformer. Parmar et al. 2018 (arXiv:1802.05751).

Notable features: a picture is written value by value, the channels of a pixel one
after another; each channel has embeddings of its own; positions are a row and a
column; attention is local in one dimension, over blocks of the sequence (the knob
`block_length`), computed block by block and cached when drawing.

Axis letters: B batch, T values, D model, V values a channel can have.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import registry
from t2t.features import Feature
from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.embedding import Embedding
from t2t.layers.position import sinusoids
from t2t.models.transformer_lm import DecoderOnly
from t2t.text import Pixels


class PictureStack(Stack):
    """A stack whose sinusoids say the row and the column of a value, half each.

    As Tensor2Tensor's `add_timing_signal_nd` has them: the channels of a pixel are
    columns of their own.

    Args:
      columns: values of a row of pixels.
    """

    def __init__(self, shape: BlockShape, *, num_layers: int, columns: int) -> None:
        super().__init__(
            shape, num_layers=num_layers, causal=True, cross=False, name="decoder"
        )
        self.columns = columns

    def add_positions(self, x: Any, positions: Any) -> Any:
        if self.shape.position != "sinusoid":
            return super().add_positions(x, positions)
        half = self.shape.hidden_size // 2
        row, column = positions // self.columns, positions % self.columns
        signal = [sinusoids(place, half) for place in (row, column)]
        return x + ops.cast(ops.concatenate(signal, axis=-1), x.dtype)


@registry.model
class ImageTransformer(DecoderOnly):
    """Autoregressive Transformer over the values of pictures.

    Args:
      features: of the problem; `targets` are the pixels of a picture.
      blocks: the knobs of all blocks; `hidden_size` is a multiple of 4.
      num_layers: blocks.
      label_smoothing: see `losses.cross_entropy`.
    """

    FEATURES = {"targets": "pixels"}

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        num_layers: int = 12,
        label_smoothing: float = 0.0,
    ) -> None:
        vocabulary = features["targets"].vocabulary
        assert isinstance(vocabulary, Pixels)
        _, width, channels = vocabulary.shape
        super().__init__(
            embedding=Embedding(
                channels * vocabulary.size, blocks.hidden_size, name="embedding"
            ),
            decoder=PictureStack(
                blocks, num_layers=num_layers, columns=width * channels
            ),
            label_smoothing=label_smoothing,
            auxiliary=blocks.auxiliary,
            name="image_transformer",
        )
        self.channels, self.values = channels, vocabulary.size
        self.output_projection = keras.layers.Dense(vocabulary.size, name="output")

    def embed(self, ids: Any, positions: Any) -> Any:
        """What is fed at a position is the value before it, of the channel before."""
        channel = (positions + self.channels - 1) % self.channels
        return self.embedding(ops.where(ids > 0, ids + channel * self.values, 0))

    def logits(self, x: Any) -> Any:
        return ops.cast(self.output_projection(x), "float32")
