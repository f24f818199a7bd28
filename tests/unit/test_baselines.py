"""Baselines: their arithmetic by hand, and the tables of every kind of problem."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from t2t import baselines, registry  # noqa: E402
from t2t.baselines.language import NGrams  # noqa: E402
from t2t.baselines.series import seasonal_naive  # noqa: E402
from t2t.config import Config  # noqa: E402
from t2t.data.generate import generate  # noqa: E402
from t2t.run.problems import make_problem  # noqa: E402


def _problem(name: str, folder: Path, **knobs: Any) -> Any:
    """With its made-up examples as its data."""
    config = Config(knobs={"problem": name})
    for knob, value in knobs.items():
        config.bindings[name, knob] = value
    problem = make_problem(config)
    if not problem.generated:
        generate(problem, folder, folder, processes=1, examples=problem.fake)
    return problem


def _scores(name: str, folder: Path, split: str = "test", **knobs: Any) -> Any:
    problem = _problem(name, folder, **knobs)
    return {s.name: s.values for s in baselines.scores(problem, split, data_dir=folder)}


def test_the_season_comes_again() -> None:
    history = np.arange(12.0).reshape(2, 6)
    found = seasonal_naive(history, 5, season=3)
    np.testing.assert_array_equal(found, [[3, 4, 5, 3, 4], [9, 10, 11, 9, 10]])
    np.testing.assert_array_equal(seasonal_naive(history, 2, season=6)[0], [0, 1])


def test_n_grams_are_witten_and_bell() -> None:
    """By counting anew, for every byte; and chances sum to one."""
    text, order = b"abracadabra, abra", 3
    model = NGrams(order)
    model.learn(text)

    def chance(context: bytes, byte: int, size: int) -> float:
        if size < 0:
            return 1 / 256
        cut = context[len(context) - size :]
        places = range(len(text) - size)
        after = Counter(text[i + size] for i in places if text[i : i + size] == cut)
        if not after:
            return chance(context, byte, size - 1)
        shorter = chance(context, byte, size - 1)
        return (after[byte] + len(after) * shorter) / (after.total() + len(after))

    for context in (b"", b"a", b"ab", b"xx", b"xa"):
        told = [model.chance(context, byte) for byte in range(256)]
        assert math.fsum(told) == pytest.approx(1.0)
        for byte in b"abrx":
            expected = chance(context, byte, min(len(context), order - 1))
            assert told[byte] == pytest.approx(expected)
    assert model.bits(b"abra") < model.bits(b"arba") < 4 * 8


def test_series(tmp_path: Path) -> None:
    """Waves with a little noise: the season before is near, a line is nearer."""
    found = _scores("timeseries_bikes", tmp_path)
    assert set(found) == {
        "last number", "seasonal naive, 24", "seasonal naive, 168", "linear regression",
    }  # fmt: skip
    errors = {name: values["normalised_deviation"] for name, values in found.items()}
    assert errors["seasonal naive, 24"] < 0.5 * errors["last number"]
    # Two noises of deviation 1/4 are apart by 2/√π · 1/4.
    away = found["seasonal naive, 24"]["absolute_error"]
    assert away == pytest.approx(0.5 / math.sqrt(math.pi), rel=0.1)


def test_tables(tmp_path: Path) -> None:
    found = _scores("table_diamonds", tmp_path)
    linear, trees = found["linear regression"], found["gradient boosting"]
    assert linear["absolute_error"] < 0.02 and trees["absolute_error"] < 0.5
    assert found["mean"]["absolute_error"] > 1.5
    found = _scores("table_diamonds_cut", tmp_path)
    assert found["most frequent class"]["accuracy"] < 0.75
    assert found["logistic regression"]["accuracy"] > 0.95
    assert found["gradient boosting"]["accuracy"] > 0.95


def test_texts(tmp_path: Path) -> None:
    found = _scores("text_class_debian", tmp_path / "a", vocabulary="bytes")
    assert found["most frequent class"]["accuracy"] < 0.5
    for name in ("naive Bayes", "TF-IDF, logistic regression"):
        assert found[name]["accuracy"] > 0.9
        assert found[name]["cross_entropy"] < 1.0
    found = _scores("glue_rte", tmp_path / "b", "dev", vocabulary="bytes")
    assert len(found) == 3
    found = _scores("text_real_files", tmp_path / "c", vocabulary="bytes")
    assert found["mean"]["absolute_error"] > 1.5
    assert found["TF-IDF, linear regression"]["absolute_error"] < 0.5
    found = _scores("translate_enfr_interface", tmp_path / "d", vocabulary="bytes")
    assert found["nearest example's"]["chrf"] > found["copy of the input"]["chrf"]


def test_pictures_and_languages(tmp_path: Path) -> None:
    found = _scores("image_digits", tmp_path / "a")
    assert found["logistic regression"]["accuracy"] > 0.9
    found = _scores("language_model_lm1b", tmp_path / "b", vocabulary="bytes")
    packed, grams = (values["bits_per_byte"] for values in found.values())
    assert 0 < grams < packed < 3


def test_what_is_learned_on_the_fly(monkeypatch: Any) -> None:
    monkeypatch.setattr(baselines, "LEARNED", 300)
    problem = _problem("algorithmic_copy", Path())
    found = {s.name: s.values for s in baselines.scores(problem, "test", data_dir=None)}
    assert found["copy of the input"]["sequence_accuracy"] == 1.0


@pytest.mark.parametrize("name", ["catch", "omni_text", "image_digits_gen"])
def test_where_none_fits_it_is_said(name: str) -> None:
    problem = registry.current().load("problem", name)()
    problem.name = name
    with pytest.raises(baselines.NoBaseline, match=f"no simple baseline fits {name}"):
        list(baselines.scores(problem, "test", data_dir=None))


def test_other_splits_are_told() -> None:
    problem = registry.current().load("problem", "glue_rte")()
    problem.name = "glue_rte"
    with pytest.raises(ValueError, match="no split 'test': train, dev"):
        list(baselines.scores(problem, "test", data_dir=None))


def test_a_table_has_a_column_a_metric() -> None:
    found = [
        baselines.Score("mean", {"absolute_error": 2.0}),
        baselines.Score("a longer name", {"absolute_error": 1.25, "bleu": 7.0}),
    ]
    head, first, second = baselines.table(found)
    assert head.split() == ["absolute_error", "bleu"]
    assert first.split() == ["mean", "2.0000"]
    assert second.split() == ["a", "longer", "name", "1.2500", "7.0000"]
    assert len(head) == len(first) == len(second)
