"""Sounds in files: WAV, FLAC, Ogg (Vorbis, Opus), MP3, and the track of a film.

Read as float32 [N] of one channel within ±1: channels are averaged, and what goes
beyond ±1 is clipped. Decoded and resampled block by block, so a header that promises
too little costs no more than one that tells the truth.
"""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

from t2t.media import files, isolation
from t2t.media.limits import HINT, Limits, MediaError, MediaUnavailable
from t2t.media.track import check_finite

# What libsndfile calls them.
ENCODED = {
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "opus": ("OGG", "OPUS"),
}


def read_audio(
    source: files.Source,
    *,
    rate: int | None = None,
    declared: str = "",
    limits: Limits | None = None,
) -> tuple[np.ndarray, int]:
    """(samples float32 [N] within ±1, samples a second).

    Args:
      source: bytes of a file, or its path.
      rate: to resample to, by soxr; None for the file's own.
      declared: media type or name of the format, which is held to it.

    Raises:
      MediaError: for anything but a whole sound within the limits.
      MediaUnavailable: when a library is missing.
    """
    limits = limits or Limits()
    if rate is not None:
        limits.check_rate(rate)
    data = files.load(source, limits=limits)
    format = files.recognise(data, among=files.SOUNDS, declared=declared)
    facts, (samples,) = isolation.decode(
        "sound", data, limits=limits, format=format, rate=rate
    )
    return samples, facts["rate"]


def encode_wav(samples: np.ndarray, rate: int) -> bytes:
    """A WAV of 16 bits of float [N] within ±1; what is beyond is clipped.

    Raises:
      MediaError: for samples of another shape, or NaN or infinite.
    """
    if samples.ndim != 1:
        raise MediaError(f"samples of shape {samples.shape}: [N] is expected")
    check_finite(samples)
    levels = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(levels.tobytes())
    return buffer.getvalue()


def encode_audio(samples: np.ndarray, rate: int, *, format: str) -> bytes:
    """A file of float [N] within ±1: 'wav', 'flac', 'mp3', 'opus' (in Ogg), or 'pcm',
    which is 16 bits little-endian without a header.

    Raises:
      MediaError: for another format, or samples of another shape, or NaN or infinite.
      MediaUnavailable: when a library is missing.
    """
    if format in ("wav", "pcm"):
        whole = encode_wav(samples, rate)
        return whole if format == "wav" else whole[44:]
    if format not in ENCODED:
        known = ", ".join(("wav", "pcm", *ENCODED))
        raise MediaError(f"there is no format {format!r} to write, only {known}")
    try:
        import soundfile
    except (ImportError, OSError):
        raise MediaUnavailable(HINT) from None
    check_finite(samples)
    buffer = io.BytesIO()
    container, subtype = ENCODED[format]
    soundfile.write(
        buffer, np.clip(samples, -1.0, 1.0), rate, format=container, subtype=subtype
    )
    return buffer.getvalue()


def resampled(samples: np.ndarray, rate: int, *, wanted: int) -> np.ndarray:
    """Samples [N] at another rate, by soxr.

    Raises:
      MediaUnavailable: when a library is missing.
    """
    if rate == wanted:
        return samples
    try:
        import soxr
    except ImportError:
        raise MediaUnavailable(HINT) from None
    return np.asarray(soxr.resample(samples, rate, wanted))


def write_wav(path: str | Path, samples: np.ndarray, *, rate: int) -> Path:
    """`encode_wav` into a file, which is there whole or not at all."""
    return files.store(path, encode_wav(samples, rate))
