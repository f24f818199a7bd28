"""`report.html`: one self-contained page about a run, drawn from its files alone."""

from __future__ import annotations

import html
import json
from typing import Any

from t2t.run.folder import RunFolder, write_text
from t2t.run.log import read_records

WIDTH, HEIGHT, LEFT, BOTTOM = 520, 240, 56, 28
LETTER = 6.5  # about how wide a letter of a legend is, in pixels
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b83280", "#4a5568")

# Curves of the report: title, the values drawn in it.
CHARTS = (
    ("Loss", ("loss",)),
    ("BLEU and chrF", ("bleu", "chrf")),
    ("Accuracy", ("accuracy", "sequence_accuracy")),
    ("Learning rate", ("learning_rate",)),
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
    """Writes the report anew from metrics.jsonl, decodes.json and config.gin."""
    records = read_records(run.metrics)
    parts = [f"<h1>{html.escape(run.path.resolve().name)}</h1>", _summary(records)]
    charts = [_chart(title, names, records) for title, names in CHARTS]
    parts.append(f"<div class='charts'>{''.join(charts)}</div>")
    decodes = run.path / "decodes.json"
    if decodes.is_file():
        parts.append(_decodes(json.loads(decodes.read_text(encoding="utf-8"))))
    parts.append("<h2>Configuration</h2><pre>")
    parts.append(html.escape(run.config.read_text(encoding="utf-8")) + "</pre>")
    page = (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        f"<title>{html.escape(run.path.resolve().name)}</title>"
        f"<style>{STYLE}</style>{''.join(parts)}</html>\n"
    )
    write_text(run.report, page)


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
    """An SVG line chart of some values over steps, a line a split and name."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for name in names:
            if name in record:
                key = (
                    record["split"] if len(names) == 1 else f"{record['split']} {name}"
                )
                lines.setdefault(key, []).append((record["step"], record[name]))
    if not lines:
        return ""
    points = [point for line in lines.values() for point in line]
    right = max(x for x, _ in points) or 1
    low, high = min(y for _, y in points), max(y for _, y in points)
    if high == low:
        low, high = low - 0.5 * abs(low or 1), high + 0.5 * abs(high or 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + x / right * (WIDTH - LEFT - 8)
        return across, 24 + (high - y) / (high - low) * (HEIGHT - BOTTOM - 24)

    drawn = [f"<text x='{LEFT}' y='14' font-weight='bold'>{html.escape(title)}</text>"]
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        _, y = place(0, value)
        drawn.append(
            f"<line x1='{LEFT}' x2='{WIDTH - 8}' y1='{y:.1f}' y2='{y:.1f}' "
            f"stroke='#e2e8f0'/><text x='{LEFT - 6}' y='{y + 4:.1f}' "
            f"text-anchor='end'>{_short(value)}</text>"
        )
    drawn.append(
        f"<text x='{WIDTH - 8}' y='{HEIGHT - 8}' text-anchor='end'>"
        f"step {right:.0f}</text>"
    )
    legend = LEFT + 30 + LETTER * len(title)
    for i, (name, line) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in line))
        drawn.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' "
            f"stroke-width='1.8'/>"
        )
        if len(line) < 20:
            drawn += [
                f"<circle cx='{x:.1f}' cy='{y:.1f}' r='2.5' fill='{colour}'/>"
                for x, y in (place(*p) for p in line)
            ]
        drawn.append(
            f"<text x='{legend}' y='14' style='fill:{colour}'>"
            f"{html.escape(name)}</text>"
        )
        legend += 18 + LETTER * len(name)
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' "
        f"role='img'>{''.join(drawn)}</svg>"
    )


def _short(value: float) -> str:
    """6453.2 -> '6.45k': what fits beside an axis."""
    return f"{value / 1000:.3g}k" if abs(value) >= 1000 else f"{value:.3g}"


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
