"""Residual networks with pre-activation. He et al. 2016 (arXiv:1603.05027).

Notable features: group normalisation (arXiv:1803.08494) in place of batch
normalisation, so one device and many compute the same and nothing is kept
between steps; a small stem for small images.

The surprise: no XLA by default. On CPUs it loses to oneDNN on convolutions.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers.image import standardise


def _norm(channels: int, name: str) -> keras.layers.Layer:
    groups = math.gcd(channels, 8)
    return keras.layers.GroupNormalization(groups=groups, name=name)


class ResidualBlock(keras.layers.Layer):
    """norm, ReLU, 3×3, norm, ReLU, 3×3, and a projected shortcut where needed."""

    def __init__(self, channels: int, *, stride: int, project: bool, name: str) -> None:
        super().__init__(name=name)
        self.norm_1 = None
        self.channels, self.stride, self.project = channels, stride, project
        conv = keras.layers.Conv2D
        self.conv_1 = conv(
            channels, 3, strides=stride, padding="same", use_bias=False, name="conv_1"
        )
        self.norm_2 = _norm(channels, "norm_2")
        self.conv_2 = conv(channels, 3, padding="same", use_bias=False, name="conv_2")
        if project:
            self.shortcut = conv(
                channels, 1, strides=stride, use_bias=False, name="shortcut"
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.norm_1 = _norm(int(input_shape[-1] or 1), "norm_1")
        self.norm_1.build(input_shape)

    def call(self, x: Any) -> Any:
        """[B, H, W, C] -> [B, H/stride, W/stride, channels]."""
        assert self.norm_1 is not None
        y = ops.relu(self.norm_1(x))
        shortcut = self.shortcut(y) if self.project else x
        y = self.conv_1(y)
        y = self.conv_2(ops.relu(self.norm_2(y)))
        return shortcut + y


@registry.model("resnet")
class ResNet(keras.Model):
    """Residual network for image classification.

    Args:
      features: of the problem; `image` is an image, `label` a label.
      channels: of each stage; each stage but the first halves the image.
      blocks_per_stage: residual blocks of a stage.
      label_smoothing: see `losses.cross_entropy`.
    """

    FEATURES = {"image": "image", "label": "label"}
    JIT = False

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        channels: tuple[int, ...] = (16, 32, 64),
        blocks_per_stage: int = 3,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name="resnet")
        self.label_smoothing = label_smoothing
        height = features["image"].shape[0] or 32
        # Images of ImageNet's size get its 7×7 stem with stride 2.
        size, stride = (7, 2) if height > 64 else (3, 1)
        self.stem = keras.layers.Conv2D(
            channels[0],
            size,
            strides=stride,
            padding="same",
            use_bias=False,
            name="stem",
        )
        self.stages = []
        for i, width in enumerate(channels):
            for j in range(blocks_per_stage):
                first = j == 0
                self.stages.append(
                    ResidualBlock(
                        width,
                        stride=2 if first and i > 0 else 1,
                        project=first and i > 0,
                        name=f"stage_{i}_block_{j}",
                    )
                )
        self.final_norm = _norm(channels[-1], "final_norm")
        self.classes = keras.layers.Dense(features["label"].size, name="classes")

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, V], and each block's output."""
        x = self.stem(standardise(batch["image"]))
        inner = {}
        for block in self.stages:
            x = inner[block.name] = block(x)
        x = ops.relu(self.final_norm(x))
        pooled = inner["pooled"] = ops.mean(x, axis=(1, 2))  # [B, C]
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
        )
