"""Bytes as a vocabulary: id = 2 + byte of the UTF-8 text, 258 ids in all.

Every string makes the round trip, lone surrogates included ('surrogatepass').
Ids that are not UTF-8, as an untrained model writes them, decode with U+FFFD.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from t2t.features import EOS, PAD
from t2t.text import files

RESERVED = 2  # padding and end of sequence


class Bytes:
    """The 256 bytes after the two reserved ids; needs no corpus."""

    suffix = ".bytes"
    size = RESERVED + 256
    built = True

    def __init__(self, name: str = "bytes") -> None:
        self.name = name

    def build(self, texts: Iterable[str]) -> None:
        """Nothing to learn."""

    def encode(self, text: str) -> list[int]:
        return [RESERVED + b for b in text.encode("utf-8", "surrogatepass")]

    def decode(self, ids: Iterable[int]) -> str:
        data = bytes(
            i - RESERVED
            for i in takewhile(lambda i: i != EOS, ids)
            if i != PAD and i < self.size
        )
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")

    def save(self, folder: Path) -> Path:
        """Writes a one-line file, so that a run folder names all it needs."""
        return files.write(folder, self.name + self.suffix, b"utf-8 bytes from id 2\n")

    def load(self, folder: Path) -> None:
        """Nothing to load."""
