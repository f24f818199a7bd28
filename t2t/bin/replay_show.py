"""What `t2t-replay info` and `browse` print and draw."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np

from t2t.run.charts import line_chart

BARS = " ▁▂▃▄▅▆▇█"
MARKS = ("least", "half", "90 %", "99 %", "most")


def dashboard(
    address: str, info: dict[str, Any], before: dict[str, Any] | None = None
) -> str:
    """The server in some lines; rates where there is an earlier look."""
    lines = [
        f"{address}: {info.get('connections', 0)} connections, "
        f"{info['writers']} writers"
    ]
    for store in info["stores"]:
        used = store["slots"] - store["free"]
        lines.append(
            f"  chunks {used:,} of {store['slots']:,} x {store['chunk_steps']} steps, "
            f"{store['bytes'] / 1e6:,.0f} MB"
            + "".join(f", {name} by {how}" for name, how in store["packing"].items())
        )
    for name, table in info["tables"].items():
        lines += ["", *_table(name, table, *_earlier(name, info, before))]
    return "\n".join(lines)


def page(address: str, shown: str, looks: list[dict[str, Any]], path: Path) -> None:
    """Writes the dashboard and its curves over time as one HTML file."""
    charts = []
    for name in looks[-1]["tables"]:
        moments = [(look["time"], look["tables"][name]) for look in looks]
        moments = [(at, table) for at, table in moments if "inserts" in table]
        pairs = list(zip(moments, moments[1:], strict=False))
        if not pairs:
            continue
        lines = {
            what: [
                (at - moments[0][0], (table[what] - earlier[what]) / (at - then))
                for (then, earlier), (at, table) in pairs
            ]
            for what in ("inserts", "samples")
        }
        charts.append(line_chart(f"{name}: a second", lines, across="seconds"))
        sizes = [(at - moments[0][0], table["size"]) for at, table in moments]
        charts.append(line_chart(f"{name}: items", {"items": sizes}, across="seconds"))
    text = (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta http-equiv='refresh' content='2'>"
        f"<title>{html.escape(address)}</title>"
        "<style>svg text { font: 11px system-ui }"
        f"</style><pre>{html.escape(shown)}</pre>{''.join(charts)}</html>\n"
    )
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _earlier(
    name: str, info: dict[str, Any], before: dict[str, Any] | None
) -> tuple[dict[str, Any], float]:
    if before is None:
        return {}, 0.0
    return before["tables"].get(name, {}), info["time"] - before["time"]


def _table(
    name: str, table: dict[str, Any], before: dict[str, Any], seconds: float
) -> list[str]:
    if "max_size" not in table:
        return [f"{name}: no writer came yet"]
    lines = [
        f"{name}: {table['size']:,} of {table['max_size']:,} items, "
        f"{table['sampler']} sampler, {table['remover']} remover",
        f"  {table['inserts']:,} inserts, {table['samples']:,} samples: "
        f"{table['samples_per_insert']:.3g} samples per insert",
        f"  waiting: {table['waiting_inserts']} inserts, "
        f"{table['waiting_samples']} samples; evicted for want of chunks: "
        f"{table['evicted']:,}",
    ]
    lines.append(f"  staleness: {_staleness(table)}")
    if "inserts" in before and seconds > 0:
        rates = [
            f"{(table[what] - before[what]) / seconds:,.0f} {what}/s"
            for what in ("inserts", "samples")
        ]
        lines.insert(2, f"  {', '.join(rates)}")
    if "priorities" in table:
        counts, edges = table["priorities"]["counts"], table["priorities"]["edges"]
        lines.append(f"  priorities {edges[0]:.3g} {bars(counts)} {edges[-1]:.3g}")
        if table["looked_at"] < table["size"]:
            lines[-1] += f", by {table['looked_at']:,} items"
        for what, unit in (("seconds", " s"), ("times_sampled", "")):
            shown = ", ".join(
                f"{mark} {value:.3g}{unit}"
                for mark, value in zip(MARKS, table[what], strict=True)
            )
            title = "ages" if what == "seconds" else "times sampled"
            lines.append(f"  {title}: {shown}")
    return lines


def _staleness(table: dict[str, Any]) -> str:
    """How old what learners draw is by the time they have learned from it."""
    ahead, measured = table.get("asked_ahead", 0), table["staleness"]
    told = f"{ahead:,} items asked for ahead" if ahead else "nobody samples"
    if measured is None:
        return f"{told}; no priorities came back yet"
    return (
        f"{told}; priorities came back {measured['median']:,.0f} samples after the "
        f"draw (median of late), {measured['most']:,.0f} at most"
    )


def bars(counts: list[int]) -> str:
    """A histogram in one line."""
    most = max(max(counts), 1)
    # What is there at all is seen.
    return "".join(
        BARS[0 if not n else max(1, round(n / most * (len(BARS) - 1)))] for n in counts
    )


def describe(found: Any) -> str:
    """A few lines an item: what is known of it, and its columns."""
    lines = []
    for i, key in enumerate(found.keys.tolist()):
        length = int(found.lengths[i])
        lines.append(
            f"item {key}: priority {found.priorities[i]:.4g}, {length} steps, sampled "
            f"{found.times_sampled[i]} times, {found.ages[i]} inserted since"
        )
        width = max(map(len, found.data))
        for name, values in found.data.items():
            lines.append(f"  {name:{width}} {_column(values[i][:length])}")
    return "\n".join(lines)


def _column(values: np.ndarray) -> str:
    kind = f"{values.dtype.name}{list(values.shape)}"
    if values.size <= 12:
        shown = np.array2string(values.ravel(), precision=4, separator=", ")
        return f"{kind} {' '.join(shown.split())}"
    numbers = values.astype(np.float64)
    return f"{kind} from {numbers.min():.4g} to {numbers.max():.4g}, mean " + (
        f"{numbers.mean():.4g}"
    )


def pictures(found: Any, folder: Path) -> list[Path]:
    """A PNG an item and image column: its steps side by side."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("pictures need pillow: pip install -e '.[replay]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, values in found.data.items():
        if not looks_like_images(values):
            continue
        for i, key in enumerate(found.keys.tolist()):
            frames = values[i][: int(found.lengths[i])]
            if frames.ndim == 3:
                frames = frames[..., None]
            strip = np.concatenate(list(frames), axis=1)
            strip = strip[..., 0] if strip.shape[-1] != 3 else strip
            factor = max(1, 128 // strip.shape[0])
            strip = strip.repeat(factor, axis=0).repeat(factor, axis=1)
            path = folder / f"{key}-{name}.png"
            Image.fromarray(np.ascontiguousarray(strip)).save(path)
            made.append(path)
    return made


def looks_like_images(values: np.ndarray) -> bool:
    """uint8 [N, T, H, W] or [N, T, H, W, C] of a size that can be seen."""
    if values.dtype != np.uint8 or values.ndim not in (4, 5):
        return False
    return values.shape[2] >= 4 and values.shape[3] >= 4
