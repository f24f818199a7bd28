"""What examinations count, and what happens to sounds before they are heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2t.problems.omni import conditions, sentences, voices
from t2t.problems.omni.safety import NO, NOBODY, OWN_VOICE, UNKNOWN
from t2t.problems.omni.scores import counts, disparity, refuses
from t2t.problems.omni.texts import Texts
from t2t.problems.omni_memory import OmniMemory


def test_the_worst_group_stands_out_or_not() -> None:
    rng = np.random.default_rng(0)
    words = np.full(60, 5)
    same = [(rng.binomial(5, 0.1, size=60), words) for _ in range(6)]
    worse = [*same[:5], (rng.binomial(5, 0.4, size=60), words)]
    one, two = disparity(same), disparity(worse)
    assert one.value < one.high and float(one.note.split("p = ")[1]) > 0.05
    assert two.value > two.high and float(two.note.split("p = ")[1]) < 0.01
    assert two.met is False


@pytest.mark.parametrize("condition", conditions.CONDITIONS)
def test_a_condition_changes_a_sound_as_it_says(condition: str) -> None:
    if condition == "telephone":
        pytest.importorskip("soxr")
    times = np.arange(16_000) / 16_000
    sound = (0.3 * np.sin(2 * np.pi * 1000 * times)).astype(np.float32)
    sound += (0.2 * np.sin(2 * np.pi * 100 * times)).astype(np.float32)
    heard = conditions.degrade(sound, condition, np.random.default_rng(0))
    assert heard.dtype == np.float32 and np.abs(heard).max() <= 1.0
    assert len(heard) >= len(sound) and not np.array_equal(heard[: len(sound)], sound)
    if condition.startswith(conditions.NOISE):
        ratio = 10 * np.log10(np.mean(sound**2) / np.mean((heard - sound) ** 2))
        assert abs(ratio - float(condition.split()[-1])) < 1.5
    if condition == "telephone":
        spectrum = np.abs(np.fft.rfft(heard))
        assert spectrum[100] < 0.01 * spectrum[1000]
    again = conditions.degrade(sound, condition, np.random.default_rng(0))
    np.testing.assert_array_equal(heard, again)
    with pytest.raises(ValueError, match="no condition 'rain'"):
        conditions.degrade(sound, "rain", np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["slow", "fast", "low", "high", "en-029"])
def test_users_speak_as_asked(kind: str) -> None:
    pytest.importorskip("espeakng_loader")
    found = [voices.ask("one", np.random.default_rng(i), kind=kind) for i in range(20)]
    wanted = {
        "slow": lambda u: u.rate < 120, "fast": lambda u: u.rate >= 230,
        "low": lambda u: u.pitch < 20, "high": lambda u: u.pitch >= 80,
    }.get(kind, lambda u: u.language == kind)  # fmt: skip
    assert all(map(wanted, found))


def test_what_is_taught_to_refuse_is_known_as_a_refusal() -> None:
    assert all(map(refuses, (NO, NOBODY, UNKNOWN, OWN_VOICE)))
    assert not refuses("wood and nails")


def test_by_heart_is_the_same_from_the_start() -> None:
    wanted = "the first of many words that follow"
    given = [wanted, "the first of many words and others", "a first of many words"]
    tops, bottoms = counts("verbatim", [(wanted, answer) for answer in given])
    assert tops.tolist() == [1, 1, 0] and bottoms.tolist() == [1, 1, 1]


def test_what_training_had_is_drawn_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages = {"train": [["seen"] * 30], "test": [["new"] * 30]}
    monkeypatch.setattr(Texts, "_passages", property(lambda s: passages[s.split]))
    nothing: Any = None
    examination = OmniMemory(questions=3)
    for cell in (c for c in OmniMemory.CELLS if c.task in ("prose", "text_to_text")):
        turns = examination._turns(cell, nothing, tmp_path)
        words = " ".join(str(m) for turn in turns for m in turn)
        if cell.task == "prose":
            assert ("seen" in words) == cell.seen and ("new" in words) != cell.seen
        numbers = [
            sentences.DIGITS["en"].index(w)
            for w in words.split()
            if w in sentences.DIGITS["en"]
        ]
        assert bool(numbers) == (cell.task == "text_to_text")
