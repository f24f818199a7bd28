"""What a run learns from, for its report: how long its texts are, which ids occur.

Of the first examples of training, once, when the run begins.
"""

from __future__ import annotations

import html
import json
from typing import Any

import numpy as np

from t2t.features import EOS
from t2t.run.charts import bar_chart
from t2t.run.folder import RunFolder, write_text
from t2t.run.problems import split_examples

EXAMPLES = 1000  # that are looked at
BARS = 20  # of a histogram of lengths
OFTEN = 12  # pieces that are shown
TIMES = (0, 1, 2, 5, 10, 100, 1000)  # that an id occurs: where bars begin


def save(
    run: RunFolder, problem: Any, *, data_dir: str | None, max_length: int
) -> None:
    """Writes histograms.json, where it is not there and the problem has texts."""
    if run.histograms.is_file() or problem.interactive:
        return
    texts = {n: f for n, f in problem.offered().items() if f.kind == "text"}
    if not texts:
        return
    examples = split_examples(problem, "train", data_dir=data_dir, limit=EXAMPLES)
    ids = {name: [e[name] for e in examples] for name in texts}
    record = {
        "examples": len(examples),
        "max_length": max_length,
        "lengths": {
            name: lengths([len(i) for i in found]) for name, found in ids.items()
        },
        "vocabularies": {
            name: use(texts[name].vocabulary, found) for name, found in ids.items()
        },
    }
    write_text(run.histograms, json.dumps(record, ensure_ascii=False))


def lengths(sizes: list[int]) -> dict[str, Any]:
    """{'counts', 'width', 'longest', 'mean'}: bars of so many tokens each, from 0."""
    longest = max(sizes)
    width = max(1, -(-(longest + 1) // BARS))
    counts = np.bincount(np.asarray(sizes) // width)
    return {
        "counts": counts.tolist(),
        "width": width,
        "longest": longest,
        "mean": float(np.mean(sizes)),
    }


def use(vocabulary: Any, texts: list[np.ndarray]) -> dict[str, Any]:
    """{'size', 'seen', 'counts', 'often'} of a vocabulary's ids.

    counts: how many ids occur as often as `TIMES` says, or oftener, to the next.
    often: [piece, occurrences] of the most frequent.
    """
    times = np.bincount(np.concatenate(texts), minlength=vocabulary.size)
    bins = np.searchsorted(TIMES, times, side="right") - 1
    often = [int(i) for i in np.argsort(-times, kind="stable") if i > EOS][:OFTEN]
    return {
        "size": vocabulary.size,
        "seen": int((times > 0).sum()),
        "counts": np.bincount(bins, minlength=len(TIMES)).tolist(),
        "often": [[vocabulary.decode([i]), int(times[i])] for i in often if times[i]],
    }


def histograms(run: RunFolder) -> str:
    """The part of the report; '' for a run without."""
    if not run.histograms.is_file():
        return ""
    record = json.loads(run.histograms.read_text(encoding="utf-8"))
    charts, lines = [], []
    for name, found in record["lengths"].items():
        starts = [str(i * found["width"]) for i in range(len(found["counts"]))]
        charts.append(
            bar_chart(f"Length of {name}", starts, found["counts"], across="tokens")
        )
        cut = ""
        if found["longest"] > record["max_length"]:
            cut = f", some longer than max_length={record['max_length']}"
        lines.append(
            f"{name}: {found['mean']:.1f} tokens in the mean, {found['longest']} at "
            f"most{cut}"
        )
    for name, found in record["vocabularies"].items():
        charts.append(
            bar_chart(f"Ids of {name}", _times(), found["counts"], across="occurrences")
        )
        shown = ", ".join(f"{piece!r} {count}" for piece, count in found["often"])
        lines.append(
            f"{name}: {found['seen']} of {found['size']} ids occur; most often {shown}"
        )
    told = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return (
        f"<h2>The first {record['examples']} examples of training</h2>"
        f"<div class='charts'>{''.join(charts)}</div><ul>{told}</ul>"
    )


def _times() -> list[str]:
    """'0', '1', '2–4', …: what a bar of occurrences stands for."""
    ends = [*(start - 1 for start in TIMES[1:]), None]
    return [
        f"{start}+" if end is None else str(start) if end == start else f"{start}–{end}"
        for start, end in zip(TIMES, ends, strict=True)
    ]
