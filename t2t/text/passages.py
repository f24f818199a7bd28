"""Cutting running text into passages for a language model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def passages(lines: Iterable[str], *, longest: int) -> Iterator[str]:
    """Runs of whole lines of at most `longest` characters.

    A blank line ends a passage once half the length is reached; a line that is
    itself too long is cut. Blank lines inside a passage stay, at its ends they go.
    """
    parts: list[str] = []
    length = 0
    for line in lines:
        line = line.rstrip()
        for start in range(0, max(1, len(line)), longest):
            piece = line[start : start + longest]
            full = length + len(piece) + 1 > longest
            if parts and (full or (not piece and length > longest // 2)):
                yield "\n".join(parts).rstrip("\n")
                parts, length = [], 0
            if piece or parts:
                parts.append(piece)
                length += len(piece) + 1
    if parts:
        yield "\n".join(parts).rstrip("\n")
