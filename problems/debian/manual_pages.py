"""Manual pages: paragraphs of equally built sections of a page and its translation.

No page has as many blocks as its translation, so a page is cut at its headings;
a section counts only when both sides show the same run of macros.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from t2t.problems.holdout import Pair

_HEADING = re.compile(r"\.S[HS]\b")
_FONT = re.compile(r"\\f(?:[A-Z]|\([A-Z]{2}|\[[^]]*\])|\\&|\\/|\\,|\\%")
_SPECIAL = {
    "\\-": "-", "\\(aq": "'", "\\(dq": '"', "\\(lq": "“", "\\(rq": "”", "\\(Bq": "„",
    "\\(em": "—", "\\(en": "–", "\\(bu": "•", "\\ ": " ", "\\~": " ", "\\e": "\\",
    "\\(co": "©", "\\(cq": "’", "\\(oq": "‘", "\\(:a": "ä", "\\(:o": "ö", "\\(:u": "ü",
    "\\(ss": "ß", "\\(Fo": "«", "\\(Fc": "»", "\\(ha": "^", "\\(ti": "~",
}  # fmt: skip
_SPECIALS = re.compile("|".join(map(re.escape, _SPECIAL)))
_FONT_MACROS = (".B ", ".I ", ".BR ", ".IR ", ".BI ", ".IB ", ".RB ", ".RI ")

Block = tuple[str, str]  # the macro that begins it, its text


def pairs(
    english: Iterable[tuple[str, bytes]], foreign: Iterable[tuple[str, bytes]]
) -> Iterator[Pair]:
    """Pairs from the (path, gz) of both languages' pages; the page is the group."""
    pages = {PurePosixPath(path).name: content for path, content in foreign}
    for path, content in english:
        name = PurePosixPath(path).name
        if name not in pages:
            continue
        own, other = sections(_text(content)), sections(_text(pages[name]))
        # The translation ends with a section of its own, on the translators.
        if len(own) + 1 != len(other):
            continue
        for left, right in zip(own, other[:-1], strict=True):
            if [macro for macro, _ in left] == [macro for macro, _ in right]:
                for (_, source), (_, target) in zip(left, right, strict=True):
                    yield Pair(source, target, f"page {name}")


def _text(content: bytes) -> str:
    return gzip.decompress(content).decode("utf-8", "replace")


def sections(page: str) -> list[list[Block]]:
    """The blocks with text of each section of a page in roff, without examples."""
    found: list[list[Block]] = [[]]
    literal = False
    for line in page.splitlines():
        macro = line.split(" ")[0]
        if macro in (".nf", ".EX", ".TS"):
            literal = True
        elif macro in (".fi", ".EE", ".TE"):
            literal = False
        elif literal or line.startswith((".\\", "'\\")):
            continue
        elif _HEADING.match(line):
            title = plain(line[3:].strip().strip('"'))
            found.append([(macro, title), ("", "")])
        elif line.startswith(_FONT_MACROS):
            _append(found[-1], _joined(line))
        elif line.startswith("."):
            found[-1].append((macro, ""))
        elif line.strip():
            _append(found[-1], plain(line))
    return [[block for block in section if block[1]] for section in found]


def _append(blocks: list[Block], text: str) -> None:
    macro, before = blocks.pop() if blocks else ("", "")
    blocks.append((macro, f"{before} {text}".strip()))


def _joined(line: str) -> str:
    """The words of a font macro; alternating fonts join without a space."""
    macro, _, rest = line.partition(" ")
    words = [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', rest)]
    return plain((" " if len(macro) == 2 else "").join(words))


def plain(text: str) -> str:
    """A line without roff's fonts and escapes."""
    return _SPECIALS.sub(lambda match: _SPECIAL[match[0]], _FONT.sub("", text))
