"""What a file promises before anything is decoded or allocated.

Libraries trust these numbers, some at once: a canvas of WebP is allocated when the
file is opened, and a text chunk of PNG is inflated when it is met.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from t2t.media.limits import Limits, MediaError

# Chunks of PNG that say what the pixels are. Texts, colour profiles and the further
# frames of an animation are left out, so nobody inflates them.
KEPT = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")
CHUNKS = 65_536  # most of a PNG


def check(data: bytes, format: str, *, limits: Limits) -> bytes:
    """The file, for a PNG without what is not needed.

    Raises:
      MediaError: for promises over the limits, and for files cut short.
    """
    if format == "png":
        return _png(data, limits)
    if format == "wav":
        _wav(data, limits)
    elif format == "flac":
        _flac(data, limits)
    elif format == "webp":
        _canvas(_webp_size(data), limits)
    elif format == "gif":
        if len(data) < 13:
            raise MediaError("a GIF is cut short in its header")
        _canvas(struct.unpack_from("<HH", data, 6), limits)
    elif format == "mp4":
        _mp4(data)
    return data


def _canvas(size: tuple[int, ...], limits: Limits) -> None:
    width, height = size
    limits.check_pixels(height, width, most=limits.pixels, what="a picture")


# -- sound -------------------------------------------------------------------------


def _wav(data: bytes, limits: Limits) -> None:
    """A format first, then samples, all of them there."""
    found = dict(_riff(data))
    if b"fmt " not in found:
        raise MediaError("a WAV without a format, or cut short in it")
    begin, size = found[b"fmt "]
    if size < 16 or begin + 16 > len(data):
        raise MediaError(f"a WAV whose format has {size} bytes: 16 are expected")
    _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, begin)
    limits.check_channels(channels)
    limits.check_rate(rate)
    if b"data" not in found:
        raise MediaError("a WAV without samples, or cut short before them")
    begin, size = found[b"data"]
    if begin + size > len(data):
        raise MediaError(
            f"a WAV promises {size:,} bytes of samples and has {len(data) - begin:,}"
        )
    if bits:  # some compressed ones say 0
        limits.check_sound(size * 8 // (bits * channels), rate)


def _riff(data: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """(name, (begin, size)) of chunks, up to the samples."""
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        yield name, (at + 8, size)
        if name == b"data":
            return
        at += 8 + size + size % 2


def _flac(data: bytes, limits: Limits) -> None:
    """STREAMINFO stands first."""
    if len(data) < 42:
        raise MediaError(f"a FLAC of {len(data)} bytes is cut short in its header")
    (packed,) = struct.unpack_from(">Q", data, 18)
    rate, channels = packed >> 44, (packed >> 41 & 7) + 1
    limits.check_channels(channels)
    limits.check_rate(rate)
    limits.check_sound(packed & (1 << 36) - 1, rate)


# -- pictures ----------------------------------------------------------------------


def _png(data: bytes, limits: Limits) -> bytes:
    kept = [data[:8]]
    for number, (name, begin, end) in enumerate(_png_chunks(data)):
        if number == 0:
            if name != b"IHDR" or end - begin < 25:
                raise MediaError("a PNG without its header")
            _canvas(struct.unpack_from(">II", data, begin + 8), limits)
        if number >= CHUNKS:
            raise MediaError(f"a PNG of over {CHUNKS:,} chunks")
        if name in KEPT:
            kept.append(data[begin:end])
    return b"".join(kept)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, begin, end) of chunks, IEND the last."""
    at = 8
    while at + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data):
            break
        yield name, at, end
        if name == b"IEND":
            return
        at = end
    raise MediaError(f"a PNG is cut short after {at:,} bytes")


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) of the canvas."""
    if len(data) < 30:
        raise MediaError(f"a WebP of {len(data)} bytes is cut short in its header")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") for i in (24, 27))
        return width + 1, height + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise MediaError(f"a WebP that begins with {kind!r}: VP8, VP8L or VP8X is expected")


# -- films -------------------------------------------------------------------------


def _mp4(data: bytes) -> None:
    """Outer boxes lie within the file, and what is in it is told in one of them."""
    at, names = 0, []
    while at + 8 <= len(data) and len(names) < CHUNKS:
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        size = size or len(data) - at  # 0: to the end
        if size < 8 or at + size > len(data):
            raise MediaError(
                f"an MP4 promises {size:,} bytes of {name!r} and has {len(data) - at:,}"
            )
        names.append(name)
        at += size
    if b"moov" not in names:
        raise MediaError("an MP4 without 'moov', which tells what is in it")
