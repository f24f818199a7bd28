"""Speech to words by connectionist temporal classification (Graves et al., 2006).

Notable features: log-mel spectra at 25 frames a second, convolutions over frames to
both sides, one softmax a frame over words and a blank.

The surprise: no XLA. TensorFlow's CTC loss is not compiled by it on CPUs.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from t2t import registry
from t2t.features import EOS, Feature
from t2t.layers import spectrum
from t2t.layers.norm import make_norm
from t2t.losses import Sum, weighted_sum
from t2t.media.tokenizers import plain

RATE, HOP, BANDS, STACKED = 16_000, 160, 80, 4


@registry.model("speech_recogniser")
class SpeechRecogniser(keras.Model):
    """Sound [N] to words.

    Args:
      features: of the problem; `audio` is int16 [N], `targets` its words.
      hidden_size: D.
      num_layers: convolutions.
      width: frames that each sees.
    """

    FEATURES = {"audio": "audio", "targets": "text"}
    METRICS = ()
    JIT = False
    TOKENIZES = "words"

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 192,
        num_layers: int = 5,
        width: int = 5,
    ) -> None:
        arguments = plain(locals())
        super().__init__(name="speech_recogniser")
        self.arguments = arguments  # a frozen judge is made anew from them
        self.size = features["targets"].size
        self.read = keras.layers.Dense(hidden_size, name="read")
        self.mixings = [
            _Mixing(hidden_size, width, name=f"mixing_{i}") for i in range(num_layers)
        ]
        self.norm = make_norm("rms", name="norm")
        self.words = keras.layers.Dense(self.size, name="words")
        self.mel = spectrum.mel_matrix(BANDS, bins=2 * HOP + 1, rate=RATE)
        self.frame = STACKED * HOP

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, T, V] of each frame; id 0 is the blank."""
        samples = ops.cast(batch["audio"], "float32") / 32768.0
        before = (spectrum.OVERLAP - 1) * HOP
        windows = spectrum.frames(ops.pad(samples, [[0, 0], [before, 0]]), HOP)
        mels = spectrum.log_mel(spectrum.spectrum(windows), self.mel)
        # Loudness says nothing.
        mels = mels - ops.max(mels, axis=(1, 2), keepdims=True)
        mels = ops.maximum(mels, -9.0) / 3.0 + 1.5
        x = self.read(ops.reshape(mels, (mels.shape[0], -1, STACKED * BANDS)))
        for layer in self.mixings:
            x = layer(x)
        return ops.cast(self.words(self.norm(x)), "float32"), {}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all': nats a word}, inner values)."""
        logits, inner = self(batch, training=training)
        real = (batch["targets_segments"] > 0) & (batch["targets"] != EOS)
        words = ops.where(real, batch["targets"], 0)
        lengths = ops.sum(ops.cast(words > 0, "int32"), axis=1)
        frames = ops.full((logits.shape[0],), logits.shape[1], "int32")
        values = ops.ctc_loss(words, logits, lengths, frames, mask_index=0)
        per_word = values / ops.maximum(ops.cast(lengths, "float32"), 1.0)
        return {"all": weighted_sum(per_word, batch["weights"])}, inner

    def transcribe(self, samples: np.ndarray) -> list[list[int]]:
        """Ids of the words of sounds [B, T·frame] within ±1, the likeliest by frame."""
        logits, _ = self({"audio": samples * 32768.0})
        best = np.argmax(np.asarray(logits), axis=-1)
        found = []
        for row in best:
            changes = np.flatnonzero(np.diff(row, prepend=-1))
            found.append([int(i) for i in row[changes] if i > 0])
        return found


class _Mixing(keras.layers.Layer):
    """x + F(the frames around, normalised)."""

    def __init__(self, size: int, width: int, *, name: str) -> None:
        super().__init__(name=name)
        self.width = width
        self.norm = make_norm("rms", name="norm")
        self.wide = keras.layers.Dense(2 * size, name="wide")
        self.narrow = keras.layers.Dense(
            size, kernel_initializer="zeros", name="narrow"
        )

    def call(self, x: Any) -> Any:
        """[B, T, D] -> [B, T, D]."""
        side, count = self.width // 2, x.shape[1]
        padded = ops.pad(self.norm(x), [[0, 0], [side, side], [0, 0]])
        beside = [padded[:, i : i + count] for i in range(self.width)]
        hidden = self.wide(ops.concatenate(beside, axis=-1))
        return x + self.narrow(ops.gelu(hidden))
