"""The help of LibreOffice: paragraphs with the same id on the same page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

from t2t.problems.holdout import Pair

_BLOCKS = {"p", "h1", "h2", "h3", "h4", "h5", "h6"}
# An id of these begins each debug line at the foot of a page.
_DEBUG = "bm_"


def pairs(
    english: Iterable[tuple[str, bytes]], foreign: Iterable[tuple[str, bytes]]
) -> Iterator[Pair]:
    """Pairs from the (path, HTML) of both languages' pages; the page is the group.

    Each path holds the page's name after '/text/'.
    """
    pages = {_page(path): paragraphs(html) for path, html in foreign}
    for path, html in english:
        page = _page(path)
        other = pages.get(page, {})
        for name, source in paragraphs(html).items():
            if name in other:
                yield Pair(source, other[name], f"help {page}")


def _page(path: str) -> str:
    return path.partition("/text/")[2]


def paragraphs(html: bytes) -> dict[str, str]:
    """{id: text without markup} of the paragraphs and headings of a page."""
    reader = _Paragraphs()
    reader.feed(html.decode("utf-8", "replace"))
    reader.close()
    return {name: "".join(parts) for name, parts in reader.found.items()}


class _Paragraphs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self._open: tuple[str, str] | None = None  # (tag, id)
        self._hidden = 0  # depth inside a text for another system

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = dict(attrs).get("id") or ""
        if tag in _BLOCKS:
            self._open = (tag, name) if name and not name.startswith(_DEBUG) else None
            self._hidden = 0
            if self._open and name not in self.found:
                self.found[name] = []
        elif tag == "span" and (self._hidden or dict(attrs).get("class") == "MAC"):
            self._hidden += 1
        elif tag == "br":
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "span" and self._hidden:
            self._hidden -= 1
        elif self._open and tag == self._open[0]:
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open and not self._hidden:
            self.found[self._open[1]].append(data)
