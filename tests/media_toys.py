"""Small media files of every kind that is read, and some that nobody should."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np

from t2t.media import audio, pictures, video


def tone(seconds: float = 0.25, *, rate: int = 16_000, hertz: float = 440) -> Any:
    """float32 [N], half as loud as can be."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def sound_file(format: str, subtype: str | None = None, *, rate: int = 16_000) -> bytes:
    """A tone in two channels, by libsndfile."""
    import soundfile

    buffer = io.BytesIO()
    stereo = np.stack([tone(rate=rate)] * 2, axis=1)
    soundfile.write(buffer, stereo, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def wav(
    *,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    kind: int = 1,
    promised: int | None = None,
    body: bytes = bytes(2_000),
) -> bytes:
    """A WAV whose header says whatever it is told to."""
    size = len(body) if promised is None else promised
    width = channels * bits // 8
    second = rate * width & 0xFFFFFFFF
    header = struct.pack("<IHHIIHH", 16, kind, channels, rate, second, width, bits)
    riff = b"RIFF" + struct.pack("<I", 36 + size & 0xFFFFFFFF) + b"WAVEfmt "
    return riff + header + b"data" + struct.pack("<I", size) + body


def chunk(name: bytes, body: bytes) -> bytes:
    """Of a PNG, with its checksum."""
    check = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + check


def png(
    height: int, width: int, *, between: bytes = b"", pixels: bytes | None = None
) -> bytes:
    """A black PNG with chunks of one's own before its pixels."""
    if pixels is None:
        pixels = zlib.compress(bytes((1 + 3 * width) * height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + between + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif(frames: int, *, canvas: int = 2, frame: int = 2) -> bytes:
    """Tiny frames, a fiftieth of a second each, on a square canvas."""
    screen = struct.pack("<HH", canvas, canvas)
    start = b"GIF89a" + screen + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    place = struct.pack("<HHHH", 0, 0, frame, frame)
    timing = b"\x21\xf9\x04\0\x02\0\0\0"
    return start + frames * (timing + b"," + place + b"\0\x02\x03D4\x05\0") + b";"


def film(count: int = 6, *, height: int = 32, width: int = 48) -> np.ndarray:
    """Frames that get brighter, with a square that moves, uint8 [F, H, W, 3]."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    for i in range(count):
        frames[i] = 20 * i
        frames[i, 4:12, 4 * i : 4 * i + 8] = (255, 64, 0)
    return frames


def picture(height: int = 24, width: int = 32) -> np.ndarray:
    """A slope of colours, uint8 [H, W, 3]."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 8, columns * 7, rows + columns], -1).astype(np.uint8)


def picture_file(format: str, mode: str = "RGB", **options: Any) -> bytes:
    """The slope, by pillow."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture()).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


def webm(frames: np.ndarray, samples: np.ndarray) -> bytes:
    """VP9 at 5 frames a second, and Opus at 48 kHz."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webm") as file:
        shown: Any = file.add_stream("libvpx-vp9", rate=5, options={"cpu-used": "8"})
        shown.height, shown.width = frames.shape[1:3]
        shown.pix_fmt = "yuv420p"
        heard: Any = file.add_stream("libopus", rate=48_000, layout="mono")
        for pixels in frames:
            file.mux(shown.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
        frame.sample_rate, frame.pts = 48_000, 0
        file.mux([*shown.encode(None), *heard.encode(frame), *heard.encode(None)])
    return buffer.getvalue()


def sounds() -> dict[str, bytes]:
    """One whole file of each format of sound."""
    return {
        "wav": sound_file("WAV", "PCM_16"),
        "wav24": sound_file("WAV", "PCM_24"),
        "wav float": sound_file("WAV", "FLOAT"),
        "flac": sound_file("FLAC"),
        "vorbis": sound_file("OGG", "VORBIS"),
        "opus": sound_file("OGG", "OPUS"),
        "mp3": sound_file("MP3"),
        "mp4": video.encode_mp4(film(2), 5, samples=tone(), rate=16_000),
    }


def still_pictures() -> dict[str, bytes]:
    """One whole file of each format of picture."""
    return {
        "png": pictures.encode_png(picture()),
        "png palette": picture_file("PNG", "P"),
        "jpeg": picture_file("JPEG"),
        "jpeg progressive": picture_file("JPEG", progressive=True),
        "webp": picture_file("WEBP"),
        "webp lossless": picture_file("WEBP", lossless=True),
        "gif": picture_file("GIF", "P"),
    }


def films() -> dict[str, bytes]:
    """One whole file of each format of film."""
    return {
        "mp4": video.encode_mp4(film(), 5, samples=tone(1.2), rate=16_000),
        "webm": webm(film(), tone(1.2, rate=48_000)),
        "gif": video.encode_gif(film(), 5),
    }


def wav_of(samples: np.ndarray, rate: int = 16_000) -> bytes:
    return audio.encode_wav(samples, rate)
