"""What happens to a sound before it is heard: noise, a room, a telephone, clipping."""

from __future__ import annotations

import numpy as np

from t2t.media.messages import RATE
from t2t.problems.problem import DataUnavailable

NOISE = "noise, dB"  # before a signal-to-noise ratio
CONDITIONS = (
    *(f"{NOISE} {ratio}" for ratio in (20, 10, 5, 0)), "echo", "telephone", "clipping",
)  # fmt: skip
REVERBERATION = 0.3  # seconds until an echo is 60 dB lower


def degrade(
    samples: np.ndarray, condition: str, rng: np.random.Generator
) -> np.ndarray:
    """A sound, float32 [N] at 16 kHz, as it is heard in one of the `CONDITIONS`.

    Raises:
      ValueError: for a condition that is none of them.
    """
    if condition.startswith(NOISE):
        power = float(np.mean(np.square(samples)))
        ratio = 10 ** (float(condition.removeprefix(NOISE)) / 10)
        noise = rng.normal(scale=(power / ratio) ** 0.5, size=len(samples))
        return np.clip(samples + noise, -1, 1).astype(np.float32)
    if condition == "echo":
        times = np.arange(int(REVERBERATION * RATE)) / RATE
        room = rng.normal(size=len(times)) * 10 ** (-3 * times / REVERBERATION)
        room *= 0.3 / np.linalg.norm(room)
        room[0] = 1.0
        heard = np.convolve(samples, room)
        return (heard / max(1.0, np.abs(heard).max())).astype(np.float32)
    if condition == "telephone":
        return _telephone(samples)
    if condition == "clipping":
        most = 0.15 * np.abs(samples).max()
        return np.clip(samples, -most, most)
    raise ValueError(f"there is no condition {condition!r}, only {CONDITIONS}")


def _telephone(samples: np.ndarray) -> np.ndarray:
    """8 kHz and nothing below 300 Hz."""
    try:
        import soxr
    except ImportError:
        raise DataUnavailable(
            "resampling needs soxr: pip install -e '.[omni]'"
        ) from None
    narrow = soxr.resample(soxr.resample(samples, RATE, 8_000), 8_000, RATE)
    spectrum = np.fft.rfft(narrow)
    spectrum[np.fft.rfftfreq(len(narrow), 1 / RATE) < 300] = 0
    return np.fft.irfft(spectrum, len(narrow)).astype(np.float32)
