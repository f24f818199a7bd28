"""`report.html`: one self-contained page about a run, drawn from its files alone."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from t2t.run.charts import line_chart
from t2t.run.folder import RunFolder, write_text
from t2t.run.histograms import histograms
from t2t.run.insides import insides
from t2t.run.log import read_records

# Curves of the report: title, the values drawn in it.
CHARTS = (
    ("Loss", ("loss",)),
    ("Return of an episode", ("episode_return",)),
    ("BLEU and chrF", ("bleu", "chrf")),
    ("Accuracy", ("accuracy", "sequence_accuracy")),
    ("Bits a byte, or a value of a picture", ("bits_per_byte", "bits_per_dim")),
    ("Correlation", ("pearson",)),
    ("Absolute error", ("absolute_error",)),
    ("Normalised deviation", ("normalised_deviation",)),
    ("Steps and remainder of a token", ("ponder",)),
    ("Share of each expert", tuple(f"expert_{i}" for i in range(16))),
    ("Load balance, 1 when even", ("load_balance",)),
    ("Share of choices without a place", ("expert_dropped",)),
    ("Weight of each horizon", tuple(f"horizon_{i}" for i in range(6))),
    ("Entropy", ("entropy",)),
    ("Learning rate", ("learning_rate",)),
    ("Fill of a batch, 1 without padding", ("fill",)),
    ("Targets per second", ("targets_per_second",)),
)

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1120px; margin: 2em auto;
       padding: 0 1em; color: #1a202c; background: #fff }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #e2e8f0; padding: .3em .6em; text-align: left;
         vertical-align: top }
pre { background: #f7fafc; padding: 1em; overflow: auto; font-size: 13px }
.charts { display: flex; flex-wrap: wrap; gap: 1em }
svg text { font: 11px system-ui, sans-serif; fill: #4a5568 }
"""


def write_report(run: RunFolder) -> None:
    """Writes the report anew from the run's files."""
    records = read_records(run.metrics)
    parts = [f"<h1>{html.escape(run.path.resolve().name)}</h1>", _summary(records)]
    charts = [_chart(title, names, records) for title, names in CHARTS]
    parts.append(f"<div class='charts'>{''.join(charts)}</div>")
    decodes = run.path / "decodes.json"
    if decodes.is_file():
        parts.append(_decodes(json.loads(decodes.read_text(encoding="utf-8"))))
    parts.append(insides(run))
    parts.append(histograms(run))
    for video in sorted(run.videos.glob("[0-9]*"))[-1:]:
        parts.append(_video(video))
    parts.append("<h2>Configuration</h2><pre>")
    parts.append(html.escape(run.config.read_text(encoding="utf-8")) + "</pre>")
    write_text(run.report, page(run.path.resolve().name, "".join(parts)))


def page(title: str, body: str) -> str:
    """A whole page that needs no other file."""
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>{body}</html>\n"
    )


def _summary(records: list[dict[str, Any]]) -> str:
    rows = []
    for split in dict.fromkeys(r["split"] for r in records):
        last = [r for r in records if r["split"] == split][-1]
        numbers = ", ".join(
            f"{name} <b>{value:.4g}</b>"
            for name, value in last.items()
            if name not in ("split", "step", "seconds")
        )
        minutes = last["seconds"] / 60
        rows.append(
            f"<tr><th>{html.escape(split)}</th><td>step {last['step']}, "
            f"{minutes:.1f} minutes</td><td>{numbers}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _chart(title: str, names: tuple[str, ...], records: list[dict[str, Any]]) -> str:
    """Some values over steps, a line a split and name."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for name in names:
            if name in record:
                key = (
                    record["split"] if len(names) == 1 else f"{record['split']} {name}"
                )
                lines.setdefault(key, []).append((record["step"], record[name]))
    return line_chart(title, lines) if lines else ""


def _video(path: Path) -> str:
    """An episode that was filmed, to be played in the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    if path.suffix == ".gif":
        shown = f"<img alt='episode' src='data:image/gif;base64,{data}'>"
    else:
        source = f"data:video/mp4;base64,{data}"
        shown = f"<video controls loop width='480' src='{source}'></video>"
    return f"<h2>An episode at step {int(path.stem)}</h2>{shown}"


def _decodes(record: dict[str, Any]) -> str:
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>"
        for row in record["rows"]
    )
    page = (
        f"<h2>Decodes at step {record['step']}</h2><table><tr><th>input</th>"
        f"<th>reference</th><th>output</th></tr>{rows}</table>"
    )
    if "attention" in record:
        page += "<h2>Attention</h2>" + _attention(record["attention"])
    return page


def _attention(picture: dict[str, Any]) -> str:
    """Weights as a grid: inputs across, outputs down."""
    cell, left, top = 26, 130, 110
    inputs, targets = picture["inputs"], picture["targets"]
    width, height = left + cell * len(inputs) + 40, top + cell * len(targets) + 8
    drawn = []
    for j, piece in enumerate(inputs):
        x = left + cell * j + cell / 2
        drawn.append(
            f"<text transform='translate({x},{top - 6}) rotate(-50)'>"
            f"{html.escape(piece)}</text>"
        )
    for i, piece in enumerate(targets):
        y = top + cell * i
        drawn.append(
            f"<text x='{left - 6}' y='{y + cell / 2 + 4}' text-anchor='end'>"
            f"{html.escape(piece)}</text>"
        )
        for j, weight in enumerate(picture["weights"][i]):
            drawn.append(
                f"<rect x='{left + cell * j}' y='{y}' width='{cell - 1}' "
                f"height='{cell - 1}' fill='#2b6cb0' fill-opacity='{weight:.3f}'>"
                f"<title>{weight:.3f}</title></rect>"
            )
    return (
        f"<svg viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
        f"role='img'>{''.join(drawn)}</svg>"
    )
