"""What the archive says of each package: its section, a title, a description."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from t2t.problems.debian.descriptions import described, sources_of


class Package(NamedTuple):
    """group: its source package, whose packages repeat each other's sentences."""

    group: str
    section: str
    title: str
    description: str


def packages(english: Iterable[Path], lists: Iterable[Path]) -> Iterator[Package]:
    """Of apt's lists Translation-en and Packages, those that have a description."""
    lists = list(lists)
    sources, sections = dict(sources_of(lists)), dict(_sections(lists))
    for name, _, (title, *blocks) in described(english):
        text = " ".join(filter(None, blocks))
        if name in sections and text:
            group = f"package {sources.get(name, name)}"
            yield Package(group, sections[name], title, text)


def _sections(lists: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """(package, section without its area) of each stanza of Packages."""
    for path in lists:
        package = ""
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.startswith("Package: "):
                    package = line[9:].strip()
                elif line.startswith("Section: "):
                    yield package, line[9:].strip().rsplit("/", 1)[-1]
