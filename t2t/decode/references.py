"""Media that requests carry or refer to, as parts of messages of the run's sizes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from t2t.decode.fields import RequestError
from t2t.media import fetch
from t2t.media.audio import read_audio
from t2t.media.fetch import Access
from t2t.media.limits import Limits, MediaError
from t2t.media.messages import RATE, Film, Picture, Sound
from t2t.media.pictures import read_picture
from t2t.media.video import read_video

FPS = 5.0  # of the films of messages
SIDE = 32  # pixels of pictures, where no problem says another
SILENT = 1e-3  # below it a film's track says nothing
MOST = 16  # pictures, sounds and films of a request


@dataclasses.dataclass
class References:
    """Reads what a request refers to.

    Args:
      access: what may be fetched.
      limits: of decoding.
      side: pixels of a side of pictures and films.
    """

    access: Access
    limits: Limits
    side: int = SIDE
    count: int = 0

    def picture(self, reference: str, where: str) -> list[Any]:
        """[Picture], all of it shown, over black where it is not square."""
        found = self._fetch(reference, where)
        return self.seen(found.data, where, declared=found.media_type)

    def seen(self, content: bytes, where: str, *, declared: str = "") -> list[Any]:
        """[Picture] of a file's bytes."""
        size = (self.side, self.side)
        with _told(where):
            pixels = read_picture(
                content, size=size, declared=declared, limits=self.limits
            )
        return [Picture(pixels)]

    def sound(self, reference: str, where: str) -> list[Any]:
        """[Sound]."""
        found = self._fetch(reference, where)
        return self.heard(found.data, where, declared=found.media_type)

    def coded(self, data: str, where: str, *, declared: str) -> list[Any]:
        """[Sound] of base64 of a file.

        Args:
          declared: its format.
        """
        self._one_more(where)
        with _told(where):
            content = fetch.decode_base64(data, limits=self.limits)
        return self.heard(content, where, declared=declared)

    def heard(self, content: bytes, where: str, *, declared: str = "") -> list[Any]:
        """[Sound] of a file's bytes."""
        with _told(where):
            samples, _ = read_audio(
                content, rate=RATE, declared=declared, limits=self.limits
            )
        return [Sound(samples)]

    def film(self, reference: str, where: str) -> list[Any]:
        """[Film], and [Sound] after it where its track is not silent."""
        found = self._fetch(reference, where)
        return self.filmed(found.data, where, declared=found.media_type)

    def filmed(self, content: bytes, where: str, *, declared: str = "") -> list[Any]:
        """See `film`, of a file's bytes."""
        size = (self.side, self.side)
        with _told(where):
            video = read_video(
                content, fps=FPS, size=size, rate=RATE,
                declared=declared, limits=self.limits,
            )  # fmt: skip
        parts: list[Any] = [Film(video.frames)]
        heard = video.samples
        if heard is not None and heard.size and np.abs(heard).max() > SILENT:
            parts.append(Sound(heard))
        return parts

    def _fetch(self, reference: str, where: str) -> fetch.Fetched:
        self._one_more(where)
        with _told(where):
            return fetch.fetch(reference, self.access, limits=self.limits)

    def _one_more(self, where: str) -> None:
        self.count += 1
        if self.count > MOST:
            raise RequestError(
                f"more than {MOST} pictures, sounds and films", param=where
            )


class _told:
    """A refused file as an error of the request, at its place."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, MediaError):
            raise RequestError(
                f"{self.where}: {error}", param=self.where, code="invalid_media"
            ) from None
