"""Parts of the report about the inside of a model, drawn from the run's files alone."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from t2t.run.charts import NAMESPACE
from t2t.run.folder import RunFolder

BLUE = "#2b6cb0"


def insides(run: RunFolder) -> str:
    """What there is of pondering, of experts and of drawn pictures."""
    parts = []
    if run.insides.is_file():
        record = json.loads(run.insides.read_text(encoding="utf-8"))
        if record["pondering"]:
            parts.append(f"<h2>Steps of each token at step {record['step']}</h2>")
            parts += [_pondered(side) for side in record["pondering"]]
        if record["experts"]:
            parts.append(
                f"<h2>Share of each expert at step {record['step']}</h2>"
                + heat_map(_shortened(record["experts"]))
            )
    for path in sorted(run.pictures.glob("[0-9]*.png"))[-1:]:
        data = base64.b64encode(path.read_bytes()).decode()
        parts.append(
            f"<h2>Pictures drawn at step {int(path.stem)}</h2>"
            "<img alt='pictures' style='image-rendering: pixelated; width: 480px' "
            f"src='data:image/png;base64,{data}'>"
        )
    return "".join(parts)


def _pondered(side: dict[str, Any]) -> str:
    """The pieces in a line, darker where more steps were taken."""
    most = max([*side["steps"], 1])
    pieces = "".join(
        f"<span style='background: rgb(43 108 176 / {0.6 * steps / most:.2f}); "
        f"padding: .1em .3em; margin: 1px' title='{steps} steps'>{html.escape(piece)}"
        f"<sub>{steps}</sub></span>"
        for piece, steps in zip(side["pieces"], side["steps"], strict=True)
    )
    return f"<p><b>{html.escape(side['side'])}</b> {pieces}</p>"


def _shortened(shares: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """'encoder/block_1/expert_share' is called 'encoder block 1'."""
    return {
        name.removesuffix("/expert_share").replace("/", " ").replace("_", " "): row
        for name, row in shares.items()
    }


def heat_map(rows: Mapping[str, Sequence[float]], *, alone: bool = False) -> str:
    """An SVG element with a row of cells a name, as dark as their share of the
    largest."""
    most = max((value for row in rows.values() for value in row), default=0) or 1.0
    count = max(map(len, rows.values()), default=1)
    left, cell, across = 150, 26, max(6.0, min(26.0, 900 / count))
    width, height = left + across * count + 8, cell * len(rows) + 24
    drawn = []
    for i, (name, row) in enumerate(rows.items()):
        y = cell * i
        drawn.append(
            f"<text x='{left - 6}' y='{y + cell / 2 + 4}' text-anchor='end'>"
            f"{html.escape(name)}</text>"
        )
        for j, value in enumerate(row):
            drawn.append(
                f"<rect x='{left + across * j:.1f}' y='{y}' width='{across - 1:.1f}' "
                f"height='{cell - 1}' fill='{BLUE}' "
                f"fill-opacity='{value / most:.3f}'><title>expert {j}: {value:.1%}"
                "</title></rect>"
            )
    drawn.append(
        f"<text x='{left}' y='{height - 6}'>experts 0 to {count - 1}; even would be "
        f"{1 / count:.1%}, the darkest is {most:.1%}</text>"
    )
    return (
        f"<svg{NAMESPACE if alone else ''} viewBox='0 0 {width:.0f} {height}' "
        f"width='{width:.0f}' height='{height}' font-family='system-ui, sans-serif' "
        f"font-size='11' role='img'>{''.join(drawn)}</svg>"
    )
