"""The columns of a table: which hold numbers and which categories, and their values.

A column of which every cell is a number holds numbers; any other holds categories. It
is learned from the rows of training, as any other vocabulary is, so a run knows the
columns of its table without the table.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from t2t.text import files

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?")  # cells that say nothing
MOST = 1000  # values of a column that are told apart
BOUND = 10.0  # deviations of a number from the mean that are told apart

Row = Mapping[str, str]


class Columns:
    """Rows of cells, by column, as numbers and as ids of categories.

    Numbers are brought to mean 0 and deviation 1, where a missing one is 0. Each
    column of categories has ids of its own: first one for any value that was not seen
    twice, then those that were. A column of numbers with gaps is one of categories,
    too, which tells where the gaps are.
    """

    suffix = ".json"

    def __init__(self, name: str) -> None:
        self.name = name
        self.order: tuple[str, ...] = ()
        self.numbers: dict[str, tuple[float, float]] = {}  # mean, deviation
        self.categories: dict[str, tuple[str, ...]] = {}

    @property
    def built(self) -> bool:
        return bool(self.order)

    @property
    def size(self) -> int:
        """Number of ids, of all columns together."""
        return sum(1 + len(values) for values in self.categories.values())

    def build(self, texts: Iterable[Row]) -> None:  # type: ignore[override]
        """Learns the columns of rows."""
        rows = list(texts)
        if not rows:
            raise ValueError(f"{self.name}: a table without rows has no columns")
        self.order = tuple(rows[0])
        for column in self.order:
            cells = [cell(row, column) for row in rows]
            given = [text for text in cells if text]
            numbers = [n for n in map(number, given) if n is not None]
            if numbers and len(numbers) == len(given):
                self.numbers[column] = _spread(numbers)
                if len(given) < len(cells):
                    self.categories[column] = ("",)
            else:
                often = [v for v, n in Counter(cells).most_common(MOST) if n > 1]
                self.categories[column] = tuple(sorted(often))

    def scaled(self, row: Row) -> list[float]:
        """The numbers of a row, in the order of `numbers`.

        Raises:
          ValueError: naming the column whose cell is none.
        """
        found = []
        for column, (mean, deviation) in self.numbers.items():
            value = number(text) if (text := cell(row, column)) else mean
            if value is None:
                raise ValueError(f"column {column!r}: {text[:40]!r} is no number")
            found.append(max(-BOUND, min(BOUND, (value - mean) / deviation)))
        return found

    def ids(self, row: Row) -> list[int]:
        """The ids of a row, in the order of `categories`."""
        found, first = [], 0
        for column, values in self.categories.items():
            text = cell(row, column)
            found.append(first + (1 + values.index(text) if text in values else 0))
            first += 1 + len(values)
        return found

    def read(self, line: str) -> dict[str, str]:
        """The row that a line of CSV is, its cells in the table's order.

        Raises:
          ValueError: where it has another number of cells.
        """
        cells = next(csv.reader([line]), [])
        if len(cells) != len(self.order):
            raise ValueError(
                f"{len(cells)} cells, expected {len(self.order)}: "
                + ",".join(self.order)
            )
        return dict(zip(self.order, cells, strict=True))

    def encode(self, text: str) -> list[int]:
        """The ids of a line of CSV."""
        return self.ids(self.read(text))

    def decode(self, ids: Iterable[int]) -> str:
        """The categories of a row as a JSON object; '?' for a value that was rare."""
        found, first = {}, 0
        for id_, (column, values) in zip(ids, self.categories.items(), strict=False):
            found[column] = ("?", *values)[id_ - first]
            first += 1 + len(values)
        return json.dumps(found, ensure_ascii=False)

    def line(self, scaled: Sequence[float], categories: str) -> str:
        """The line of CSV of a row that was encoded and decoded."""
        row: dict[str, str] = json.loads(categories)
        pairs = zip(scaled, self.numbers.items(), strict=True)
        for value, (column, (mean, deviation)) in pairs:
            if row.get(column) != "":
                row[column] = f"{value * deviation + mean:.6g}"
        return ",".join(_quoted(row[column]) for column in self.order)

    def save(self, folder: Path) -> Path:
        content = {
            "order": self.order,
            "numbers": self.numbers,
            "categories": self.categories,
        }
        data = json.dumps(content, ensure_ascii=False, indent=1).encode()
        return files.write(folder, self.name + self.suffix, data)

    def load(self, folder: Path) -> None:
        content = json.loads(files.read(folder, self.name + self.suffix))
        self.order = tuple(content["order"])
        self.numbers = {c: (m, d) for c, (m, d) in content["numbers"].items()}
        self.categories = {c: tuple(v) for c, v in content["categories"].items()}


def cell(row: Row, column: str) -> str:
    """What a row says in a column; '' for nothing.

    Raises:
      ValueError: when it has no such column.
    """
    if column not in row:
        raise ValueError(f"a row has no column {column!r}, only {', '.join(row)}")
    text = row[column].strip()
    return "" if text in MISSING else text


def number(text: str) -> float | None:
    """The finite number that a cell is, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _spread(numbers: Sequence[float]) -> tuple[float, float]:
    """(mean, deviation); a column that does not vary has deviation 1."""
    mean = math.fsum(numbers) / len(numbers)
    variance = math.fsum((n - mean) ** 2 for n in numbers) / len(numbers)
    return mean, math.sqrt(variance) or 1.0


def _quoted(text: str) -> str:
    if any(mark in text for mark in ',"\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
