"""Frames and sound of a film, by FFmpeg, in the process that decodes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from t2t.media import headers, pictures
from t2t.media.limits import Limits, MediaError
from t2t.media.track import Track

# Named, never guessed: FFmpeg knows formats that are lists of other files to open.
DEMUXERS = {
    "mp4": "mp4", "webm": "matroska", "gif": "gif", "ogg": "ogg", "mp3": "mp3",
}  # fmt: skip
HIGHEST_FPS = 240


def decode(
    data: bytes,
    *,
    limits: Limits,
    format: str,
    fps: float | None,
    size: Any,
    fit: str,
    rate: int | None,
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """({'fps', 'rate'}, [frames [F, H, W, 3], and samples [N] if there are any])."""
    data = headers.check(data, format, limits=limits)
    with _open(data, format, limits) as file:
        streams = [s[0] for s in (file.streams.video, file.streams.audio) if s]
        if not file.streams.video:
            raise MediaError(f"{format} holds no film")
        _prepare(streams, limits)
        reel = Reel(streams[0], fps, size, fit, limits)
        track = None
        for frame in _frames(file, streams):
            if hasattr(frame, "sample_rate"):
                track = track or Track(frame.sample_rate, rate, limits)
                track.add(_samples(frame, track.rate))
            else:
                reel.add(frame)
    shown = reel.frames()
    facts = {"fps": reel.rate, "rate": track.wanted if track else 0}
    return facts, [shown, *([track.samples()] if track else [])]


def sound_blocks(
    data: bytes, format: str, limits: Limits
) -> Iterator[tuple[np.ndarray, int]]:
    """(samples [n, C], rate) of the first sound track."""
    with _open(data, format, limits) as file:
        streams = list(file.streams.audio)[:1]
        if not streams:
            return  # or all of them would be decoded
        _prepare(streams, limits)
        for frame in _frames(file, streams):
            yield _samples(frame, frame.sample_rate), frame.sample_rate


def _open(data: bytes, format: str, limits: Limits) -> Any:
    import av

    # Also while FFmpeg looks into the streams, before we know their sizes.
    options = {"max_pixels": str(limits.frame_pixels), "threads": "1"}
    return av.open(
        io.BytesIO(data),
        format=DEMUXERS[format],
        options=options,
        metadata_errors="ignore",
    )


def _prepare(streams: list[Any], limits: Limits) -> None:
    """Checks what the streams promise, before a frame is decoded."""
    for stream in streams:
        context = stream.codec_context
        if context is None:
            raise MediaError("a film in a code that nobody here knows")
        context.thread_count = 1
        context.options = {"max_pixels": str(limits.frame_pixels)}
        seconds = float((stream.duration or 0) * (stream.time_base or 0))
        if stream.type == "video":
            limits.check_pixels(
                context.height, context.width, most=limits.frame_pixels, what="a film"
            )
            _check_seconds(seconds, limits)
        else:
            limits.check_rate(context.sample_rate)
            limits.check_channels(context.channels)
            limits.check_sound(int(seconds), 1)


def _check_seconds(seconds: float, limits: Limits) -> None:
    if seconds > limits.film_seconds:
        raise MediaError(
            f"a film of {seconds:,.1f} s or more: at most {limits.film_seconds:g} s "
            "are read"
        )


def _frames(file: Any, streams: list[Any]) -> Iterator[Any]:
    for packet in file.demux(streams):
        yield from packet.decode()


def _samples(frame: Any, rate: int) -> np.ndarray:
    """A frame of sound as float32 [n, C]."""
    if frame.sample_rate != rate:
        raise MediaError(
            f"a sound that goes from {rate} to {frame.sample_rate} samples a second"
        )
    values = frame.to_ndarray()  # [C, n], or [1, n * C] when they are interleaved
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype.kind == "u":
        return (values.T.astype(np.float32) - 128.0) / 128.0
    scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (8 * values.itemsize - 1)
    return (values.T / scale).astype(np.float32)


class Reel:
    """Frames of a stream at the wanted rate and size.

    Args:
      fps: None for each frame once.
      size: (H, W), or None for its own.
    """

    def __init__(
        self, stream: Any, fps: float | None, size: Any, fit: str, limits: Limits
    ) -> None:
        self.limits, self.size, self.fit = limits, size and tuple(size), fit
        self._fps = fps
        guess = float(stream.average_rate or stream.guessed_rate or 0)
        self._usual = 1.0 / guess if 0 < guess <= HIGHEST_FPS else 0.1
        self._seen, self._begin, self._time, self._until = 0, 0.0, 0.0, 0.0
        self._last: np.ndarray | None = None
        self._kept: list[np.ndarray] = []

    @property
    def rate(self) -> float:
        """Frames a second, of the file where none were wanted."""
        return self._fps or round(len(self._kept) / self._until, 6)

    def add(self, frame: Any) -> None:
        """
        Raises:
          MediaError: when it gets too long or too large, or changes its size.
        """
        self._seen += 1
        if self._seen > self.limits.film_frames:
            raise MediaError(
                f"a film of over {self.limits.film_frames:,} frames, which are too many"
            )
        self._move_to(frame)
        pixels = self._pixels(frame)
        if self._fps is None:
            self._keep(pixels)
        self._last = pixels

    def frames(self) -> np.ndarray:
        """[F, H, W, 3].

        Raises:
          MediaError: when there are none.
        """
        if self._last is None:
            raise MediaError("a film without frames")
        self._show_until(self._until)
        if not self._kept:  # shorter than one of the wanted
            self._keep(self._last)
        return np.stack(self._kept)

    def _move_to(self, frame: Any) -> None:
        """Shows what was on screen until a frame's time."""
        if frame.time is None:
            time = self._until
        else:
            if self._seen == 1:
                self._begin = frame.time
            time = max(self._time, frame.time - self._begin)
        lasts = float((frame.duration or 0) * (frame.time_base or 0))
        self._time, self._until = time, time + (lasts if lasts > 0 else self._usual)
        _check_seconds(self._until, self.limits)
        self._show_until(time)

    def _show_until(self, time: float) -> None:
        if self._fps is None or self._last is None:
            return
        # Times are in ticks of the file, seldom quite ours.
        while len(self._kept) / self._fps < time - 1e-4:
            self._keep(self._last)

    def _keep(self, pixels: np.ndarray) -> None:
        if self._kept and pixels.shape != self._kept[0].shape:
            raise MediaError(
                f"a film that goes from {self._kept[0].shape[:2]} pixels to "
                f"{pixels.shape[:2]}; give a size"
            )
        if (len(self._kept) + 1) * pixels.size > self.limits.film_bytes:
            raise MediaError(
                f"a film of over {self.limits.film_bytes:,} bytes of pixels: give a "
                "smaller size or fewer frames a second"
            )
        self._kept.append(pixels)

    def _pixels(self, frame: Any) -> np.ndarray:
        """The right way up, over white, in the wanted size."""
        self.limits.check_pixels(
            frame.height, frame.width, most=self.limits.frame_pixels, what="a film"
        )
        if "a" in frame.format.name.replace("gray", ""):
            shades = frame.to_ndarray(format="rgba").astype(np.uint16)
            alpha = shades[..., 3:]
            over = (shades[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
            pixels = over.astype(np.uint8)
        else:
            pixels = frame.to_ndarray(format="rgb24")
        pixels = np.rot90(pixels, round(frame.rotation / 90) % 4)
        if self.size:
            pixels = pictures.resized(
                np.ascontiguousarray(pixels), self.size, fit=self.fit
            )
        return pixels
