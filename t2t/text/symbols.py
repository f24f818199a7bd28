"""Fixed lists: symbols of made-up languages, and class labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from t2t import registry
from t2t.features import EOS, PAD
from t2t.text import files

RESERVED = 2  # padding and end of sequence


class Symbols:
    """A fixed list of symbols, separated by single spaces in text form.

    '3 1 2' with the symbols 0 to 9 is [5, 3, 4]: id = 2 + place in the list.
    """

    suffix = ".symbols"
    built = True

    def __init__(self, name: str, symbols: Sequence[str]) -> None:
        self.name = name
        self.symbols = tuple(symbols)
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"vocabulary {name!r} lists a symbol twice")
        for symbol in self.symbols:
            if not symbol or symbol.split() != [symbol]:
                raise ValueError(f"symbol {symbol!r} of {name!r} is empty or has space")
        self._ids = {s: RESERVED + i for i, s in enumerate(self.symbols)}

    @property
    def size(self) -> int:
        return RESERVED + len(self.symbols)

    def build(self, texts: Iterable[str]) -> None:
        """Nothing to learn."""

    def encode(self, text: str) -> list[int]:
        """Ids of the symbols.

        Raises:
          ValueError: at a symbol that is not of the list.
        """
        try:
            return [self._ids[symbol] for symbol in text.split()]
        except KeyError as error:
            raise _unknown(error.args[0], self.name, self.symbols) from None

    def decode(self, ids: Iterable[int]) -> str:
        kept = (i for i in takewhile(lambda i: i != EOS, ids) if i != PAD)
        return " ".join(
            self.symbols[i - RESERVED] if i < self.size else "?" for i in kept
        )

    def save(self, folder: Path) -> Path:
        content = "".join(f"{symbol}\n" for symbol in self.symbols)
        return files.write(folder, self.name + self.suffix, content.encode())

    def load(self, folder: Path) -> None:
        """Nothing to load: the list is in the problem."""


class ClassLabels:
    """Names of classes; a label is one id from 0, with nothing reserved.

    Args:
      labels: in the order of their ids; None to `build` them, sorted, from texts.
    """

    suffix = ".labels"

    def __init__(self, name: str, labels: Sequence[str] | None = None) -> None:
        self.name = name
        self.labels = tuple(labels or ())
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"vocabulary {name!r} lists a label twice")

    @property
    def size(self) -> int:
        """Number of classes."""
        if not self.built:
            raise files.not_built(self.name)
        return len(self.labels)

    @property
    def built(self) -> bool:
        return bool(self.labels)

    def build(self, texts: Iterable[str]) -> None:
        """Takes the distinct texts, sorted; a list that was given stays."""
        if not self.labels:
            self.labels = tuple(sorted(set(texts)))

    def encode(self, text: str) -> list[int]:
        """[class id].

        Raises:
          ValueError: at a label that is not of the list.
        """
        if not self.built:
            raise files.not_built(self.name)
        try:
            return [self.labels.index(text)]
        except ValueError:
            raise _unknown(text, self.name, self.labels) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The label of the first id."""
        return self.labels[next(iter(ids))]

    def save(self, folder: Path) -> Path:
        content = "".join(f"{_escape(label)}\n" for label in self.labels)
        return files.write(
            folder, self.name + self.suffix, content.encode("utf-8", "surrogatepass")
        )

    def load(self, folder: Path) -> None:
        data = files.read(folder, self.name + self.suffix)
        lines = data.decode("utf-8", "surrogatepass").split("\n")[:-1]
        self.labels = tuple(_unescape(line) for line in lines)


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace("\n", "\\n")


def _unescape(line: str) -> str:
    return "\\".join(part.replace("\\n", "\n") for part in line.split("\\\\"))


def _unknown(text: str, name: str, known: Sequence[str]) -> ValueError:
    return ValueError(
        f"{text!r} is not among the {len(known)} entries of vocabulary {name!r}."
        + registry.close_to(text, known)
    )
