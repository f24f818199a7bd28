"""A sweep as a table, and as a page: every knob against the metric, the best curves."""

from __future__ import annotations

import html
from collections.abc import Sequence

from t2t.run.charts import HEIGHT, WIDTH, line_chart, short
from t2t.run.report import page
from t2t.sweep.trials import Sweep, Trial, evaluations

BEST = 6  # whose curves are drawn


def table(sweep: Sweep, trials: Sequence[Trial]) -> list[list[str]]:
    """A row a trial, the best first."""
    names = [axis.name for axis in sweep.axes]
    rows = [
        [
            f"{trial.number:03d}",
            *(str(trial.knobs[name]) for name in names),
            trial.fault if trial.value is None else f"{trial.value:.5g}",
            str(trial.step),
        ]
        for trial in sweep.ranked(trials)
    ]
    return [["trial", *names, sweep.metric, "step"], *rows]


def html_page(sweep: Sweep, trials: Sequence[Trial]) -> str:
    """A page of its own, without scripts."""
    done = [trial for trial in sweep.ranked(trials) if trial.value is not None]
    pictures = []
    curves = {
        f"{trial.number:03d}": [
            (float(step), value)
            for step, value in evaluations(sweep.run_of(trial.number), sweep.metric)
        ]
        for trial in done[:BEST]
    }
    if curves:
        pictures.append(line_chart(f"{sweep.metric}, the best trials", curves))
        pictures += [_scatter(axis.name, sweep.metric, done) for axis in sweep.axes]
    rows = table(sweep, trials)
    cells = [
        "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
        for tag, row in zip(["th"] + ["td"] * len(rows), rows, strict=False)
    ]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    title = f"sweep {sweep.folder.resolve().name}"
    return page(
        title,
        f"<h1>{html.escape(title)}</h1>"
        f"<p>{html.escape(' '.join(sweep.trainer))}</p>"
        f"<div class='charts'>{''.join(pictures)}</div><table>{body}</table>",
    )


def _scatter(name: str, metric: str, done: Sequence[Trial]) -> str:
    """An SVG of one knob's values across and the metric up; values are in order."""
    values = sorted({trial.knobs[name] for trial in done}, key=_order)
    numbers = [trial.value or 0.0 for trial in done]
    low, high = min(numbers), max(numbers)
    room = (high - low) or 1.0
    step = (WIDTH - 110) / max(1, len(values) - 1)
    drawn = [
        f"<text x='56' y='14' font-weight='bold'>{html.escape(f'{metric} by {name}')}"
        "</text>"
    ]
    for share in (0.0, 1.0):
        y = HEIGHT - 40 - share * (HEIGHT - 70)
        told = short(low + share * room)
        drawn.append(f"<text x='50' y='{y:.0f}' text-anchor='end'>{told}</text>")
    for trial in done:
        x = 70 + values.index(trial.knobs[name]) * step
        y = HEIGHT - 40 - ((trial.value or 0.0) - low) / room * (HEIGHT - 70)
        drawn.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='#2b6cb0' opacity='0.6'>"
            f"<title>{trial.number:03d}: {trial.value:.5g}</title></circle>"
        )
    for place in sorted({0, len(values) - 1}):
        told = html.escape(str(values[place]))
        x = 70 + place * step
        drawn.append(
            f"<text x='{x:.0f}' y='{HEIGHT - 12}' text-anchor='middle'>{told}</text>"
        )
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' "
        f"font-family='system-ui, sans-serif' font-size='11'>{''.join(drawn)}</svg>"
    )


def _order(value: object) -> tuple[bool, float, str]:
    """Numbers by size, before words."""
    number = isinstance(value, int | float)
    return not number, float(value) if number else 0.0, str(value)  # type: ignore[arg-type]
