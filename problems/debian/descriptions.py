"""Package descriptions and their translations, sentence by sentence.

A description is found again in the other language by the MD5 of its English
text. Its paragraphs and list items are paired when both sides have as many, and
their sentences likewise; else the whole paragraph is the pair. The group is the
source package, because its packages repeat each other's sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from t2t.problems.holdout import Pair, one_line

_ITEM = re.compile(r"\s+[-*+o]\s+")
_SENTENCE_END = re.compile(r'(?<=[.!?])\s+(?=[A-ZÄÖÜ„"(])')


def pairs(
    english: Iterable[Path], foreign: Iterable[Path], packages: Iterable[Path]
) -> Iterator[Pair]:
    """Pairs from apt's lists Translation-en, Translation-xx and Packages."""
    sources = dict(sources_of(packages))
    translated = {md5: blocks for _, md5, blocks in described(foreign)}
    for package, md5, blocks in described(english):
        if md5 not in translated:
            continue
        group = f"package {sources.get(package, package)}"
        for source, target in _aligned(blocks, translated[md5]):
            yield Pair(source, target, group)


def described(lists: Iterable[Path]) -> Iterator[tuple[str, str, list[str]]]:
    """(package, MD5, [title, paragraph or item, …]) of each stanza."""
    for path in lists:
        with path.open(encoding="utf-8") as file:
            package = md5 = ""
            blocks: list[str] = []
            for line in file:
                if line.startswith("Package: "):
                    package = line[9:].strip()
                elif line.startswith("Description-md5: "):
                    md5 = line[17:].strip()
                elif line.startswith("Description-"):
                    blocks = [line.split(": ", 1)[-1].strip()]
                elif line.startswith(" "):
                    _extend(blocks, line.rstrip("\n"))
                elif blocks:
                    yield package, md5, [one_line(block) for block in blocks]
                    blocks = []
            if blocks:
                yield package, md5, [one_line(block) for block in blocks]


def _extend(blocks: list[str], line: str) -> None:
    """Adds a line to the last block; '.', an item or the title's end begins one."""
    if line.strip() == ".":
        blocks.append("")
    elif item := _ITEM.match(line):
        blocks.append(line[item.end() :])
    elif len(blocks) == 1:
        blocks.append(line)
    else:
        blocks[-1] += " " + line


def _aligned(english: list[str], foreign: list[str]) -> Iterator[tuple[str, str]]:
    yield english[0], foreign[0]
    english, foreign = list(filter(None, english)), list(filter(None, foreign))
    if len(english) != len(foreign):
        return
    for source, target in zip(english[1:], foreign[1:], strict=True):
        sources, targets = _SENTENCE_END.split(source), _SENTENCE_END.split(target)
        if len(sources) == len(targets):
            yield from zip(sources, targets, strict=True)
        else:
            yield source, target


def sources_of(lists: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """(package, source package) of each stanza of Packages that names one."""
    for path in lists:
        package = ""
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.startswith("Package: "):
                    package = line[9:].strip()
                elif line.startswith("Source: "):
                    yield package, line[8:].split()[0]
