"""Pictures as a grid of codes, and back: a convolutional autoencoder with finite
scalar quantisation (Mentzer et al., arXiv:2309.15505).

Notable features: nothing is random and no codebook is learned; sizes may differ from
picture to picture, one code stands for each square of pixels. Where a problem says
what is where, codes have to tell that too, so that who reads them need not learn to see
(the semantic codes of Moshi, arXiv:2410.00037, section 3.3.3, have a teacher for it).

The surprise: no XLA by default. On CPUs it loses to oneDNN on convolutions.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from t2t import registry
from t2t.features import Feature
from t2t.layers.quantise import FiniteScalar
from t2t.losses import Sum, weighted_sum
from t2t.media.tokenizers import plain


@registry.model("image_tokenizer")
class ImageTokenizer(keras.Model):
    """Pictures [H, W, C] to codes [H/P, W/P] and back.

    Args:
      features: of the problem; `image` is uint8 [H, W, C]; `kinds`, where it is
        offered, [H, W]: the kind of thing that a pixel belongs to.
      channels: of each halving of the picture; P = 2 to the power of their number.
      blocks_per_stage: residual blocks at each size.
      levels: of the numbers of a code; their product is the number of codes.
      kind_weight: of the cross-entropy of kinds, beside that of brightness.
    """

    FEATURES = {"image": "image"}
    METRICS = ("psnr_db", "absolute_error")
    JIT = False
    TOKENIZES = "image"

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        channels: tuple[int, ...] = (32, 64, 128),
        blocks_per_stage: int = 1,
        levels: tuple[int, ...] = (8, 5, 5, 5),
        kind_weight: float = 0.02,
    ) -> None:
        arguments = plain(locals())
        super().__init__(name="image_tokenizer")
        self.arguments = arguments  # a frozen tokenizer is made anew from them
        height, width, self.colours = features["image"].shape
        self.patch = 2 ** len(channels)
        if (height or 0) % self.patch or (width or 0) % self.patch:
            raise ValueError(
                f"pictures of {height} x {width} pixels: both sides must be multiples "
                f"of {self.patch}, since channels={channels} halves them "
                f"{len(channels)} times"
            )
        self.book_size = math.prod(levels)
        self.quantiser = FiniteScalar(levels, books=1)
        self.reading: list[Any] = []
        for i, size in enumerate(channels):
            self.reading.append(_convolution(size, f"down_{i}", size=4, stride=2))
            self.reading += _residuals(size, f"read_{i}", blocks_per_stage)
        self.squeeze = _convolution(self.quantiser.size, "squeeze", size=1)
        self.unsqueeze = _convolution(channels[-1], "unsqueeze", size=3)
        self.writing: list[Any] = []
        for i, size in reversed(list(enumerate(channels))):
            self.writing += _residuals(size, f"write_{i}", blocks_per_stage)
            after = channels[i - 1] if i else channels[0]
            self.writing.append(_Double(after, f"up_{i}"))
        self.paint = _convolution(self.colours or 3, "paint", size=3)
        self.kind_weight = kind_weight
        self.kinds: _Kinds | None = None
        if "kinds" in features and kind_weight:
            self.kinds = _Kinds(channels[-1], features["kinds"].classes)
            self.METRICS = (*self.METRICS, "kind_accuracy")

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """(pictures as they come back [B, H, W, C] within 0 to 1, inner values)."""
        image = ops.cast(batch["image"], "float32") / 255.0
        vectors, codes, _ = self.quantiser(self._read(image), training=training)
        logits = self._write(vectors)
        inner = {"picture": image, "codes": codes[..., 0], "logits": logits}
        if self.kinds is not None:
            inner["kind_logits"] = self.kinds(vectors)
        return ops.sigmoid(logits), inner

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all': cross-entropy of each colour's brightness, and of kinds}, inner
        values).

        Errors measured in brightness would do: but their slope is gone where a pixel
        is quite dark, and pictures that are mostly dark are then learned as black.
        """
        seen, inner = self(batch, training=training)
        logits, wanted = inner["logits"], inner["picture"]
        surprise = ops.softplus(logits) - wanted * logits
        each = ops.mean(surprise, axis=(1, 2, 3))
        if self.kinds is not None:
            middle = self.patch // 2
            told = batch["kinds"][:, middle :: self.patch, middle :: self.patch]
            logits, told = inner["kind_logits"], ops.cast(told, "int32")
            missed = keras.losses.sparse_categorical_crossentropy(
                told, logits, from_logits=True
            )
            each = each + self.kind_weight * ops.mean(missed, axis=(1, 2))
        if not training:
            wrong = seen - wanted
            absolute = ops.mean(ops.abs(wrong), axis=(1, 2, 3))
            square = ops.mean(ops.square(wrong), axis=(1, 2, 3))
            decibels = -10.0 / math.log(10.0) * ops.log(square + 1e-10)
            inner["metrics"] = {
                "psnr_db": weighted_sum(decibels, batch["weights"]),
                "absolute_error": weighted_sum(absolute, batch["weights"]),
            }
            if self.kinds is not None:
                right = ops.equal(ops.argmax(logits, axis=-1), ops.cast(told, "int64"))
                right = ops.mean(ops.cast(right, "float32"), axis=(1, 2))
                inner["metrics"]["kind_accuracy"] = weighted_sum(
                    right, batch["weights"]
                )
        return {"all": weighted_sum(each, batch["weights"])}, inner

    # -- as a tokenizer --------------------------------------------------------------

    def encode(self, images: Any) -> Any:
        """uint8 [B, H, W, C] -> codes int [B, H/P, W/P]."""
        features = self._read(ops.cast(images, "float32") / 255.0)
        return self.quantiser(features)[1][..., 0]

    def decode(self, codes: Any) -> Any:
        """Codes [B, h, w] -> uint8 [B, h·P, w·P, C]."""
        seen = self.decode_vectors(self.quantiser.vectors(codes[..., None]))
        return ops.cast(ops.round(seen * 255.0), "uint8")

    def decode_vectors(self, vectors: Any) -> Any:
        """[B, h, w, size], which need not be any code's, -> pictures within 0 to 1."""
        return ops.sigmoid(self._write(vectors))

    def _read(self, x: Any) -> Any:
        for part in self.reading:
            x = part(x)
        return self.squeeze(x)

    def _write(self, x: Any) -> Any:
        x = self.unsqueeze(x)
        for part in self.writing:
            x = part(x)
        return ops.cast(self.paint(x), "float32")


class _Residual(keras.layers.Layer):
    """x + two convolutions of it."""

    def __init__(self, channels: int, name: str) -> None:
        super().__init__(name=name)
        self.norm = keras.layers.GroupNormalization(1, name="norm")
        self.one = _convolution(channels, "one", size=3)
        self.two = _convolution(channels, "two", size=3, zeros=True)

    def call(self, x: Any) -> Any:
        return x + self.two(ops.gelu(self.one(ops.gelu(self.norm(x)))))


def _residuals(channels: int, name: str, count: int) -> list[_Residual]:
    return [_Residual(channels, f"{name}_{b}") for b in range(count)]


class _Kinds(keras.layers.Layer):
    """Logits [B, h, w, kinds] of what things are where, by codes and those around."""

    def __init__(self, channels: int, kinds: int) -> None:
        super().__init__(name="kinds")
        self.around = _convolution(channels, "around", size=3)
        self.tell = _convolution(kinds, "tell", size=1)

    def call(self, vectors: Any) -> Any:
        return ops.cast(self.tell(ops.gelu(self.around(vectors))), "float32")


class _Double(keras.layers.Layer):
    """[B, h, w, ·] -> [B, 2h, 2w, channels]: each place writes four."""

    def __init__(self, channels: int, name: str) -> None:
        super().__init__(name=name)
        self.channels = channels
        self.project = _convolution(4 * channels, "project", size=3)

    def call(self, x: Any) -> Any:
        x = self.project(x)
        rows, height, width = x.shape[:3]
        x = ops.reshape(x, (-1, height, width, 2, 2, self.channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.gelu(ops.reshape(x, (-1, 2 * height, 2 * width, self.channels)))


def _convolution(
    channels: int, name: str, *, size: int, stride: int = 1, zeros: bool = False
) -> Any:
    return keras.layers.Conv2D(
        channels,
        size,
        stride,
        padding="same",
        kernel_initializer="zeros" if zeros else "glorot_uniform",
        name=name,
    )
