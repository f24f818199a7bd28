"""Line and bar charts as SVG: no library, no script, alike in a page and in a file."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, BOTTOM = 520, 240, 56, 28  # pixels
NAMESPACE = " xmlns='http://www.w3.org/2000/svg'"  # that a file needs
LETTER = 6.5  # about how wide a letter of a legend is
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b83280", "#4a5568")

Point = tuple[float, float]


def line_chart(
    title: str,
    lines: Mapping[str, Sequence[Point]],
    *,
    across: str = "step",
    alone: bool = False,
    bands: Mapping[str, Sequence[tuple[float, float, float]]] | None = None,
) -> str:
    """An SVG element with a line a name.

    Args:
      lines: points (x, y), by name.
      across: what x counts.
      alone: as a file of its own, not as part of a page.
      bands: (x, low, high) around a line, by its name.
    """
    bands = bands or {}
    points = [point for line in lines.values() for point in line]
    values = [y for _, y in points]
    values += [y for band in bands.values() for _, *ends in band for y in ends]
    right = max(x for x, _ in points) or 1
    low, high = min(values), max(values)
    if high == low:
        low, high = low - 0.5 * abs(low or 1), high + 0.5 * abs(high or 1)

    def place(x: float, y: float) -> str:
        along = LEFT + x / right * (WIDTH - LEFT - 8)
        down = 24 + (high - y) / (high - low) * (HEIGHT - BOTTOM - 24)
        return f"{along:.1f},{down:.1f}"

    drawn = [f"<text x='{LEFT}' y='14' font-weight='bold'>{html.escape(title)}</text>"]
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        y = float(place(0, value).split(",")[1])
        drawn.append(
            f"<line x1='{LEFT}' x2='{WIDTH - 8}' y1='{y:.1f}' y2='{y:.1f}' "
            f"stroke='#e2e8f0'/><text x='{LEFT - 6}' y='{y + 4:.1f}' "
            f"text-anchor='end'>{short(value)}</text>"
        )
    drawn.append(
        f"<text x='{WIDTH - 8}' y='{HEIGHT - 8}' text-anchor='end'>"
        f"{html.escape(across)} {right:.0f}</text>"
    )
    legend = LEFT + 30 + LETTER * len(title)
    for i, (name, line) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        if band := bands.get(name):
            outline = [place(x, y) for x, y, _ in band]
            outline += [place(x, y) for x, _, y in reversed(band)]
            drawn.append(
                f"<polygon points='{' '.join(outline)}' fill='{colour}' "
                "fill-opacity='0.15'/>"
            )
        path = " ".join(place(*point) for point in line)
        drawn.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' "
            f"stroke-width='1.8'/>"
        )
        if len(line) < 20:
            for at in path.split():
                x, y = at.split(",")
                drawn.append(f"<circle cx='{x}' cy='{y}' r='2.5' fill='{colour}'/>")
        drawn.append(
            f"<text x='{legend:.0f}' y='14' style='fill:{colour}'>"
            f"{html.escape(name)}</text>"
        )
        legend += 18 + LETTER * len(name)
    return (
        f"<svg{NAMESPACE if alone else ''} viewBox='0 0 {WIDTH} {HEIGHT}' "
        f"width='{WIDTH}' height='{HEIGHT}' font-family='system-ui, sans-serif' "
        f"font-size='11' role='img'>{''.join(drawn)}</svg>"
    )


def bar_chart(
    title: str, labels: Sequence[str], counts: Sequence[int], *, across: str
) -> str:
    """An SVG element with a bar a label.

    Args:
      labels: below the bars; of many, as many as there is room for.
      counts: how high each bar is.
      across: what the labels are.
    """
    most, room = max([*counts, 1]), WIDTH - LEFT - 8
    wide, floor = room / max(len(counts), 1), HEIGHT - BOTTOM
    every = -(-len(counts) * int(LETTER * (1 + max(map(len, labels)))) // room)
    drawn = [f"<text x='{LEFT}' y='14' font-weight='bold'>{html.escape(title)}</text>"]
    for i, (label, count) in enumerate(zip(labels, counts, strict=True)):
        x, tall = LEFT + wide * i, (floor - 24) * count / most
        drawn.append(
            f"<rect x='{x:.1f}' y='{floor - tall:.1f}' width='{wide - 1:.1f}' "
            f"height='{tall:.1f}' fill='{COLOURS[0]}'><title>{html.escape(label)}: "
            f"{count}</title></rect>"
        )
        if i % max(every, 1) == 0:
            drawn.append(
                f"<text x='{x:.1f}' y='{floor + 12}'>{html.escape(label)}</text>"
            )
    drawn.append(
        f"<text x='{LEFT - 6}' y='32' text-anchor='end'>{short(most)}</text>"
        f"<text x='{WIDTH - 8}' y='{HEIGHT - 4}' text-anchor='end'>"
        f"{html.escape(across)}</text>"
    )
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' "
        f"role='img'>{''.join(drawn)}</svg>"
    )


def short(value: float) -> str:
    """6453.2 -> '6.45k': what fits beside an axis."""
    return f"{value / 1000:.3g}k" if abs(value) >= 1000 else f"{value:.3g}"
