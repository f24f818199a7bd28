"""Sound on the wire, base64 of PCM16 at the declared rate, and samples at 16 kHz."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from t2t.decode.fields import RequestError
from t2t.media.audio import encode_audio
from t2t.media.fetch import decode_base64
from t2t.media.limits import MediaError
from t2t.media.messages import RATE

LOWEST, HIGHEST = 8_000, 48_000  # samples a second


def samples_of(data: str, where: str) -> np.ndarray:
    """float32 [n] of base64 of PCM16, little-endian.

    Raises:
      RequestError: when it is none.
    """
    try:
        found = decode_base64(data)
    except MediaError as error:
        raise RequestError(f"{where}: {error}", param=where) from None
    if len(found) % 2:
        raise RequestError(
            f"{where} has {len(found)} bytes: two for each sample are expected",
            param=where,
        )
    return np.frombuffer(found, "<i2").astype(np.float32) / 32768.0


def data_of(samples: np.ndarray) -> str:
    """The inverse of `samples_of`."""
    return base64.b64encode(encode_audio(samples, RATE, format="pcm")).decode()


class Resampler:
    """A stream of samples from one rate to another."""

    def __init__(self, rate: int, wanted: int) -> None:
        self.rates = (rate, wanted)
        self._stream: Any = None

    def __call__(self, samples: np.ndarray, *, last: bool = False) -> np.ndarray:
        """float32 [m]: what can be told by now; after the last it begins anew."""
        if self.rates[0] == self.rates[1]:
            return samples
        if self._stream is None:
            import soxr

            self._stream = soxr.ResampleStream(*self.rates, 1)
        found = np.asarray(self._stream.resample_chunk(samples, last=last))
        if last:
            self._stream = None
        return found
