"""Where a picture or sound comes from, signed and carried inside its file.

A manifest lies in a private ancillary chunk of a PNG ("prVN") or a chunk of its own of
a WAV, both of which other readers skip. Its Ed25519 signature (RFC 8032) covers the
claims and the SHA-256 of the content: decoded pixels and samples, not the file, so that
what only rewrites the file's other chunks takes nothing away. After C2PA
(c2pa.org/specifications) in purpose, not in format.

The surprise: whoever changes the content can also take the manifest out. It proves
where something comes from; that something without one comes from elsewhere, it cannot.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import io
import json
import os
import struct
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t.media.limits import Limits, MediaError
from t2t.media.pictures import read_picture

HINT = "signatures need cryptography: pip install -e '.[omni]'"
PNG = b"\x89PNG\r\n\x1a\n"
# By the case of its letters: ancillary, private, unsafe to copy to a changed picture.
PNG_CHUNK, WAV_CHUNK = b"prVN", b"prov"
MOST = 2**16  # bytes of a manifest
VERSION = 1


class ProvenanceError(ValueError):
    """There is no manifest, or none that can be read or made; one line says why."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a file says of itself, and what of that holds.

    Args:
      claims: JSON values; to be believed only where `holds`.
      public_key: 32 bytes that the signature was checked against.
      signed: whether that key's owner signed these claims and this hash.
      whole: whether the content is that of the hash.
    """

    claims: dict[str, Any]
    public_key: bytes
    signed: bool
    whole: bool

    @property
    def holds(self) -> bool:
        return self.signed and self.whole


class Signer:
    """Who signs.

    Args:
      key: 32 bytes of an Ed25519 private key.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ProvenanceError(f"a private key has 32 bytes, not {len(key)}")
        self._key = _ed25519().Ed25519PrivateKey.from_private_bytes(key)

    @classmethod
    def from_file(cls, path: str | Path) -> Signer:
        """The key of a file, which is made, for its owner only, where there is none.

        Raises:
          ProvenanceError: for a file that holds no key, or that others can read.
        """
        path = Path(path)
        if not path.exists():
            _create(path, base64.b64encode(os.urandom(32)) + b"\n")
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ProvenanceError(f"{path} can be read by others: chmod 600 {path}")
        try:
            return cls(base64.b64decode(path.read_bytes().strip(), validate=True))
        except (binascii.Error, ProvenanceError):
            raise ProvenanceError(f"{path} holds no private key") from None

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)


def sign(data: bytes, claims: dict[str, Any], signer: Signer) -> bytes:
    """A PNG or WAV with a manifest, in place of one that it may have.

    Args:
      claims: JSON values, such as {'made by': …, 'at': …}.

    Raises:
      ProvenanceError: for another format, or claims that are no JSON or too long.
    """
    text = _plain(claims)
    message = json.dumps(
        {"version": VERSION, "sha256": _content(data).hex(), "claims": text}
    )
    manifest = {
        "message": message,
        "key": signer.public_key.hex(),
        "signature": signer.sign(message.encode()).hex(),
    }
    body = json.dumps(manifest).encode()
    if len(body) > MOST:
        raise ProvenanceError(f"a manifest of {len(body):,} bytes: at most {MOST:,}")
    return _png_with(data, body) if _is_png(data) else _wav_with(data, body)


def _plain(claims: dict[str, Any]) -> str:
    """Claims as JSON."""
    try:
        text = json.dumps(claims, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ProvenanceError(f"claims are not JSON: {error}") from None
    if not isinstance(claims, dict) or json.loads(text) != claims:
        raise ProvenanceError("claims are not JSON: a dict of string keys, lists")
    return text


def verify(data: bytes, public_key: bytes | None) -> Manifest:
    """The manifest of a PNG or WAV, and what of it holds.

    Args:
      public_key: of who should have signed; None believes the key in the file, which
        shows only that nothing was changed since somebody signed.

    Raises:
      ProvenanceError: when there is no manifest, two of them, or a broken one.
    """
    content = _content(data)
    own = PNG_CHUNK if _is_png(data) else WAV_CHUNK
    found = [body for name, body in _chunks(data) if name == own]
    if len(found) != 1:
        raise ProvenanceError(f"the file has {len(found) or 'no'} manifests, not one")
    try:
        manifest = json.loads(found[0])
        message, key = manifest["message"], bytes.fromhex(manifest["key"])
        signature = bytes.fromhex(manifest["signature"])
        said = json.loads(message)
        claims, digest = json.loads(said["claims"]), said["sha256"]
        version = said["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ProvenanceError("the file's manifest cannot be read") from None
    if version != VERSION or not isinstance(claims, dict):
        raise ProvenanceError(f"a manifest of version {version!r}: {VERSION} is read")
    key = public_key or key
    signed = _signed(key, signature, message.encode("utf-8", "surrogatepass"))
    return Manifest(claims, key, signed, digest == content.hex())


def _signed(key: bytes, signature: bytes, message: bytes) -> bool:
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    except ValueError:
        raise ProvenanceError(f"a public key has 32 bytes, not {len(key)}") from None
    return True


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise ProvenanceError(HINT) from None
    return ed25519


def _create(path: Path, content: bytes) -> None:
    """A file for its owner only, there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # Of several that make it at once, the first one's key is kept by all.
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink(missing_ok=True)


# -- files ---------------------------------------------------------------------------


def _is_png(data: bytes) -> bool:
    return data.startswith(PNG)


def _content(data: bytes) -> bytes:
    """SHA-256 of what is decoded: pixels [H, W, 3] or samples, and their shape."""
    try:
        about, content = _pixels(data) if _is_png(data) else _samples(data)
    except MediaError as why:
        raise ProvenanceError(f"neither a PNG nor a WAV of PCM: {why}") from None
    return hashlib.sha256(repr(about).encode() + content).digest()


def _pixels(data: bytes) -> tuple[Any, bytes]:
    if any(name == b"acTL" for name, _ in _chunks(data)):
        raise ProvenanceError(
            "a PNG that moves: only its first picture would be signed"
        )
    pixels = read_picture(data, declared="png")
    return ("pixels", pixels.shape), np.ascontiguousarray(pixels).tobytes()


def _samples(data: bytes) -> tuple[Any, bytes]:
    try:
        with wave.open(io.BytesIO(data)) as sound:
            about = tuple(sound.getparams())[:4]  # channels, width, rate, frames
            Limits().check_sound(about[3], about[2])
            return ("samples", about), sound.readframes(about[3])
    # What `wave` makes of broken files, whole numbers divided by 0 among them.
    except (wave.Error, EOFError, RuntimeError, ArithmeticError, struct.error) as why:
        raise MediaError(str(why) or "a broken WAV") from None


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, body) of each chunk of a PNG or WAV.

    Raises:
      ProvenanceError: when one is cut short or its check sum is wrong.
    """
    png = _is_png(data)
    at = len(PNG) if png else 12
    while at + 8 <= len(data):
        if png:
            size, name = struct.unpack_from(">I4s", data, at)
        else:
            name, size = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + size]
        if len(body) != size:
            raise ProvenanceError(f"the file's chunk {name!r} is cut short")
        at += 8 + size + (4 if png else size % 2)
        if png and data[at - 4 : at] != _check_sum(name, body):
            raise ProvenanceError(f"the file's chunk {name!r} has a wrong check sum")
        yield name, body


def _check_sum(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(name + body))


def _png_with(data: bytes, manifest: bytes) -> bytes:
    """The manifest stands before the end chunk."""
    parts = [PNG]
    for name, body in _chunks(data):
        if name == b"IEND":
            parts.append(_png_chunk(PNG_CHUNK, manifest))
        if name != PNG_CHUNK:
            parts.append(_png_chunk(name, body))
        if name == b"IEND":
            return b"".join(parts)
    raise ProvenanceError("a PNG without an end")


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + _check_sum(name, body)


def _wav_with(data: bytes, manifest: bytes) -> bytes:
    """The manifest stands last."""
    parts = [(n, b) for n, b in _chunks(data) if n != WAV_CHUNK]
    parts.append((WAV_CHUNK, manifest))
    chunks = b"".join(
        name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        for name, body in parts
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
