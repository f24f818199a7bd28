"""What machine code weighs: the sections .text* and the functions of an ELF object.

Debug information, symbols and data do not count: it is code that is to be small.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path

_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_HEADER = struct.Struct("<40xQ10xHHH")  # place, size, number of sections, their names
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMBOLS, _FUNCTION = 2, 2


class NotAnObject(ValueError):
    """A file that is no ELF object of 64 bits, or a broken one."""


@dataclasses.dataclass(frozen=True)
class Code:
    """text: bytes of all sections .text*; functions: bytes of each, by symbol."""

    text: int
    functions: dict[str, int]


def read(path: Path) -> Code:
    """The code of an object.

    Raises:
      NotAnObject: for what is none.
    """
    raw = path.read_bytes()
    try:
        return _read(raw)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise NotAnObject(f"{path} is no ELF object of 64 bits: {error}") from None


def _read(raw: bytes) -> Code:
    if not raw.startswith(_MAGIC):
        raise IndexError("its first bytes are others")
    place, size, count, names = _HEADER.unpack_from(raw)
    sections = [_SECTION.unpack_from(raw, place + n * size) for n in range(count)]
    strings = sections[names][4]
    text, functions = 0, {}
    for name, kind, _, _, offset, length, link, _, _, _ in sections:
        if _text(raw, strings + name).startswith(".text"):
            text += length
        if kind == _SYMBOLS:
            there = _functions(raw, offset, length, sections[link][4])
            functions.update(there)
    return Code(text, functions)


def _functions(
    raw: bytes, offset: int, length: int, strings: int
) -> Iterator[tuple[str, int]]:
    """(symbol, bytes) of the functions in a table that are defined here."""
    for place in range(offset, offset + length, _SYMBOL.size):
        name, info, _, section, _, size = _SYMBOL.unpack_from(raw, place)
        if info & 15 == _FUNCTION and section:
            yield _text(raw, strings + name), size


def _text(raw: bytes, start: int) -> str:
    return raw[start : raw.index(b"\0", start)].decode()
