"""The Vision Transformer. Dosovitskiy et al. 2020 (arXiv:2010.11929).

Notable features: a picture is a sentence of patches, each a projection of its pixels,
after one learned class token that reads them all; learned positions; the blocks are
those of every other Transformer here.

Axis letters: B batch, N patches of a side, P pixels of a patch's side, C channels,
D model, V classes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.embedding import ClassToken
from t2t.layers.image import standardise


@registry.model
class VisionTransformer(keras.Model):
    """Transformer encoder over the patches of a picture, for classification.

    Args:
      features: of the problem; `image` is an image, `label` a label.
      blocks: the knobs of all blocks; its `max_length` is what the picture has.
      num_layers: blocks.
      patch_size: P; it divides the picture's height and width.
      label_smoothing: see `losses.cross_entropy`.

    Raises:
      ValueError: when the picture is not made of whole patches.
    """

    FEATURES = {"image": "image", "label": "label"}
    JIT = True

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        num_layers: int = 12,
        patch_size: int = 16,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name="vision_transformer")
        height, width = (int(n or 0) for n in features["image"].shape[:2])
        if height % patch_size or width % patch_size or not height * width:
            raise ValueError(
                f"patch_size={patch_size} does not divide a picture of "
                f"{height} x {width} pixels"
            )
        self.patch_size, self.label_smoothing = patch_size, label_smoothing
        self.grid = height // patch_size, width // patch_size
        count = self.grid[0] * self.grid[1] + 1
        blocks = dataclasses.replace(blocks, max_length=count)
        self.auxiliary = blocks.auxiliary
        self.patches = keras.layers.Dense(blocks.hidden_size, name="patches")
        self.class_token = ClassToken(blocks.hidden_size, name="class_token")
        self.encoder = Stack(
            blocks, num_layers=num_layers, causal=False, cross=False, name="encoder"
        )
        self.classes = keras.layers.Dense(
            features["label"].size, kernel_initializer="zeros", name="classes"
        )

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, V], and inner values ('pooled' [B, D], of the class token)."""
        x = self.class_token(self.patches(self._cut(standardise(batch["image"]))))
        shape = x.shape[:2]  # [B, 1 + N·N]
        x, inner, _ = self.encoder(
            x,
            segments=ops.ones(shape, "int32"),
            positions=ops.broadcast_to(ops.arange(shape[1], dtype="int32"), shape),
            training=training,
        )
        inner = {f"encoder/{name}": value for name, value in inner.items()}
        inner["pooled"] = x[:, 0]
        return ops.cast(self.classes(x[:, 0]), "float32"), inner

    def _cut(self, image: Any) -> Any:
        """[B, H, W, C] -> [B, N·N, P·P·C], patches by row."""
        rows, size = image.shape[0], self.patch_size
        down, across = self.grid
        x = ops.reshape(image, (rows, down, size, across, size, image.shape[-1]))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (rows, down * across, size * size * image.shape[-1]))

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
            auxiliary=self.auxiliary,
        )
