"""The invertible subword vocabulary of Tensor2Tensor, whose files load here.

Source: tensor2tensor/data_generators/{text_encoder,tokenizer}.py, the rules only.
Text is cut into runs of letters-or-digits and runs of anything else; a run that
is one space between two others is left out. In each run `\\` becomes `\\\\`, `_`
becomes `\\u`, a character outside the alphabet (and a newline) `\\ddd;`, and `_`
ends the run. The result is split greedily into the longest known subtokens.

Trap: the file is one quoted subtoken a line, ids by line; whatever stands on the
first two lines is padding and end of sequence.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise, takewhile
from pathlib import Path

from t2t.features import EOS, PAD
from t2t.text import files

RESERVED = ("<pad>", "<EOS>")
ROUNDS = 4  # of finding subtokens for one threshold
LONGEST = 40  # characters of a learned subtoken; bounds the work on long runs
MOST_TOKENS = 5_000_000  # tokens counted for building

_ESCAPING = frozenset("\\_u;0123456789")
_UNESCAPE = re.compile(r"\\u|\\\\|\\([0-9]+);")
_UNDEFINED = "\u3013"  # what Tensor2Tensor shows for an impossible code point


class Subwords:
    """Subtokens found by bisecting the count that a subtoken must reach.

    Args:
      name: stem of the file.
      size: number of ids aimed at; the result is the nearest that was found.
    """

    suffix = ".subwords"

    def __init__(self, name: str, size: int = 8192) -> None:
        self.name = name
        self.wanted_size = size
        self.subtokens: list[str] = []  # by id, the two reserved ones included
        self._ids: dict[str, int] = {}
        self._alphabet: frozenset[str] = frozenset()
        self._longest = 0

    @property
    def built(self) -> bool:
        return bool(self.subtokens)

    @property
    def size(self) -> int:
        if not self.built:
            raise files.not_built(self.name)
        return len(self.subtokens)

    def build(self, texts: Iterable[str]) -> None:
        """Learns the subtokens of the first five million tokens.

        Raises:
          ValueError: when there are no texts.
        """
        counts: Counter[str] = Counter()
        total = 0
        for text in texts:
            tokens = split_tokens(text)
            counts.update(tokens)
            total += len(tokens)
            if total > MOST_TOKENS:
                break
        if not counts:
            raise ValueError(f"vocabulary {self.name!r}: there are no texts to learn")
        best: list[str] = []
        low, high = 1, max(counts.values())
        while low <= high:
            middle = (low + high) // 2
            subtokens = self._learn(counts, middle)
            gap = len(subtokens) - self.wanted_size
            if not best or abs(gap) < abs(len(best) - self.wanted_size):
                best = subtokens
            if abs(gap) * 100 < self.wanted_size:
                break
            low, high = (middle + 1, high) if gap > 0 else (low, middle - 1)
        self._take(best)

    def _learn(self, counts: Counter[str], least: int) -> list[str]:
        """Subtokens that occur at least `least` times, the alphabet always."""
        letters = {c for t in counts for c in t} | _ESCAPING | set("".join(RESERVED))
        # A line break ends an entry of the file, and a surrogate is not UTF-8.
        letters = {c for c in letters if c != "\n" and not "\ud800" <= c <= "\udfff"}
        self._take([*RESERVED, *sorted(letters)])
        for _ in range(ROUNDS):
            found = self._count_subtokens(counts)
            kept = _thin_out(found, least, letters)
            self._take([*RESERVED, *kept])
        return self.subtokens

    def _count_subtokens(self, counts: Counter[str]) -> Counter[str]:
        """How often each substring starts where a present subtoken starts."""
        found: Counter[str] = Counter()
        for token, count in counts.items():
            escaped = escape(token, self._alphabet)
            start = 0
            for subtoken in self._split(escaped):
                last = min(len(escaped), start + LONGEST)
                for end in range(start + 1, last + 1):
                    found[escaped[start:end]] += count
                start += len(subtoken)
        return found

    def _take(self, subtokens: list[str]) -> None:
        self.subtokens = subtokens
        # The reserved entries are never the encoding of a text.
        self._ids = {s: i for i, s in enumerate(subtokens) if i > EOS and s}
        self._alphabet = _ESCAPING.union(*subtokens)
        self._longest = max(map(len, self._ids), default=0)

    def _split(self, escaped: str) -> Iterator[str]:
        """The longest known subtokens, from the left."""
        start = 0
        while start < len(escaped):
            end = min(len(escaped), start + self._longest)
            while end > start and escaped[start:end] not in self._ids:
                end -= 1
            if end == start:
                raise ValueError(
                    f"vocabulary {self.name!r} lacks {escaped[start]!r}, which its "
                    "escaping rule needs: the file is damaged"
                )
            yield escaped[start:end]
            start = end

    def encode(self, text: str) -> list[int]:
        if not self.built:
            raise files.not_built(self.name)
        return [
            self._ids[subtoken]
            for token in split_tokens(text)
            for subtoken in self._split(escape(token, self._alphabet))
        ]

    def decode(self, ids: Iterable[int]) -> str:
        kept = takewhile(lambda i: i != EOS, ids)
        joined = "".join(self.subtokens[i] for i in kept if PAD != i < self.size)
        tokens = [unescape(part) for part in joined.split("_") if part]
        return join_tokens([token for token in tokens if token])

    def save(self, folder: Path) -> Path:
        content = "".join(f"'{subtoken}'\n" for subtoken in self.subtokens)
        return files.write(folder, self.name + self.suffix, content.encode())

    def load(self, folder: Path) -> None:
        self._read(files.read(folder, self.name + self.suffix))

    def read(self, path: Path) -> None:
        """Takes a file of Tensor2Tensor's, `vocab.*`."""
        self._read(path.read_bytes())

    def _read(self, content: bytes) -> None:
        lines = content.decode("utf-8").removesuffix("\n").split("\n")
        self._take([_unquoted(line.rstrip("\r")) for line in lines])


def split_tokens(text: str) -> list[str]:
    """'Hi, you two' -> ['Hi', ', ', 'you', 'two']; `join_tokens` undoes it."""
    if not text:
        return []
    kinds = [alphanumeric(c) for c in text]
    turns = [i for i in range(1, len(text)) if kinds[i] != kinds[i - 1]]
    cuts = [0, *turns, len(text)]
    return [
        text[a:b]
        for a, b in pairwise(cuts)
        if text[a:b] != " " or a == 0 or b == len(text)
    ]


def join_tokens(tokens: list[str]) -> str:
    """Puts back the space that stands between two alphanumeric tokens."""
    parts = tokens[:1]
    for before, token in pairwise(tokens):
        if alphanumeric(before[0]) and alphanumeric(token[0]):
            parts.append(" ")
        parts.append(token)
    return "".join(parts)


def escape(token: str, alphabet: Iterable[str]) -> str:
    """A token in characters of the alphabet, with '_' at its end."""
    token = token.replace("\\", "\\\\").replace("_", "\\u")
    return (
        "".join(c if c in alphabet and c != "\n" else f"\\{ord(c)};" for c in token)
        + "_"
    )


def unescape(escaped: str) -> str:
    """The token again; one '_' at the end is dropped."""
    return _UNESCAPE.sub(_unescaped, escaped.removesuffix("_"))


def _unescaped(match: re.Match[str]) -> str:
    if match[1] is None:
        return "_" if match[0] == "\\u" else "\\"
    digits = match[1]
    code = int(digits) if len(digits) < 9 else 0x110000
    return chr(code) if code < 0x110000 else _UNDEFINED


@lru_cache(maxsize=1 << 16)
def alphanumeric(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"


def _unquoted(line: str) -> str:
    quoted = len(line) > 1 and line[0] == line[-1] and line[0] in "'\""
    return line[1:-1] if quoted else line


def _thin_out(found: Counter[str], least: int, letters: set[str]) -> list[str]:
    """Subtokens by falling count; an accepted one lowers those of its prefixes."""
    kept: list[tuple[int, str]] = []
    frequent = [s for s, count in found.items() if count >= least]
    for subtoken in sorted(frequent, key=len, reverse=True):
        count = found[subtoken]
        if count < least:
            continue
        if subtoken not in letters:
            kept.append((count, subtoken))
        for end in range(1, len(subtoken)):
            found[subtoken[:end]] -= count
    kept += [(found[letter], letter) for letter in letters]
    return [subtoken for _, subtoken in sorted(kept, reverse=True)]
