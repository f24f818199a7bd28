"""Tables: what a column holds, gaps and rare values, the user's own CSV."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2t.data.generate import generate
from t2t.decode.decoder import DecodeError, Decoder
from t2t.problems.lines import UnreadableFile
from t2t.problems.problem import DEV, TEST, TRAIN
from t2t.problems.tables import TableClassFiles, TableRealFiles
from t2t.run.problems import decoded_examples
from t2t.text import Columns

SPLITS = (TRAIN, DEV, TEST)
ROWS = [
    {"size": "1", "town": "Bonn", "floor": "2"},
    {"size": "3", "town": "Köln", "floor": ""},
    {"size": "1", "town": "Bonn", "floor": "4"},
    {"size": "3", "town": "Köln", "floor": "NA"},
    {"size": "2", "town": "a, b", "floor": "3"},
]


@pytest.fixture
def columns() -> Columns:
    made = Columns("toy")
    made.build(ROWS)
    return made


def _table(folder: Path, rows: int = 300, name: str = "houses.csv") -> str:
    lines = ["size,town,price"]
    for i in range(rows):
        size, town = i % 97 / 10, ("Bonn", "Köln", "Trier")[i % 3]
        lines.append(f'{size},"{town}",{10 * size + i % 3}')
    content = "".join(f"{line}\r\n" for line in lines).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    return str(path)


def test_numbers_and_categories_are_told_apart(columns: Columns) -> None:
    assert columns.order == ("size", "town", "floor")
    assert columns.numbers == {
        "size": (2.0, pytest.approx(0.8**0.5)),
        "floor": (3.0, pytest.approx((2 / 3) ** 0.5)),
    }
    assert columns.categories == {"town": ("Bonn", "Köln"), "floor": ("",)}
    assert columns.size == 5


def test_rows_become_numbers_and_ids(columns: Columns) -> None:
    assert columns.scaled(ROWS[1]) == [pytest.approx(0.8**-0.5), 0.0]
    assert [columns.ids(row) for row in ROWS] == [
        [1, 3],
        [2, 4],
        [1, 3],
        [2, 4],
        [0, 3],
    ]
    assert columns.scaled({**ROWS[0], "size": "1e9"})[0] == 10.0
    with pytest.raises(ValueError, match="column 'size': 'large' is no number"):
        columns.scaled({**ROWS[0], "size": "large"})
    with pytest.raises(ValueError, match="no column 'town', only size, floor"):
        columns.ids({"size": "1", "floor": "2"})


def test_a_line_makes_the_round_trip(columns: Columns) -> None:
    for row in ROWS[:4]:
        line = ",".join(row.values()).replace("NA", "")
        read = columns.read(line)
        decoded = columns.decode(columns.ids(read))
        assert columns.line(columns.scaled(read), decoded) == line
    with pytest.raises(ValueError, match="2 cells, expected 3: size,town,floor"):
        columns.read("1,Bonn")


def test_columns_are_kept_with_the_run(columns: Columns, tmp_path: Path) -> None:
    columns.save(tmp_path)
    other = Columns("toy")
    other.load(tmp_path)
    assert vars(other) == vars(columns)


@pytest.mark.parametrize("name", ["houses.csv", "houses.csv.gz"])
def test_a_table_of_ones_own(name: str, tmp_path: Path) -> None:
    path = _table(tmp_path, name=name)
    problem = TableRealFiles(inputs=path, column="price")
    problem.name = "table_real_files"
    manifest = generate(problem, tmp_path / "d", tmp_path / "t", processes=1)
    counts = [manifest.splits[split]["examples"] for split in SPLITS]
    assert sum(counts) == 300 and min(counts) > 10
    assert {n: f.shape for n, f in problem.features.items()} == {
        "numbers": (1,), "categories": (1,), "targets": (1,),
    }  # fmt: skip
    assert problem.features["categories"].size == 4
    fresh = TableRealFiles()
    fresh.name = problem.name
    for example in decoded_examples(fresh, TEST, data_dir=tmp_path / "d"):
        size, town = fresh.line(example).split(",")
        rest = ("Bonn", "Köln", "Trier").index(town)
        assert example["targets"][0] == pytest.approx(10 * float(size) + rest, rel=1e-4)


def test_labels_and_splits_of_ones_own(tmp_path: Path) -> None:
    path = _table(tmp_path)
    other = _table(tmp_path, rows=7, name="dev.csv")
    problem = TableClassFiles(inputs=path, column="town", dev_inputs=other)
    found = {split: list(problem.examples(split, tmp_path)) for split in SPLITS}
    assert len(found[DEV]) == 7 and len(found[TRAIN]) + len(found[TEST]) == 300
    assert {e["label"] for e in found[TEST]} == {"Bonn", "Köln", "Trier"}
    assert all("town" not in e["numbers"] for e in found[TRAIN])
    seen = [[tuple(e["numbers"].items()) for e in found[s]] for s in (TRAIN, TEST)]
    assert not set(seen[0]) & set(seen[1])


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        ("a,b\n1,2\n", "c", "has no column 'c'.* Columns: a, b"),
        ("price,b\n1,2\n", "prices", "Did you mean 'price'"),
        ("a,b\n1,2\n3\n", "b", "toy.csv:3 has 1 cells: expected 2"),
        ("a,b\n1,2\n\n1,x\n", "b", "toy.csv:4: 'x' is no number"),
        ("", "b", "has no column 'b'"),
    ],
)
def test_broken_tables(content: str, column: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "toy.csv"
    path.write_text(content)
    problem = TableRealFiles(inputs=str(path), column=column, dev_inputs=str(path))
    with pytest.raises(UnreadableFile, match=message):
        list(problem.examples(DEV, tmp_path))


def test_what_is_needed_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="needs --inputs=FILE.csv.*--column=NAME"):
        list(TableRealFiles(inputs="x.csv").examples(TRAIN, tmp_path))
    path = tmp_path / "gaps.csv"
    path.write_text("a,b\n1,2\n1,\n")
    problem = TableRealFiles(inputs=str(path), column="b", dev_inputs=str(path))
    assert len(list(problem.examples(DEV, tmp_path))) == 1, "nothing is told of a gap"


class _Sum:
    """Tells the sum of the numbers and of the ids of a row."""

    name, PROMPT = "sum", "numbers"

    def __call__(self, batch: Any) -> Any:
        import tensorflow as tf

        both = tf.concat([batch["numbers"], tf.cast(batch["categories"], "float32")], 1)
        return tf.reduce_sum(both, axis=1, keepdims=True), {}


def test_rows_are_decoded() -> None:
    problem = TableRealFiles(column="price")
    problem.columns.build(ROWS)
    decoder = Decoder(problem, _Sum())
    scaled = -(0.8**-0.5) - (2 / 3) ** -0.5
    found = decoder.decode(["1,Bonn,2", "", "2,Ulm,"])
    assert float(found[0]) == pytest.approx(scaled + 4, rel=1e-5)
    assert found[1:] == ["", "4"]
    with pytest.raises(DecodeError, match="line 1: 1 cells, expected 3: size,town"):
        decoder.decode(["1"])
    assert np.array_equal(problem.encode_asked("2,Bonn,3")["numbers"], [0.0, 0.0])
