"""Message catalogues (.mo of gettext): the English message and its translation.

The marker of a keyboard accelerator (`_`, `~` or `&` before a letter) is taken
off where each side has one, since it says nothing of the language.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from t2t.problems.holdout import Pair

_MAGIC = 0x950412DE
_CHARSET = re.compile(r"charset=([\w-]+)", re.I)


def pairs(catalogues: Iterable[tuple[str, bytes]]) -> Iterator[Pair]:
    """Pairs of the (path, content) of .mo files; the catalogue is the group."""
    for path, content in catalogues:
        group = f"catalogue {PurePosixPath(path).stem}"
        for source, target in messages(content):
            yield Pair(*without_accelerators(source, target), group)


def messages(content: bytes) -> Iterator[tuple[str, str]]:
    """(message, translation) of a .mo file, the singular where there is a plural.

    Raises:
      ValueError: when the content is no .mo file.
    """
    order = next((o for o in "<>" if content[:4] == struct.pack(f"{o}I", _MAGIC)), None)
    if order is None:
        raise ValueError("not a .mo file: its first four bytes are others")
    count, originals, translations = struct.unpack_from(f"{order}3I", content, 8)

    def entry(table: int, index: int) -> bytes:
        length, start = struct.unpack_from(f"{order}2I", content, table + 8 * index)
        return content[start : start + length]

    charset = "utf-8"
    for index in range(count):
        source, target = entry(originals, index), entry(translations, index)
        if not source:
            header = _CHARSET.search(target.decode("ascii", "replace"))
            charset = header[1] if header else charset
            continue
        source = source.rpartition(b"\x04")[2].partition(b"\0")[0]
        target = target.partition(b"\0")[0]
        yield source.decode("utf-8", "replace"), target.decode(charset, "replace")


def without_accelerators(source: str, target: str) -> tuple[str, str]:
    """Both texts without a marker that each has once, in words that differ.

    'Sa_ve', '_Speichern' -> 'Save', 'Speichern'; 'foo_bar' on both sides stays.
    """
    for marker in "_~&":
        if source.count(marker) != 1 or target.count(marker) != 1:
            continue
        words = [_word_with(marker, text) for text in (source, target)]
        if all(words) and words[0] != words[1]:
            source, target = source.replace(marker, ""), target.replace(marker, "")
    return source, target


def _word_with(marker: str, text: str) -> str:
    """The word that the marker stands in or before; '' when it stands alone."""
    found = re.search(rf"\w*{re.escape(marker)}\w+", text)
    return found[0] if found else ""
