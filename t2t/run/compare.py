"""Runs side by side: what differs between them, what they reached, their curves."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t2t.run.charts import line_chart
from t2t.run.folder import RunError, open_run
from t2t.run.log import read_records
from t2t.run.report import CHARTS, page

ABSENT = "-"  # of a knob or a number that a run does not have
HIDDEN = {"split", "step"}
Table = list[list[str]]  # its first row are heads, the first column are names


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as far as it has come.

    settings: knobs and bindings by name.
    records: as `metrics.jsonl` has them.
    """

    name: str
    settings: dict[str, Any]
    records: list[dict[str, Any]]

    def last(self, split: str) -> dict[str, Any]:
        """The newest record of a split; {} where there is none."""
        return next((r for r in reversed(self.records) if r["split"] == split), {})


def read(folders: Sequence[str | Path]) -> list[Run]:
    """Raises:
    RunError: for a folder that is no run, or less than two.
    """
    if len(folders) < 2:
        raise RunError(f"two runs or more can be compared, not {len(folders)}")
    paths = [Path(folder).resolve() for folder in folders]
    short = len({path.name for path in paths}) == len(paths)
    found = []
    for given, path in zip(folders, paths, strict=True):
        folder, config = open_run(given)
        bindings = {".".join(key): value for key, value in config.bindings.items()}
        settings = {**config.knobs, **bindings}
        name = path.name if short else str(given)
        found.append(Run(name, settings, read_records(folder.metrics)))
    return found


def differences(runs: Sequence[Run]) -> Table:
    """Settings that are not the same in all runs."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    rows = [[n, *(_shown(run.settings, n, repr) for run in runs)] for n in names]
    heads = ["setting", *(run.name for run in runs)]
    found = [row for row in rows if len(set(row[1:])) > 1]
    return [heads, *(found or [["none differs", *("" for _ in runs)]])]


def reached(runs: Sequence[Run]) -> Table:
    """The newest numbers of every split, and the steps they are of."""
    splits = dict.fromkeys(r["split"] for run in runs for r in run.records)
    table = [["split: number", *(run.name for run in runs)]]
    for split in splits:
        last = [run.last(split) for run in runs]
        names = dict.fromkeys(n for record in last for n in record if n not in HIDDEN)
        for name in ("step", *names):
            cells = [_shown(record, name, "{:.5g}".format) for record in last]
            table.append([f"{split}: {name}", *cells])
    return table


def _shown(values: dict[str, Any], name: str, form: Any) -> str:
    return form(values[name]) if name in values else ABSENT


def text(table: Table) -> str:
    """In columns, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def html_page(runs: Sequence[Run]) -> str:
    """Curves, settings that differ and numbers, as a page of its own."""
    title = " and ".join(run.name for run in runs)
    charts = [
        line_chart(f"{name}, {split}", lines)
        for _, names in CHARTS
        for name in names
        for split in dict.fromkeys(r["split"] for run in runs for r in run.records)
        if (lines := _curves(runs, split, name))
    ]
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f"<div class='charts'>{''.join(charts)}</div>",
        f"<h2>What differs</h2>{_table(differences(runs))}",
        f"<h2>What they reached</h2>{_table(reached(runs))}",
    ]
    return page(title, "".join(parts))


def _curves(
    runs: Sequence[Run], split: str, name: str
) -> dict[str, list[tuple[float, float]]]:
    lines = {
        run.name: [
            (r["step"], r[name])
            for r in run.records
            if r["split"] == split and name in r
        ]
        for run in runs
    }
    return {name: line for name, line in lines.items() if line}


def _table(table: Table) -> str:
    heads, *rows = [
        "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
        for tag, row in zip(["th"] + ["td"] * len(table), table, strict=False)
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><tr>{heads}</tr>{body}</table>"
