"""Bytes of files: read within limits, known by how they begin, written whole."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from t2t.media.limits import Limits, MediaError

Source = bytes | str | Path  # what is in a file, or where it is

# What each format is called by those who declare it.
NAMES = {
    "wav": ("wav", "audio/wav", "audio/wave", "audio/x-wav", "audio/vnd.wave"),
    "flac": ("flac", "audio/flac", "audio/x-flac"),
    "ogg": (
        "ogg", "opus", "audio/ogg", "audio/opus", "audio/vorbis", "application/ogg",
        "video/ogg",
    ),
    "mp3": ("mp3", "audio/mp3", "audio/mpeg", "audio/mpga", "audio/x-mp3"),
    "png": ("png", "image/png", "image/apng"),
    "jpeg": ("jpeg", "jpg", "image/jpeg", "image/jpg", "image/pjpeg"),
    "webp": ("webp", "image/webp"),
    "gif": ("gif", "image/gif", "video/gif"),
    "mp4": (
        "mp4", "m4a", "m4v", "mov", "video/mp4", "audio/mp4", "audio/m4a",
        "audio/x-m4a", "video/x-m4v", "video/quicktime",
    ),
    "webm": (
        "webm", "mkv", "video/webm", "audio/webm", "video/x-matroska",
        "audio/x-matroska",
    ),
}  # fmt: skip
ANYTHING = ("", "application/octet-stream", "binary/octet-stream")
SOUNDS = ("wav", "flac", "ogg", "mp3", "mp4", "webm")
PICTURES = ("png", "jpeg", "webp", "gif")
FILMS = ("mp4", "webm", "gif")


def load(source: Source, *, limits: Limits) -> bytes:
    """The bytes of a source, its size checked first.

    Raises:
      MediaError: when there is no such file, or it is empty or too large.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        check_size(len(source), limits)
        return bytes(source)
    try:
        # Without waiting, should it be a pipe.
        file = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{str(source)!r} cannot be opened: {reason}") from None
    try:
        return read_open(file, str(source), limits=limits)
    finally:
        os.close(file)


def read_open(file: int, name: str, *, limits: Limits) -> bytes:
    """What is behind an open descriptor; devices, pipes and folders are refused."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{name!r} is not a regular file")
    check_size(status.st_size, limits)
    with open(file, "rb", closefd=False) as opened:
        data = opened.read(limits.file_bytes + 1)  # it may have grown
    check_size(len(data), limits)
    return data


def check_size(size: int, limits: Limits) -> None:
    """
    Raises:
      MediaError: for no bytes or too many.
    """
    if not size:
        raise MediaError("a file of 0 bytes")
    if size > limits.file_bytes:
        raise MediaError(
            f"a file of {size:,} bytes: at most {limits.file_bytes:,} are read"
        )


def recognise(data: bytes, *, among: tuple[str, ...], declared: str = "") -> str:
    """The name of a file's format, by its first bytes.

    Args:
      among: names of NAMES that are expected.
      declared: as a media type ('audio/wav; rate=16000') or a name ('wav'); '' for
        nothing.

    Raises:
      MediaError: for another format, or another than was declared.
    """
    found = _magic(data[:64])
    if found not in among:
        given = found or f"a file that begins with {data[:8]!r}"
        raise MediaError(f"{given} is given: one of {', '.join(among)} is expected")
    said = declared.split(";")[0].strip().lower()
    if said not in ANYTHING and said not in NAMES[found]:
        known = any(said in names for names in NAMES.values())
        raise MediaError(
            f"{said[:80]!r} is declared, but {found} is given"
            if known
            else f"there is no format {said[:80]!r}, only {', '.join(among)}"
        )
    return found


def _magic(head: bytes) -> str:
    if head[:4] == b"RIFF":
        return {b"WAVE": "wav", b"WEBP": "webp"}.get(head[8:12], "")
    begins = {
        b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3", b"\x89PNG\r\n\x1a\n": "png",
        b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif",
        b"\x1aE\xdf\xa3": "webm",
    }  # fmt: skip
    for magic, name in begins.items():
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "mp4"
    # A frame of MPEG: eleven bits set, then a version and layer III.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:
        return "mp3"
    return ""


def store(path: str | Path, data: bytes) -> Path:
    """Writes a file under another name, then renames it; returns its path.

    Raises:
      OSError: when it cannot be written; nothing is left behind.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
