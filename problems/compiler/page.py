"""What a policy does to modules, to look at: the body of a page in HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator, Sequence

from t2t.problems.compiler import weigh
from t2t.problems.compiler.explain import Explanation
from t2t.problems.compiler.weigh import Weight

WIDTH, LANE, LEFT = 900, 46, 190  # pixels
SMALLER, LARGER = "#2f855a", "#c05621"
LANES = (
    ("inlined by both", 1, 1),
    ("by LLVM alone", 1, 0),
    ("by the policy alone", 0, 1),
    ("by neither", 0, 0),
)
DRAWN = 5000  # decisions in the picture


def body(title: str, weights: Sequence[Weight], explanation: Explanation | None) -> str:
    """Sizes by package, decisions against their costs, and one module explained."""
    good = [w for w in weights if not w.failure]
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += ["<h2>Code by package, bytes of .text*</h2>", _packages(good)]
    parts += ["<h2>Decisions by LLVM's estimate of their cost</h2>", _scatter(good)]
    if explanation is not None:
        parts += _explained(explanation)
    return "".join(parts)


def _packages(weights: Sequence[Weight]) -> str:
    groups = {w.group: [v for v in weights if v.group == w.group] for w in weights}
    sums = [weigh.total(group, members) for group, members in groups.items()]
    sums = [*sorted(sums, key=lambda w: w.change), weigh.total("all", weights)]
    widest = max((abs(w.change) for w in sums), default=0.0) or 1.0
    rows = (
        (
            html.escape(w.name),
            f"{w.default:,}",
            f"{w.learned:,}",
            f"{w.change:+.2%}",
            _bar(w.change, widest),
            f"{w.changed:,} of {w.decisions:,}",
        )
        for w in sums
    )
    return _table(("", "-Oz", "learned", "change", "", "decided otherwise"), rows)


def _bar(change: float, widest: float) -> str:
    colour = LARGER if change > 0 else SMALLER
    width = 160 * abs(change) / widest
    return f"<div style='width:{width:.0f}px;height:.8em;background:{colour}'></div>"


def _scatter(weights: Sequence[Weight]) -> str:
    """A lane for what both, one or neither inlined; costs across, by logarithm."""
    points = [point for w in weights for point in w.decided][:DRAWN]
    if not points:
        return "<p>LLVM asked nothing.</p>"
    places = [_log(cost) for cost, *_ in points]
    low, high = min(places), max(places)
    scale = (WIDTH - LEFT - 20) / ((high - low) or 1.0)
    drawn = []
    for number, (title, own, taken) in enumerate(LANES):
        top = 10 + LANE * number
        inside = [
            place
            for place, (_, *both) in zip(places, points, strict=True)
            if both == [own, taken]
        ]
        drawn.append(
            f"<text x='{LEFT - 10}' y='{top + LANE / 2:.0f}' text-anchor='end'>"
            f"{title}: {len(inside):,}</text>"
        )
        colour = "#2b6cb0" if own == taken else LARGER
        for count, place in enumerate(inside):
            # Spread over the lane, or points of one cost would hide each other.
            y = top + 6 + (count * 7) % (LANE - 12)
            x = LEFT + (place - low) * scale
            drawn.append(
                f"<circle cx='{x:.1f}' cy='{y}' r='2' fill='{colour}' "
                "fill-opacity='0.5'/>"
            )
    foot = 10 + LANE * len(LANES)
    for value in sorted({low, min(max(low, 0.0), high), high}):
        x = LEFT + (value - low) * scale
        drawn.append(
            f"<text x='{x:.0f}' y='{foot + 14}' text-anchor='middle'>{_back(value):.0f}"
            "</text>"
        )
    return (
        f"<svg viewBox='0 0 {WIDTH} {foot + 22}' width='{WIDTH}' height='{foot + 22}' "
        f"role='img'>{''.join(drawn)}</svg>"
    )


def _log(cost: float) -> float:
    return math.copysign(math.log1p(abs(cost)), cost)


def _back(value: float) -> float:
    return math.copysign(math.expm1(abs(value)), value)


def _explained(explanation: Explanation) -> Iterator[str]:
    e = explanation
    yield f"<h2>{html.escape(e.name)}, call by call</h2>"
    yield (
        f"<p>{e.plain.code.text:,} bytes at -Oz, {e.learned.code.text:,} with the "
        f"policy: {e.saved:,} saved by {len(e.decisions)} of {len(e.learned.sites)} "
        "decisions that LLVM takes otherwise. What each saves alone need not add up: "
        "one call inlined changes what the next one costs.</p>"
    )
    ways = ("stays a call", "is inlined")
    ranked = sorted(e.decisions, key=lambda d: -(d.saved or 0))
    yield _table(
        ("within", "the call of", "which", "cost", "", "saves alone"),
        (
            (
                html.escape(d.site[0]),
                html.escape(d.site[1]),
                str(d.site[2] + 1),
                f"{d.cost:.0f}",
                ways[d.taken],
                "not tried" if d.saved is None else f"{d.saved:,}",
            )
            for d in ranked
        ),
    )
    sizes = sorted(e.functions.items(), key=lambda pair: pair[1][1] - pair[1][0])
    yield "<h2>Its functions that have another size</h2>"
    yield _table(
        ("function", "-Oz", "learned", "change"),
        (
            (html.escape(name), f"{one:,}", f"{two:,}", f"{two - one:+,}")
            for name, (one, two) in sizes
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of cells that are HTML already."""
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = (
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{titles}</tr>{''.join(lines)}</table>"
