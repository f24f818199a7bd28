"""Metrics by name: perfect outputs, known values, and errors that help."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest

from t2t import metrics

LINES = ["The lamp {name} is on.", "Der Fühler meldet %s °C.", "<b>Tür</b> offen"]


@pytest.mark.parametrize("name", metrics.METRICS)
def test_perfect_outputs_score_perfect(name: str) -> None:
    lines = ["1", "-2.5", "4e1"] if name == "pearson" else LINES
    found = metrics.score(name, lines, lines)
    assert found == {name: pytest.approx(metrics.metric(name).perfect)}
    wrong = metrics.score(name, lines, ["x {y}"] * 3)[name]
    assert wrong > found[name] if name == "word_error_rate" else wrong < found[name]


def test_bleu_is_sacrebleus() -> None:
    bleu = pytest.importorskip("sacrebleu").corpus_bleu(
        ["the cat sat on a mat today"], [["the cat sat on the mat today"]]
    )
    found = metrics.score(
        "bleu", ["the cat sat on the mat today"], ["the cat sat on a mat today"]
    )
    assert found["bleu"] == pytest.approx(bleu.score)
    assert "tok:13a" in metrics.signature("bleu")
    assert "nc:6" in metrics.signature("chrf")
    assert metrics.signature("accuracy") == ""


def test_pearson_is_numpys() -> None:
    wanted, given = [1.0, 2.0, 4.0, -3.0], [0.5, 2.5, 3.0, 0.0]
    found = metrics.score("pearson", [*map(str, wanted)], [*map(str, given)])
    assert found["pearson"] == pytest.approx(np.corrcoef(wanted, given)[0, 1])
    assert metrics.score("pearson", ["1", "2"], ["3", "3"]) == {"pearson": 0.0}


def test_exact_matches() -> None:
    found = metrics.scores(("accuracy", "sequence_accuracy"), ["a", "b"], ["a", "c"])
    assert found == {"accuracy": 0.5, "sequence_accuracy": 0.5}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{name} and ${user.id}", {"{name}": 1, "${user.id}": 1}),
        ("%s %(n)d %1$s %5.2f %%", {"%s": 1, "%(n)d": 1, "%1$s": 1, "%5.2f": 1}),
        ("<b>x</b><br/> a < b > c", {"<b>": 1, "</b>": 1, "<br/>": 1}),
        ("50 % der Fälle, 100%ig, R&D, &amp;", {"&amp;": 1}),
        ("no 50% discount", {}),
    ],
)
def test_placeholders(text: str, wanted: dict[str, int]) -> None:
    assert metrics.placeholders(text) == Counter(wanted)


def test_placeholders_kept_counts_the_lines_at_risk() -> None:
    references = ["{a}", "{b} %s", "plain", "plain"]
    outputs = ["{a}", "{b}", "other", "{c}"]
    assert metrics.score("placeholders_kept", references, outputs) == {
        "placeholders_kept": pytest.approx(1 / 3)
    }


def test_errors() -> None:
    with pytest.raises(ValueError, match="Did you mean 'bleu'"):
        metrics.score("blue", ["a"], ["a"])
    with pytest.raises(ValueError, match="2 references, 1 outputs"):
        metrics.score("accuracy", ["a", "b"], ["a"])
    with pytest.raises(ValueError, match="0 references, 0 outputs"):
        metrics.score("accuracy", [], [])


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[metrics\]'"):
        metrics.score("bleu", ["a"], ["a"])
