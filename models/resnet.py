"""Residual networks with pre-activation. He et al. 2016 (arXiv:1603.05027).

Notable features: group normalisation (arXiv:1803.08494) in place of batch
normalisation, so one device and many compute the same and nothing is kept
between steps; a small stem for small images; every depth of arXiv:1512.03385,
table 1, by the knobs `blocks_per_stage` and `bottleneck`.

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
    """Norm, ReLU and convolution, two or three times, and a projected shortcut where
    needed.

    Args:
      channels: of the block's inside.
      stride: of its 3×3 convolution, the first of two.
      project: whether the shortcut is a convolution, of what is normed.
      bottleneck: 1×1, 3×3, 1×1 to four times the channels, in place of 3×3, 3×3.
    """

    def __init__(
        self,
        channels: int,
        *,
        stride: int,
        project: bool,
        bottleneck: bool = False,
        name: str,
    ) -> None:
        super().__init__(name=name)
        sizes = ((1, 1), (3, stride), (1, 1)) if bottleneck else ((3, stride), (3, 1))
        self.channels, self.project = channels, project
        self.outputs = 4 * channels if bottleneck else channels
        last = len(sizes)
        self.norms = [_norm(channels, f"norm_{i}") for i in range(2, last + 1)]
        self.convs = [
            _convolution(
                self.outputs if i == last else channels,
                size,
                strides=strides,
                name=f"conv_{i}",
            )
            for i, (size, strides) in enumerate(sizes, 1)
        ]
        if project:
            self.shortcut = _convolution(
                self.outputs, 1, strides=stride, name="shortcut"
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        first = _norm(int(input_shape[-1] or 1), "norm_1")
        first.build(input_shape)
        self.norms.insert(0, first)

    def call(self, x: Any) -> Any:
        """[B, H, W, C] -> [B, H/stride, W/stride, outputs]."""
        y = ops.relu(self.norms[0](x))
        shortcut = self.shortcut(y) if self.project else x
        y = self.convs[0](y)
        for norm, conv in zip(self.norms[1:], self.convs[1:], strict=True):
            y = conv(ops.relu(norm(y)))
        return shortcut + y


def _convolution(
    channels: int, size: int, *, strides: int, name: str
) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        channels, size, strides=strides, padding="same", use_bias=False, name=name
    )


@registry.model("resnet")
class ResNet(keras.Model):
    """Residual network for image classification.

    Args:
      features: of the problem; `image` is an image, `label` a label.
      channels: of each stage; each stage but the first halves the image.
      blocks_per_stage: residual blocks of a stage, or of each one.
      bottleneck: see `ResidualBlock`.
      label_smoothing: see `losses.cross_entropy`.
    """

    FEATURES = {"image": "image", "label": "label"}
    JIT = False

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        channels: tuple[int, ...] = (16, 32, 64),
        blocks_per_stage: int | tuple[int, ...] = 3,
        bottleneck: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name="resnet")
        self.label_smoothing = label_smoothing
        counts = blocks_per_stage
        counts = (counts,) * len(channels) if isinstance(counts, int) else counts
        if len(counts) != len(channels):
            raise ValueError(
                f"blocks_per_stage={counts} is of {len(counts)} stages, "
                f"channels={channels} of {len(channels)}"
            )
        # Pictures of ImageNet's size get its stem: 7×7 with stride 2, and pooling.
        self.large = (features["image"].shape[0] or 32) > 64
        size, stride = (7, 2) if self.large else (3, 1)
        self.stem = _convolution(channels[0], size, strides=stride, name="stem")
        self.pool = keras.layers.MaxPooling2D(3, 2, padding="same", name="pool")
        self.stages = [
            ResidualBlock(
                width,
                stride=2 if j == 0 and i > 0 else 1,
                project=j == 0 and (i > 0 or bottleneck),
                bottleneck=bottleneck,
                name=f"stage_{i}_block_{j}",
            )
            for i, (width, count) in enumerate(zip(channels, counts, strict=True))
            for j in range(count)
        ]
        self.final_norm = _norm(self.stages[-1].outputs, "final_norm")
        self.classes = keras.layers.Dense(features["label"].size, name="classes")

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, V], and each block's output."""
        x = self.stem(standardise(batch["image"]))
        x = self.pool(x) if self.large else x
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
