"""Tables: rows of numbers and categories, of which one column is to be told.

    --problem=table_real_files --inputs=houses.csv --column=price     (a number)
    --problem=table_class_files --inputs=houses.csv --column=town     (one of a few)

Which columns hold numbers is seen in the data, see `t2t.text.Columns`. A hash of the
row decides the split, so equal rows stay together; a file of its own for dev or test
is taken as it is. Rows whose column to be told is empty are passed over.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from t2t import features as features_lib
from t2t import registry, text
from t2t.features import Feature
from t2t.problems import holdout, lines, wheels
from t2t.problems.lines import UnreadableFile
from t2t.problems.problem import DEV, TEST, TRAIN, Example, Problem
from t2t.problems.tasks import real_number, stem
from t2t.problems.text_files import FromFiles
from t2t.text.columns import cell

WHEEL = wheels.Wheel(
    "plotnine==0.15.9",
    "plotnine-0.15.9-py3-none-any.whl",
    "36f4526235b3ddd9ea379dd677093ea2ee1b58ab98adec1bde891930283448cd",
    python="3.12",
    instead="try --problem=table_real_files --inputs=FILE.csv with a table of your own",
)
HELD_OUT = 0.1  # of the rows, for each of dev and test

Row = dict[str, str]


class Table(Problem):
    """Rows of a table without one column, which is what is to be told.

    A raw example has the whole row under `numbers` and under `categories`.
    """

    SPLITS = {TRAIN: 1, DEV: 1, TEST: 1}
    COLUMN = ""  # that is to be told

    @cached_property
    def columns(self) -> text.Columns:
        return text.Columns(f"{stem(self)}_columns")  # labels have the name itself

    @property
    def features(self) -> dict[str, Feature]:
        numbers, categories = len(self.columns.numbers), len(self.columns.categories)
        columns: Any = self.columns
        return {
            "numbers": Feature("real", (numbers,), "float32", "N"),
            "categories": Feature("label", (categories,), "int32", "K", columns),
            self.TARGET: self.target,
        }

    @property
    def target(self) -> Feature:
        raise NotImplementedError

    def told(self, value: str) -> Any:
        """The cell to be told as a raw value.

        Raises:
          ValueError: for what cannot be told.
        """
        raise NotImplementedError

    def table(self, split: str, tmp_dir: Path) -> Iterator[tuple[Row, str]]:
        """Rows of a split, and where each stands, for errors."""
        raise NotImplementedError

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        for row, place in self.table(split, tmp_dir):
            if not cell(row, self.COLUMN):
                continue
            try:
                yield self.example_of(row)
            except ValueError as error:
                raise UnreadableFile(f"{place}: {error}") from None

    def example_of(self, row: Row) -> Example:
        rest = {name: value for name, value in row.items() if name != self.COLUMN}
        told = self.told(cell(row, self.COLUMN))
        return {"numbers": rest, "categories": rest, self.TARGET: told}

    def encode_value(self, name: str, value: Any) -> np.ndarray:
        if name == "numbers":
            return np.asarray(self.columns.scaled(value), np.float32)
        if name == "categories":
            return np.asarray(self.columns.ids(value), np.int32)
        return super().encode_value(name, value)

    def asked(self, line: str) -> Example:
        """A line of CSV: the cells of a row, without the column to be told."""
        row = self.columns.read(line)
        return {"numbers": row, "categories": row}

    def line(self, example: Example) -> str:
        """The line that asks for an example's target."""
        return self.columns.line(example["numbers"], example["categories"])

    def fake(self, split: str) -> Iterator[Example]:
        """200 rows of stones, whose weight and colour tell the rest."""
        rng = np.random.default_rng([len(split), *split.encode()])
        for _ in range(200):
            weight, colour = float(rng.uniform(1, 5)), int(rng.integers(2))
            value = 2 * weight + colour
            label = "high" if value > 6 else "low"
            told = {"targets": [round(value, 3)], "label": label}
            row = {"weight": f"{weight:.3f}", "colour": ("red", "blue")[colour]}
            target = told[self.TARGET]
            yield {"numbers": row, "categories": row, self.TARGET: target}


class TableReal(Table):
    """A number of each row is to be told."""

    FEATURES = {"numbers": "real", "categories": "label", "targets": "real"}
    SUGGESTED = ("ft_transformer_small", "ft_transformer_regressor")

    @property
    def target(self) -> Feature:
        return Feature("real", (1,), "float32", "X")

    def told(self, value: str) -> list[float]:
        return [real_number(value)]


class TableClass(Table):
    """One of a few labels of each row is to be told."""

    FEATURES = {"numbers": "real", "categories": "label", "label": "label"}
    SUGGESTED = ("ft_transformer_small", "ft_transformer")
    METRICS = ("accuracy",)
    TARGET = "label"

    @cached_property
    def labels(self) -> text.ClassLabels:
        return text.ClassLabels(stem(self))

    @property
    def target(self) -> Feature:
        return features_lib.label(self.labels)

    def told(self, value: str) -> str:
        return value


class FromPlotnine(Table):
    """A table of the wheel of plotnine (MIT), read as a zip and never installed."""

    TABLE = ""

    def table(self, split: str, tmp_dir: Path) -> Iterator[tuple[Row, str]]:
        wheel = wheels.fetch(WHEEL, tmp_dir)
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(f"plotnine/data/{self.TABLE}").decode()
        for number, row in enumerate(csv.DictReader(io.StringIO(content)), 2):
            if split_of(row) == split:
                yield row, f"{self.TABLE}:{number}"


@registry.problem
class TableDiamonds(FromPlotnine, TableReal):
    """What a diamond costs, by weight, cut, colour, clarity and size; pip only.

    53 940 real ones of a seller's list, in dollars (ggplot2's `diamonds`).
    """

    TABLE, COLUMN = "diamonds.csv", "price"
    licence = "MIT"


@registry.problem
class TableDiamondsCut(FromPlotnine, TableClass):
    """How well a diamond is cut, one of five grades, by all else; pip only.

    53 940 real ones of a seller's list (ggplot2's `diamonds`).
    """

    TABLE, COLUMN = "diamonds.csv", "cut"
    licence = "MIT"


class FromTable(FromFiles, Table):
    """Of the user's own CSV; its first line names the columns.

    Args:
      inputs: the file (gz too).
      column: that is to be told.
      dev_inputs, test_inputs: files of their own for these splits.
    """

    def __init__(
        self,
        *,
        inputs: str = "",
        column: str = "",
        dev_inputs: str = "",
        test_inputs: str = "",
    ) -> None:
        self.files = {TRAIN: (inputs,), DEV: (dev_inputs,), TEST: (test_inputs,)}
        self.COLUMN = column

    def table(self, split: str, tmp_dir: Path) -> Iterator[tuple[Row, str]]:
        name = self.name or stem(self)
        (own,), (train,) = self.files[split], self.files[TRAIN]
        if not train or not self.COLUMN:
            raise UnreadableFile(
                f"{name} needs --inputs=FILE.csv, whose first line names the columns, "
                "and --column=NAME, the one to be told"
            )
        left = [s for s in (DEV, TEST) if not self.files[s][0]]
        path = Path(own or train).expanduser()
        for row, place in read_table(path, self.COLUMN):
            held = split_of(row)
            if own and split != TRAIN or split == (held if held in left else TRAIN):
                yield row, place


@registry.problem("table_real_files")
class TableRealFiles(FromTable, TableReal):
    """Your own table, CSV with names in its first line: a column of numbers is told.

    Args:
      inputs: the file (gz too).
      column: that is to be told.
      dev_inputs, test_inputs: files of their own for these splits.
    """


@registry.problem("table_class_files")
class TableClassFiles(FromTable, TableClass):
    """Your own table, CSV with names in its first line: a column of labels is told.

    Args:
      inputs: the file (gz too).
      column: that is to be told.
      dev_inputs, test_inputs: files of their own for these splits.
    """


def split_of(row: Row) -> str:
    place = holdout.share(json.dumps(list(row.values())))
    return TEST if place < HELD_OUT else DEV if place < 2 * HELD_OUT else TRAIN


def read_table(path: Path, column: str) -> Iterator[tuple[Row, str]]:
    """(row, 'FILE:LINE') of a CSV.

    Raises:
      UnreadableFile: naming the line that has another number of cells, or the columns
        when there is none named `column`.
    """
    reader = csv.reader(f"{line}\n" for line in lines.read(path))
    names = [name.strip() for name in next(reader, [])]
    if column not in names:
        hint = registry.close_to(column, names)
        raise UnreadableFile(
            f"{path} has no column {column!r}.{hint} Columns: {', '.join(names)}"
        )
    for cells in reader:
        if not cells:
            continue
        place = f"{path}:{reader.line_num}"
        if len(cells) != len(names):
            raise UnreadableFile(
                f"{place} has {len(cells)} cells: expected {len(names)}, as the first "
                "line has"
            )
        yield dict(zip(names, cells, strict=True)), place
