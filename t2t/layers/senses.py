"""Sound and pictures as a network may take them in without any code: continuous inputs.

A row of bytes tells a slot's 40 ms of sound, as log-mel energies, or its square of a
picture, as colours; what encodes them is learned with the rest of the network. (After
the encoders before language models, such as those of arXiv:2304.08485 and
arXiv:2311.07919, which are trained beforehand.)

Axis letters: B batch, T slots, F bytes of a slot, D model.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from t2t.layers import spectrum

NOTHING, HEARD, SEEN = 0, 1, 2  # the first byte of a row
RATE, HOP, BANDS = 16_000, 160, 40
BEFORE = (spectrum.OVERLAP - 1) * HOP  # samples that a frame's spectra look back
QUIET, LOUD = -7.0, 6.0  # nats of a band's energy that are told apart


def width(frame: int, *, patch: int) -> int:
    """F, for sound of `frame` samples a slot and pictures of patch x patch pixels."""
    return 1 + max(frame // HOP * BANDS, 3 * patch**2)


def listen(
    samples: np.ndarray, frame: int, *, size: int, before: np.ndarray | None = None
) -> np.ndarray:
    """uint8 [T, F] of float samples [T·frame]: energies of bands, hop after hop.

    Args:
      size: F.
      before: the `BEFORE` samples that came before; silence by default.
    """
    early = np.zeros(BEFORE, np.float32) if before is None else before
    whole = np.concatenate([early, samples]).astype(np.float32)
    long = BEFORE + HOP
    windows = np.lib.stride_tricks.sliding_window_view(whole, long)[::HOP]
    energies = np.abs(np.fft.rfft(windows * spectrum.hann(long)))
    matrix = spectrum.mel_matrix(BANDS, bins=long // 2 + 1, rate=RATE)
    nats = np.log(np.maximum(energies @ matrix, 1e-5))
    levels = np.clip((nats - QUIET) / (LOUD - QUIET), 0.0, 1.0) * 255.0
    return _rows(HEARD, np.round(levels).reshape(len(samples) // frame, -1), size)


def look(pixels: np.ndarray, patch: int, *, size: int) -> np.ndarray:
    """uint8 [h, w, F] of uint8 pixels [h·patch, w·patch, 3]."""
    height, wide = pixels.shape[0] // patch, pixels.shape[1] // patch
    squares = pixels.reshape(height, patch, wide, patch, 3).swapaxes(1, 2)
    rows = _rows(SEEN, squares.reshape(height * wide, -1), size)
    return rows.reshape(height, wide, size)


def _rows(kind: int, values: np.ndarray, size: int) -> np.ndarray:
    rows = np.zeros((len(values), size), np.uint8)
    rows[:, 0] = kind
    rows[:, 1 : 1 + values.shape[1]] = values
    return rows


class Senses(keras.layers.Layer):
    """Rows of bytes [B, T, F] -> [B, T, D], zeros where a row tells nothing."""

    def __init__(self, size: int, name: str = "senses") -> None:
        super().__init__(name=name)
        self.encoders = {
            kind: keras.Sequential(
                [keras.layers.Dense(size, "gelu"), keras.layers.Dense(size)], name=label
            )
            for kind, label in ((HEARD, "hear"), (SEEN, "see"))
        }

    def call(self, rows: Any) -> Any:
        values = ops.cast(rows[..., 1:], self.compute_dtype) / 127.5 - 1.0
        total: Any = 0.0
        for kind, encoder in self.encoders.items():
            told = ops.equal(rows[..., :1], kind)
            encoded = encoder(values)
            total = total + ops.where(told, encoded, ops.zeros_like(encoded))
        return total
