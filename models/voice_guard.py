"""Who speaks, told anew every 40 ms: a guard of the voice that an assistant answers in.

Notable features: log-mel spectra at 25 frames a second, convolutions that look back
only, and a running mean of what was heard, each frame weighed by how much it tells
(attentive statistics, Okabe et al., arXiv:1803.10963, made causal); what was long ago
is forgotten, so that a voice that changes in the middle of an answer is noticed.

The surprise: whole and bit by bit are one code path, as in the speech codec.

Axis letters: B batch, N samples, T frames, D model, C voices.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers import spectrum
from t2t.layers.causal import CausalStack
from t2t.layers.norm import make_norm
from t2t.losses import Sum, weighted_sum
from t2t.media.tokenizers import plain

RATE, HOP, BANDS, STACKED = 16_000, 160, 80, 4
BEFORE = (spectrum.OVERLAP - 1) * HOP  # samples of a window before its own hop
QUIET = -6.0  # a frame whose loudest band is below says nothing: log of a magnitude


@registry.model("voice_guard")
class VoiceGuard(keras.Model):
    """Sound [N] to voices, frame by frame.

    Args:
      features: of the problem; `audio` is int16 [N], `label` the voice, the last
        class being anybody else.
      hidden_size: D.
      num_layers: convolutions, each over three frames.
      memory: frames after which a frame counts a third (1/e) in the mean.
    """

    FEATURES = {"audio": "audio", "label": "label"}
    METRICS = ("accuracy", "deviation_recall", "deviation_precision")
    JIT = True
    TOKENIZES = "voices"

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 128,
        num_layers: int = 5,
        memory: float = 50.0,
    ) -> None:
        arguments = plain(locals())
        super().__init__(name="voice_guard")
        self.arguments = arguments  # a frozen guard is made anew from them
        self.voices, self.frame = features["label"].size, STACKED * HOP
        self.memory = memory
        dense = keras.layers.Dense
        self.read = dense(hidden_size, name="read")
        self.stack = CausalStack(hidden_size, blocks=num_layers, name="stack")
        self.norm = make_norm("rms", name="norm")
        self.told = dense(hidden_size, name="told")
        self.worth = dense(1, name="worth")
        self.wide = dense(hidden_size, name="wide")
        self.voice = dense(self.voices, name="voice")
        self.mel = spectrum.mel_matrix(BANDS, bins=2 * HOP + 1, rate=RATE)

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """(logits [B, T, C], {'speech': [B, T], whether anything was said so far})."""
        samples = ops.cast(batch["audio"], "float32") / 32768.0
        logits, inner, _ = self.hear(samples)
        return logits, inner

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all': nats of the voice, a mean over frames with speech}, inner values).

        Metrics are of the last frame. Each clip stands once beside its own voice and
        beside every other: deviations are the pairs that do not fit, and caught where
        the chance of the voice that should speak is below a half.
        """
        logits, inner = self(batch, training=training)
        label, weights = batch["label"], ops.cast(batch["weights"], "float32")
        count = logits.shape[1]
        every = ops.broadcast_to(label[:, None], (label.shape[0], count))
        said = inner["speech"] * weights[:, None]
        loss = losses_lib.cross_entropy(logits, every, said)
        if not training:
            last = logits[:, -1]
            right = ops.equal(ops.cast(ops.argmax(last, axis=-1), "int32"), label)
            inner["metrics"] = {
                "accuracy": weighted_sum(right, weights),
                **_deviations(ops.softmax(last, axis=-1), label, weights),
            }
        return {"all": loss}, inner

    def hear(self, samples: Any, past: Any = None) -> tuple[Any, dict[str, Any], Any]:
        """Samples [B, T·frame] within ±1 after a past -> (logits [B, T, C], inner
        values, the past of what follows)."""
        if past is None:
            past = self.silence(samples.shape[0])
        samples = ops.concatenate([past["samples"], samples], axis=1)
        parts = spectrum.spectrum(spectrum.frames(samples, HOP))
        mels = spectrum.log_mel(parts, self.mel)  # [B, 4T, bands]
        stacked = ops.reshape(mels, (mels.shape[0], -1, STACKED * BANDS))
        loud = ops.cast(ops.max(stacked, axis=-1, keepdims=True) > QUIET, "float32")
        x, stack = self.stack(self.read(stacked / 6.0 + 1.0), past=past["stack"])
        x = self.norm(x)
        # sums over a long sound keep float32 where layers compute in less
        worth = loud * (ops.cast(ops.sigmoid(self.worth(x)), "float32") + 1e-3)
        worths = self._sums(worth, past["worths"])
        telling = ops.cast(ops.gelu(self.told(x)), "float32")
        told = self._sums(worth * telling, past["told"])
        mean = ops.cast(told / ops.maximum(worths, 1e-6), x.dtype)
        hidden = ops.gelu(self.wide(ops.concatenate([x, mean], axis=-1)))
        inner = {"speech": ops.cast(worths[..., 0] > 0, "float32")}
        new = {
            "samples": samples[:, -BEFORE:],
            "stack": stack,
            "worths": worths[:, -1:],
            "told": told[:, -1:],
        }
        return ops.cast(self.voice(hidden), "float32"), inner, new

    def _sums(self, x: Any, past: Any) -> Any:
        """[B, T, ·] after a sum [B, 1, ·] -> sums of all so far that forget."""
        ages = np.arange(x.shape[1])[:, None] - np.arange(x.shape[1])[None]
        weights = np.where(ages >= 0, np.exp(-np.maximum(ages, 0) / self.memory), 0.0)
        left = np.exp(-(1.0 + np.arange(x.shape[1])) / self.memory)[:, None]
        own = ops.matmul(ops.convert_to_tensor(weights.astype("float32")), x)
        return own + ops.convert_to_tensor(left.astype("float32")) * past

    def silence(self, rows: int) -> dict[str, Any]:
        """The past of a sound that begins."""
        size = self.stack.blocks[0].size
        return {
            "samples": ops.zeros((rows, BEFORE)),
            "stack": self.stack.silence(rows),
            "worths": ops.zeros((rows, 1, 1)),
            "told": ops.zeros((rows, 1, size)),
        }


def _deviations(chances: Any, label: Any, weights: Any) -> dict[str, Sum]:
    """Recall and precision over pairs of a clip and a voice that should speak.

    A clip's own pair weighs as much as all of its others: half of what a preset says
    is as it should be.
    """
    presets = chances.shape[-1] - 1
    chosen = ops.arange(presets, dtype="int32")[None]
    deviates = ops.cast(ops.not_equal(chosen, label[:, None]), "float32")  # [B, C-1]
    caught = ops.cast(chances[:, :-1] < 0.5, "float32")
    share = deviates / ops.sum(deviates, axis=-1, keepdims=True) + (1.0 - deviates)
    share = share * weights[:, None]
    return {
        "deviation_recall": weighted_sum(caught, share * deviates),
        "deviation_precision": weighted_sum(deviates, share * caught),
    }
