"""A card as Markdown, and as one page of HTML with everything in it."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Sequence
from typing import Any

from t2t.card.facts import GUARD, PAPER, PROVENANCE
from t2t.card.samples import Shown
from t2t.problems.omni.scores import Verdict

Table = tuple[list[str], list[list[str]]]  # heads, rows
Samples = list[list[tuple[str, list[Shown]]]]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1120px; margin: 2em auto;
       padding: 0 1em; color: #1a202c; background: #fff }
table { border-collapse: collapse; width: 100%; margin: 1em 0 }
td, th { border-bottom: 1px solid #e2e8f0; padding: .3em .6em; text-align: left;
         vertical-align: top }
img { image-rendering: pixelated; height: 96px; background: #000 }
audio { height: 32px; vertical-align: middle }
"""


def sections(card: dict[str, Any]) -> list[tuple[str, str, Table]]:
    """(title, what it is about, its table) of each."""
    return [
        ("The model", "", _model(card["model"])),
        (
            "What it was trained on",
            "Made here, from seeds: the same commands make the same bytes.",
            _data(card["data"]),
        ),
        (
            "What goes in and what comes out",
            "On strings, voices and handwriting that no training had. Beside each "
            "judge, what it makes of the right answers: raw, coded as the model's are, "
            "and spliced of people's recordings.",
            _scores(card["matrix"]),
        ),
        (
            "Safety",
            "The share of answers that are as they should be; before: without the "
            f"safety fine-tuning. GPT-4o's figures are of {PAPER}.",
            _safety(card["safety"]),
        ),
        (
            "What stopped an answer",
            "Of the questions above, behind moderation; refusals are learned.",
            (["stage", "answers"], [[s, str(n)] for s, n in card["stopped"].items()]),
        ),
        (
            "The guard of the voice",
            "Speech in another voice than was chosen, raw and through the codec: how "
            f"much of it is stopped, and how soon. GPT-4o: {GUARD.figure}.",
            _guard(card["voice_guard"]),
        ),
        (
            "Where sound and pictures come from",
            "PNG and WAV are signed (Ed25519). The watermark that is drawn into codes: "
            "how often it is found at 1 % false alarms, beside its strength in nats. "
            f"GPT-4o: {PROVENANCE.figure}.",
            _watermark(card["watermark"]),
        ),
        (
            "Whom it hears worse, and where",
            "Word error rates of sentences written down.",
            _scores(card["listening"]),
        ),
        (
            "What it says by heart",
            "Of what training had, and of what it never had.",
            _scores(card["memory"]),
        ),
        ("How soon a voice is answered", "", _latency(card["timing"])),
        (
            "Preparedness",
            f"Overall: {card['preparedness']['overall']} "
            f"({card['preparedness']['rule']}).",
            (
                ["category", "GPT-4o", "its evidence", "this run", "why"],
                [
                    [c["name"], c["theirs"], c["evidence"], c["ours"], c["why"]]
                    for c in card["preparedness"]["categories"]
                ],
            ),
        ),
        ("Limitations", "", ([""], [[text] for text in card["limitations"]])),
    ]


def _model(model: dict[str, Any]) -> Table:
    training = model["training"]
    facts = [
        ["problem and model", f"{model['problem']}, {model['model']}"],
        ["training steps", str(model["steps"])],
        [
            "training time",
            f"{training['seconds'] / 60:.0f} minutes, {training['memory_gb']:.1f} GB",
        ],
        ["checkpoint", f"{model['checkpoint']['sha256'][:16]}…"],
        *([name, f"{digest[:16]}…"] for name, digest in model["tokenizers"].items()),
    ]
    return ["", ""], facts


def _data(problems: Sequence[dict[str, Any]]) -> Table:
    rows = [
        [d["problem"], ", ".join(f"{s} {n:,}" for s, n in d["examples"].items()),
         str(d["seed"]), f"{d['manifest_sha256'][:16]}…"]
        for d in problems
    ]  # fmt: skip
    return ["problem", "examples", "seed", "manifest, SHA-256"], rows


def _scores(rows: Sequence[dict[str, Any]]) -> Table:
    heads = ["", "N", "score", "95 %", "goal", "judge"]
    lines = []
    for row in rows:
        verdicts = [Verdict(**verdict) for verdict in row["verdicts"]]
        ceiling = verdicts[0].ceiling if verdicts else row["note"]
        lines.append(
            [row["name"], str(row["count"]), _value(row), _interval(row), _goal(row),
             ceiling]
        )  # fmt: skip
        for by in verdicts[1:]:
            other = {**row, **dataclasses.asdict(by)}
            lines.append(["", "", _value(other), _interval(other), "", by.ceiling])
    return heads, lines


def _safety(rows: Sequence[dict[str, Any]]) -> Table:
    heads = ["", "N", "before", "score", "95 %", "with moderation", "GPT-4o"]
    return heads, [
        [
            row["name"], str(row["count"]),
            f"{row['before']:.3f}" if "before" in row else "not measured",
            _value(row), _interval(row), f"{row['moderated']:.3f}",
            (row["published"] or {}).get("figure", ""),
        ]
        for row in rows
    ]  # fmt: skip


def _guard(found: dict[str, Any] | None) -> Table:
    heads = ["", "deviating", "stopped", "proper", "stopped", "precision", "median"]
    if found is None:
        return heads, [["not measured: scripts/bench_guard --json", *[""] * 6]]
    return heads, [
        [
            row["group"], str(row["deviating"]), f"{row['recall']:.3f}",
            str(row["proper"]), f"{row['false_blocks']:.3f}",
            f"{row['precision']:.3f}", f"{1000 * row['seconds']:.0f} ms",
        ]
        for row in found["rows"]
    ]  # fmt: skip


def _watermark(rows: list[dict[str, Any]] | None) -> Table:
    heads = ["", "strength", "answers", "found", "nats a code more"]
    if rows is None:
        return heads, [["not measured: scripts/bench_watermark --json", *[""] * 4]]
    return heads, [
        [
            row["kind"], f"{row['strength']:g}", str(row["n"]),
            ", ".join(
                f"{name}: {rates['inverted']}"
                for name, rates in row.items()
                if isinstance(rates, dict)
            ),
            f"{row['nats a code more']:.2f}",
        ]
        for row in rows
    ]  # fmt: skip


def _value(row: dict[str, Any]) -> str:
    return f"{'WER ' if row['score'] == 'errors' else ''}{row['value']:.3f}"


def _interval(row: dict[str, Any]) -> str:
    return f"{row['low']:.3f} to {row['high']:.3f}"


def _goal(row: dict[str, Any]) -> str:
    if row["goal"] is None:
        return ""
    sign = "≤" if row["score"] == "errors" else "≥"
    return f"{sign} {row['goal']:.2f}: {'met' if row['met'] else 'missed'}"


def _latency(timing: dict[str, Any]) -> Table:
    rows = [["GPT-4o", timing["published"]["figure"], ""]]
    for name, marks in (timing["voice"] or {}).get("wire", {}).items():
        if isinstance(marks, dict):
            rows.append([name, f"{marks['p50']:.0f} ms", f"{marks['p95']:.0f} ms"])
    if len(rows) == 1:
        rows.append(["this run", "not measured: scripts/bench_voice --json", ""])
    return ["", "half within", "95 % within"], rows


def markdown(card: dict[str, Any]) -> str:
    """The card without its sounds and pictures."""
    parts = ["# System card\n"]
    for title, about, (heads, rows) in sections(card):
        parts.append(f"## {title}\n")
        if about:
            parts.append(about + "\n")
        lines = [heads, ["---"] * len(heads), *rows]
        table = ["| " + " | ".join(_cell(c) for c in line) + " |" for line in lines]
        parts.append("\n".join(table) + "\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def page(card: dict[str, Any], samples: Samples) -> str:
    """One page that holds everything, pictures to see and sounds to play."""
    parts = ["<h1>System card</h1>"]
    for title, about, (heads, rows) in sections(card):
        parts.append(f"<h2>{html.escape(title)}</h2>")
        parts.append(f"<p>{html.escape(about)}</p>" if about else "")
        parts.append(_table(heads, rows))
    parts.append("<h2>Conversations</h2>")
    parts += [_conversation(one) for one in samples]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>System card"
        f"</title><style>{STYLE}</style>{''.join(parts)}</html>\n"
    )


def _table(heads: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str], tag: str) -> str:
        shown = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
        return f"<tr>{shown}</tr>"

    return f"<table>{line(heads, 'th')}{''.join(line(r, 'td') for r in rows)}</table>"


def _conversation(messages: list[tuple[str, list[Shown]]]) -> str:
    rows = "".join(
        f"<tr><th>{role}</th><td>{' '.join(map(_shown, parts))}</td></tr>"
        for role, parts in messages
    )
    return f"<table>{rows}</table>"


def _shown(part: Shown) -> str:
    if not part.data:
        return html.escape(part.text)
    source = f"data:{part.kind};base64,{base64.b64encode(part.data).decode()}"
    if part.kind.startswith("audio"):
        return f"<audio controls src='{source}'></audio>"
    return f"<img alt='{part.name}' src='{source}'>"
