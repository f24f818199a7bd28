"""Films in files: MP4, WebM and GIF, with their sound tracks, by FFmpeg (PyAV).

Read as uint8 [F, H, W, 3] at the wanted frames a second: each shows what is on screen
at its time. Sound and frames both start at 0.
"""

from __future__ import annotations

import dataclasses
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from t2t.media import files, isolation, pictures
from t2t.media.limits import HINT, Limits, MediaError, MediaUnavailable
from t2t.media.reel import HIGHEST_FPS


@dataclasses.dataclass(frozen=True, eq=False)
class Video:
    """What a file shows, and what is heard.

    Args:
      frames: uint8 [F, H, W, 3].
      fps: frames a second.
      samples: float32 [N] within ±1; None without a sound track.
      rate: samples a second; 0 without.
    """

    frames: np.ndarray
    fps: float
    samples: np.ndarray | None = None
    rate: int = 0


def read_video(
    source: files.Source,
    *,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    fit: str = "pad",
    rate: int | None = None,
    declared: str = "",
    limits: Limits | None = None,
) -> Video:
    """A film and its first sound track, if any.

    Args:
      source: bytes of a file, or its path.
      fps: frames a second that are wanted; None for each frame once.
      size: (H, W) that is wanted; None for the file's own.
      fit: how `pictures.resized` gets there.
      rate: samples a second that are wanted; None for the file's own.
      declared: media type or name of the format, which is held to it.

    Raises:
      MediaError: for anything but a film within the limits.
      MediaUnavailable: when a library is missing.
    """
    limits = limits or Limits()
    pictures.check_size(size, fit, limits.frame_pixels)
    if fps is not None and not 0 < fps <= HIGHEST_FPS:
        raise MediaError(f"{fps} frames a second: at most {HIGHEST_FPS} are given")
    if rate is not None:
        limits.check_rate(rate)
    data = files.load(source, limits=limits)
    format = files.recognise(data, among=files.FILMS, declared=declared)
    facts, arrays = isolation.decode(
        "film", data, limits=limits, format=format, fps=fps, size=size, fit=fit,
        rate=rate,
    )  # fmt: skip
    samples = arrays[1] if len(arrays) > 1 else None
    return Video(arrays[0], facts["fps"], samples, facts["rate"])


# -- writing -------------------------------------------------------------------------


def encode_mp4(
    frames: np.ndarray,
    fps: float,
    *,
    samples: np.ndarray | None = None,
    rate: int = 0,
) -> bytes:
    """An MP4 of uint8 [F, H, W, 3] in H.264, and of float [N] within ±1 in AAC.

    Odd heights and widths get one more row or column, the same as their last. The
    same input gives the same bytes, with the same library.

    Raises:
      MediaError: for frames of another shape or type.
      MediaUnavailable: without PyAV.
    """
    av = _av()
    frames = _checked(frames)
    even = [(0, side % 2) for side in frames.shape[1:3]]
    frames = np.pad(frames, [(0, 0), *even, (0, 0)], mode="edge")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as file:
        picture = _picture_stream(av, file, frames.shape[1:3], fps)
        sound = None
        if samples is not None:
            sound = file.add_stream("aac", rate=rate, layout="mono")
        for pixels in frames:
            file.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        file.mux(picture.encode(None))
        if sound is not None and samples is not None:
            heard = np.clip(samples, -1.0, 1.0).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(heard, "fltp", "mono")
            frame.sample_rate, frame.pts = rate, 0
            file.mux(sound.encode(frame))
            file.mux(sound.encode(None))
    return buffer.getvalue()


def _picture_stream(av: Any, file: Any, shape: Any, fps: float) -> Any:
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    options = {"crf": "18"} if codec == "libx264" else {"qscale": "2"}
    stream = file.add_stream(
        codec, rate=Fraction(fps).limit_denominator(1001), options=options
    )
    stream.height, stream.width = shape
    stream.pix_fmt = "yuv420p"
    stream.thread_count = 1  # or the bytes depend on the machine
    stream.codec_context.flags |= av.codec.context.Flags.bitexact
    return stream


def encode_gif(frames: np.ndarray, fps: float) -> bytes:
    """A GIF of uint8 [F, H, W, 3] that loops; times are hundredths of a second.

    Raises:
      MediaError: for frames of another shape or type.
      MediaUnavailable: without pillow.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MediaUnavailable(HINT) from None
    first, *rest = map(Image.fromarray, _checked(frames))
    buffer = io.BytesIO()
    first.save(
        buffer, "GIF", save_all=True, append_images=rest, loop=0,
        duration=max(20, 10 * round(100 / fps)),
    )  # fmt: skip
    return buffer.getvalue()


def write_video(
    path: str | Path,
    frames: np.ndarray,
    *,
    fps: float,
    samples: np.ndarray | None = None,
    rate: int = 0,
) -> Path:
    """A file by the path's ending, '.mp4' or '.gif'; there whole or not at all.

    Raises:
      MediaError: for another ending, and for frames of another shape or type.
    """
    ending = Path(path).suffix.lower()
    if ending == ".gif":
        return files.store(path, encode_gif(frames, fps))
    if ending == ".mp4":
        return files.store(path, encode_mp4(frames, fps, samples=samples, rate=rate))
    raise MediaError(f"{str(path)!r} ends with {ending!r}: .mp4 or .gif is expected")


def _checked(frames: np.ndarray) -> np.ndarray:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise MediaError(
            f"frames are {frames.dtype} {frames.shape}: uint8 [F, H, W, 3] is expected"
        )
    if not frames.size:
        raise MediaError(f"frames of shape {frames.shape} show nothing")
    return frames


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise MediaUnavailable(HINT) from None
    return av
