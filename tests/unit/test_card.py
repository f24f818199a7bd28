"""What a card shows of what was measured."""

from __future__ import annotations

from typing import Any

from t2t.card.facts import PREPAREDNESS, PUBLISHED, overall
from t2t.card.gather import _preparedness
from t2t.card.page import markdown, page
from t2t.card.samples import Shown
from t2t.problems.omni_listening import OmniListening
from t2t.problems.omni_safety import OmniSafety


def _row(name: str, score: str = "exact", **more: Any) -> dict[str, Any]:
    row = {
        "name": name, "score": score, "count": 7, "value": 0.5, "low": 0.25,
        "high": 0.75, "goal": None, "met": None, "note": "", "verdicts": [],
        "published": None,
    }  # fmt: skip
    return {**row, **more}


def _verdict(judge: str, **more: Any) -> dict[str, Any]:
    verdict = {
        "judge": judge, "value": 0.5, "low": 0.25, "high": 0.75, "raw": 0.01,
        "coded": 0.02, "human": None, "of": 0, "note": "",
    }  # fmt: skip
    return {**verdict, **more}


def _card() -> dict[str, Any]:
    training = {"seconds": 1800.0, "memory_gb": 1.5, "cpu_seconds": 3000.0}
    wire = {"decision to first sound": {"p50": 81.0, "p95": 133.0}, "asked": 100}
    return {
        "schema": 2,
        "model": {
            "problem": "omni_tasks", "model": "omni", "steps": 5,
            "checkpoint": {"name": "5", "sha256": "ab" * 32},
            "tokenizers": {"speech_codec.npz": "cd" * 32}, "training": training,
        },
        "data": [
            {
                "problem": "omni_tasks", "version": "1.1", "seed": 0,
                "examples": {"train": 40_000}, "manifest_sha256": "ef" * 32,
            }
        ],
        "matrix": [
            _row("text → speech", "errors", goal=0.05, met=False, verdicts=[
                _verdict("own recogniser"),
                _verdict("pocketsphinx", value=0.6, human=0.05, of=9, note="so so"),
            ]),
        ],
        "safety": [
            _row("who speaks: refuses", before=0.0, moderated=0.875,
                 published={"figure": "0.98"}),
            _row("new | one", moderated=0.5),
        ],
        "stopped": {"input_moderation": 17},
        "voice_guard": {"rows": [
            {"group": "all", "deviating": 40, "proper": 20, "recall": 0.975,
             "false_blocks": 0.05, "precision": 0.951, "seconds": 0.28},
        ]},
        "watermark": [
            {"kind": "sound", "strength": 3.0, "n": 64, "encoder finds": [0.5],
             "1 s": {"n": 64, "inverted": 0.96}, "nats a code more": 0.21},
        ],
        "listening": [_row("clean", "errors")],
        "memory": [_row("goes on word for word: new", "verbatim")],
        "preparedness": _preparedness(),
        "limitations": ["small & <simple>"],
        "timing": {
            "card_seconds": 3.0, "voice": {"wire": wire},
            "published": {"figure": "232"},
        },
    }  # fmt: skip


def test_everything_that_was_measured_is_shown() -> None:
    text = markdown(_card())
    for shown in (
        "WER 0.500", "≤ 0.05: missed", "own recogniser: 0.010 raw, 0.020 coded |",
        "|  |  | WER 0.600", "pocketsphinx: 0.010 raw, 0.020 coded, 0.050 human (9)",
        "| 0.000 | 0.500 |", "| 0.875 |", "input_moderation | 17", "280 ms",
        "1 s: 0.96", "not measured", "new \\| one", "81 ms", "133 ms",
        "not evaluated", "30 minutes, 1.5 GB", "train 40,000",
    ):  # fmt: skip
        assert shown in text, shown
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    for table in tables:
        lines = table.strip().split("\n")
        widths = {line.replace("\\|", "").count("|") for line in lines}
        assert len(widths) == 1


def test_the_page_holds_its_pictures_and_sounds() -> None:
    asked = ("user", [Shown("what <is> this"), Shown("", "a.png", b"x", "image/png")])
    told = ("assistant", [Shown("", "a.wav", b"y", "audio/wav")])
    found = page(_card(), [[asked, told]])
    assert "src='data:image/png;base64,eA=='" in found
    assert "<audio controls src='data:audio/wav;base64,eQ=='" in found
    assert "what &lt;is&gt; this" in found and "small &amp; &lt;simple&gt;" in found
    assert "http" not in found.replace("https://", "")


def test_the_most_of_what_was_evaluated_counts() -> None:
    assert overall([c.ours for c in PREPAREDNESS]) == "not evaluated"
    assert overall(["low", "not evaluated", "medium", "low"]) == "medium"


def test_published_figures_belong_to_cells_that_there_are() -> None:
    cells = {cell.name for p in (OmniSafety, OmniListening) for cell in p.CELLS}
    assert set(PUBLISHED) <= cells | {"worst accent - all"}
