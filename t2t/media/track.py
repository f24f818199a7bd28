"""A sound, block by block, and its decoding, in the process that decodes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from t2t.media import headers
from t2t.media.limits import Limits, MediaError

BLOCK = 65_536  # frames decoded at once


class Track:
    """Blocks of samples that become one sound.

    Args:
      rate: of the blocks.
      wanted: to resample to; None for the same.
    """

    def __init__(self, rate: int, wanted: int | None, limits: Limits) -> None:
        limits.check_rate(rate)
        self.rate, self.wanted, self.limits = rate, wanted or rate, limits
        self._heard, self._kept = 0, 0
        self._blocks: list[np.ndarray] = []
        self._resampler: Any = None
        if self.wanted != rate:
            import soxr

            self._resampler = soxr.ResampleStream(rate, self.wanted, 1)

    def add(self, block: np.ndarray) -> None:
        """Samples [n, C].

        Raises:
          MediaError: for NaN or infinite ones, or when it gets too long.
        """
        self.limits.check_channels(block.shape[1])
        self._heard += len(block)
        self.limits.check_sound(self._heard, self.rate)
        mono = block.astype(np.float32).mean(axis=1, dtype=np.float32)
        check_finite(mono)
        # Before resampling: sums of the largest floats are infinite.
        self._keep(np.clip(mono, -1.0, 1.0), last=False)

    def samples(self) -> np.ndarray:
        """All of it, float32 [N].

        Raises:
          MediaError: when there are none.
        """
        self._keep(np.zeros(0, np.float32), last=True)
        if not self._kept:
            raise MediaError("a sound without samples")
        return np.concatenate(self._blocks)

    def _keep(self, mono: np.ndarray, *, last: bool) -> None:
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=last)
        self._kept += len(mono)
        # The resampler may round up by some samples.
        self.limits.check_sound(max(0, self._kept - 256), self.wanted)
        self._blocks.append(np.clip(mono, -1.0, 1.0))


def check_finite(samples: np.ndarray) -> None:
    wrong = int(np.count_nonzero(~np.isfinite(samples)))
    if wrong:
        raise MediaError(f"a sound with {wrong:,} samples that are NaN or infinite")


def decode(
    data: bytes, *, limits: Limits, format: str, rate: int | None
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """({'rate'}, [samples [N]])."""
    data = headers.check(data, format, limits=limits)
    track: Track | None = None
    for block, block_rate in _blocks(data, format, limits):
        track = track or Track(block_rate, rate, limits)
        if block_rate != track.rate:
            raise MediaError(
                f"a sound that goes from {track.rate} to {block_rate} samples a second"
            )
        track.add(block)
    if track is None:
        raise MediaError(f"{format} holds no sound")
    return {"rate": track.wanted}, [track.samples()]


def _blocks(
    data: bytes, format: str, limits: Limits
) -> Iterator[tuple[np.ndarray, int]]:
    """(samples [n, C], rate) by libsndfile, or by FFmpeg what that cannot open."""
    from t2t.media import reel

    if format not in ("mp4", "webm"):
        import soundfile

        try:
            opened = soundfile.SoundFile(io.BytesIO(data))
        except soundfile.LibsndfileError:
            if format in ("wav", "flac"):
                raise
        else:
            with opened:
                yield from _sndfile_blocks(opened, format, limits)
            return
    yield from reel.sound_blocks(data, format, limits)


def _sndfile_blocks(
    opened: Any, format: str, limits: Limits
) -> Iterator[tuple[np.ndarray, int]]:
    limits.check_channels(opened.channels)
    limits.check_rate(opened.samplerate)
    if format in ("wav", "flac"):  # others only guess
        limits.check_sound(opened.frames, opened.samplerate)
    heard = 0
    while len(block := opened.read(BLOCK, dtype="float32", always_2d=True)):
        heard += len(block)
        yield block, opened.samplerate
    if format == "flac" and 0 < heard < opened.frames:
        raise MediaError(f"a FLAC promises {opened.frames:,} samples and has {heard:,}")
