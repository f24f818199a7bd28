"""Sound as spectra of overlapping windows, and back, looking back only.

A window ends with its hop's last sample, so frame t is known when hop t is. The sum
of squared Hann windows at three quarters overlap is constant: overlapping and adding
inverts exactly but for the first 3 and the last 3 hops.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

OVERLAP = 4  # windows over each sample


def hann(size: int) -> np.ndarray:
    """The periodic Hann window, float32 [size]."""
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)).astype("float32")


def frames(samples: Any, hop: int) -> Any:
    """[B, T·hop], preceded by 3 hops, -> windows [B, T - 3, 4·hop]."""
    hops = ops.reshape(samples, (samples.shape[0], -1, hop))
    count = hops.shape[1] - OVERLAP + 1
    beside = [hops[:, i : i + count] for i in range(OVERLAP)]
    return ops.concatenate(beside, axis=-1)


def spectrum(windows: Any) -> tuple[Any, Any]:
    """Windows [..., W] -> real and imaginary parts [..., W/2 + 1]."""
    return ops.rfft(windows * hann(windows.shape[-1]))


def overlap_add(parts: tuple[Any, Any], *, hop: int) -> Any:
    """Spectra (real, imaginary) [B, T, 2·hop + 1] -> samples [B, (T + 3)·hop]."""
    size = OVERLAP * hop
    windows = ops.irfft(parts, fft_length=size) * hann(size)
    pieces = ops.reshape(windows, (*windows.shape[:2], OVERLAP, hop))
    total = 0.0
    for i in range(OVERLAP):
        after = OVERLAP - 1 - i
        total += ops.pad(pieces[:, :, i], [[0, 0], [i, after], [0, 0]])
    square = OVERLAP * 3.0 / 8.0  # of Hann windows, summed over those at a sample
    return ops.reshape(total / square, (windows.shape[0], -1))


def mel_matrix(bands: int, *, bins: int, rate: int) -> np.ndarray:
    """Triangles of equal height on the mel scale (HTK's), float32 [bins, bands].

    Args:
      bins: frequencies from 0 to rate / 2 Hz.
    """
    to_mel, top = 2595.0, 700.0
    edges = np.linspace(0.0, to_mel * np.log10(1.0 + rate / 2.0 / top), bands + 2)
    hertz = top * (10.0 ** (edges / to_mel) - 1.0)
    at = np.linspace(0.0, rate / 2.0, bins)[:, None]
    rise = (at - hertz[:-2]) / np.diff(hertz)[:-1]
    fall = (hertz[2:] - at) / np.diff(hertz)[1:]
    return np.maximum(0.0, np.minimum(rise, fall)).astype("float32")


def log_mel(parts: tuple[Any, Any], matrix: np.ndarray) -> Any:
    """Natural logarithm of the energies in mel bands, floored at 1e-5."""
    real, imaginary = parts
    # The root has no slope at 0.
    magnitude = ops.sqrt(ops.square(real) + ops.square(imaginary) + 1e-9)
    return ops.log(ops.maximum(ops.matmul(magnitude, matrix), 1e-5))
