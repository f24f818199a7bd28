"""References in requests, `data:` URLs, paths and addresses, as bytes.

A server that opens what strangers name can be made to read its own files and to talk
to machines that only it can reach. So only `data:` is on from the start; paths lie
below one folder; and addresses on the web are resolved first, refused unless they are
public, and then that very address is connected to, again at each redirect, so that a
name cannot mean something else the second time.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ipaddress
import os
import re
import stat
from pathlib import Path, PurePosixPath
from urllib.parse import unquote_to_bytes

from t2t.media import files, web
from t2t.media.limits import Limits, MediaError

SHOWN = 80  # characters of a reference in an error


@dataclasses.dataclass(frozen=True)
class Access:
    """What may be fetched.

    Args:
      data: whether `data:` URLs are read.
      folder: below which paths are read; None for no paths.
      http: whether http: and https: URLs are read, from public addresses and ports
        80 and 443.
      allowed_networks: further networks ('127.0.0.0/8'), at any port; for tests.
      redirects: most of them followed.
      deadline: seconds for all of a fetch, with its redirects.
    """

    data: bool = True
    folder: str | Path | None = None
    http: bool = False
    allowed_networks: tuple[str, ...] = ()
    redirects: int = 3
    deadline: float = 10.0

    @property
    def networks(self) -> tuple[web.Network, ...]:
        return tuple(ipaddress.ip_network(n) for n in self.allowed_networks)


@dataclasses.dataclass(frozen=True)
class Fetched:
    """data: not empty; media_type: as declared, '' where nothing was."""

    data: bytes = dataclasses.field(repr=False)
    media_type: str = ""


def fetch(
    reference: str, access: Access | None = None, *, limits: Limits | None = None
) -> Fetched:
    """What a reference stands for.

    Args:
      reference: 'data:…', 'http://…', 'https://…', or a path.
      access: only `data:` when it is not given.
      limits: for `file_bytes`.

    Raises:
      MediaError: for what is not allowed, not there, or too large.
    """
    access, limits = access or Access(), limits or Limits()
    scheme = _scheme(reference)
    if scheme == "data" and access.data:
        return _from_data(reference, limits)
    if scheme in ("http", "https") and access.http:
        return _from_web(reference, access, limits)
    if not scheme and access.folder is not None:
        return _from_folder(reference, Path(access.folder), limits)
    known = scheme in ("", "data", "http", "https")
    kind = f"{scheme}: URLs" if scheme else "paths"
    raise MediaError(
        f"{_shown(reference)} is refused: {kind} are not "
        + ("allowed here" if known else "read")
    )


def _scheme(reference: str) -> str:
    """'' for a path; what is longer than any scheme is one, too."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):", reference)
    return found[1].lower() if found else ""


def _shown(reference: str) -> str:
    return repr(reference if len(reference) <= SHOWN else reference[: SHOWN - 1] + "…")


# -- data: ---------------------------------------------------------------------------


def _from_data(url: str, limits: Limits) -> Fetched:
    """RFC 2397; base64 or percent-encoded."""
    head, comma, body = url.partition(",")
    if not comma:
        raise MediaError(f"{_shown(url)} has no ',' before its data")
    # Four characters for three bytes, percents three for one.
    encoded = head.lower().endswith(";base64")
    most = limits.file_bytes * (4 if encoded else 9) // 3 + 4
    if len(body) > most:
        raise MediaError(
            f"a data: URL of {len(body):,} characters: at most {most:,} are read"
        )
    media_type = head[len("data:") :]
    if encoded:
        media_type = media_type[: -len(";base64")]
        data = decode_base64(body, limits=limits)
    else:
        data = unquote_to_bytes(body)
    files.check_size(len(data), limits)
    return Fetched(data, media_type)


def decode_base64(text: str, *, limits: Limits | None = None) -> bytes:
    """What base64 text stands for, also without its padding; its length first.

    Raises:
      MediaError: for too much, and for other characters.
    """
    limits = limits or Limits()
    if len(text) > limits.file_bytes * 4 // 3 + 4:
        raise MediaError(
            f"base64 of {len(text):,} characters: at most {limits.file_bytes:,} bytes "
            "are read"
        )
    try:
        letters = text.encode("ascii").translate(None, b" \t\r\n")
        letters = letters.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise MediaError(f"base64 is expected: {error}") from None


# -- paths ---------------------------------------------------------------------------


def _from_folder(reference: str, folder: Path, limits: Limits) -> Fetched:
    """A regular file below a folder; links are followed as long as they stay in it."""
    wanted = PurePosixPath(reference)
    if ".." in wanted.parts or "\0" in reference:
        raise MediaError(f"{_shown(reference)} is refused: a path without '..' is read")
    try:
        root = folder.resolve(strict=True)
        path = (root / wanted).resolve(strict=True)
        inside = path.relative_to(root)
        file = _open_below(root, inside.parts)
    # Outside and absent are the same to the one who asks.
    except (OSError, ValueError, RuntimeError):
        raise MediaError(f"there is no {_shown(reference)} in the folder") from None
    try:
        return Fetched(files.read_open(file, reference, limits=limits))
    finally:
        os.close(file)


def _open_below(root: Path, parts: tuple[str, ...]) -> int:
    """A descriptor, reached part by part; none of them may have become a link."""
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in parts:
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            inner = os.open(part, flags, dir_fd=place)
        finally:
            os.close(place)
        place = inner
    if not parts or stat.S_ISDIR(os.fstat(place).st_mode):
        os.close(place)
        raise IsADirectoryError
    return place


# -- the web -------------------------------------------------------------------------


def _from_web(url: str, access: Access, limits: Limits) -> Fetched:
    data, media_type = web.get(
        url,
        networks=access.networks,
        redirects=access.redirects,
        deadline=access.deadline,
        most=limits.file_bytes,
    )
    files.check_size(len(data), limits)
    return Fetched(data, media_type)
