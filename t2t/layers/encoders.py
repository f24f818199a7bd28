"""From what is observed to a vector: towers for numbers, convolutions for pictures."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import registry
from t2t.features import Feature
from t2t.layers.ranks import Ranks
from t2t.layers.standard import Standard


class Encoder(keras.layers.Layer):
    """An observation [B, …] as a vector [B, size].

    Args:
      feature: an image, or a real vector, which passes as it is.
      kind: of the convolutions, a name in `CONVOLUTIONS`.
      size: of the vector that an image becomes.
      standardise: whether numbers are brought to mean 0 and variance 1.
      ranks: whether they become ranks and their squares, see `Ranks`.
    """

    def __init__(
        self,
        feature: Feature,
        *,
        kind: str,
        size: int,
        standardise: bool = False,
        ranks: bool = False,
        name: str = "encoder",
    ) -> None:
        super().__init__(name=name)
        self.images = feature.kind == "image"
        active = standardise and not self.images
        self.standard = Standard(feature.shape[0] or 0, active=active)
        self.ranks = Ranks(name="ranks") if ranks and not self.images else None
        self.parts: list[Any] = []
        if self.images:
            if kind not in CONVOLUTIONS:
                hint = registry.close_to(kind, CONVOLUTIONS)
                raise ValueError(f"there is no encoder {kind!r}.{hint}")
            self.parts = CONVOLUTIONS[kind]()
            self.dense = keras.layers.Dense(size, activation="relu", name="dense")

    def call(self, x: Any) -> Any:
        if not self.images:
            x = self.standard(ops.cast(x, "float32"))
            return self.ranks(x) if self.ranks else x
        x = ops.cast(x, "float32") / 255.0
        for part in self.parts:
            x = part(x)
        return self.dense(ops.reshape(x, (ops.shape(x)[0], -1)))


class Impala(keras.layers.Layer):
    """A section of IMPALA's network: convolution, pooling, two residual blocks."""

    def __init__(self, channels: int, *, name: str) -> None:
        super().__init__(name=name)
        self.first = _convolution(channels, 3, 1, None, "first")
        self.pool = keras.layers.MaxPooling2D(3, 2, padding="same")
        self.blocks = [
            [_convolution(channels, 3, 1, None, f"block_{b}_{i}") for i in range(2)]
            for b in range(2)
        ]

    def call(self, x: Any) -> Any:
        x = self.pool(self.first(x))
        for one, two in self.blocks:
            x = x + two(ops.relu(one(ops.relu(x))))
        return x


def _convolution(
    channels: int, size: int, stride: int, activation: str | None, name: str
) -> Any:
    return keras.layers.Conv2D(
        channels, size, stride, padding="same", activation=activation, name=name
    )


def _plain(*layers: tuple[int, int, int]) -> list[Any]:
    return [
        _convolution(channels, size, stride, "relu", f"convolution_{i}")
        for i, (channels, size, stride) in enumerate(layers)
    ]


def _impala(*channels: int) -> list[Any]:
    sections: list[Any] = [
        Impala(c, name=f"section_{i}") for i, c in enumerate(channels)
    ]
    return [*sections, keras.layers.ReLU(name="relu")]


# small: boards of a few pixels. nature: Mnih et al., 2015. impala: Espeholt et al.,
# arXiv:1802.01561, in the width that Procgen's baselines have and in half of it.
CONVOLUTIONS = {
    "small": lambda: _plain((16, 3, 1), (32, 3, 1)),
    "nature": lambda: _plain((32, 8, 4), (64, 4, 2), (64, 3, 1)),
    "impala_small": lambda: _impala(8, 16, 16),
    "impala": lambda: _impala(16, 32, 32),
}
