"""Sweeps: every combination once, also when they are stopped; a table and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import TINY, call
from hypothesis import given
from hypothesis import strategies as st

from t2t.sweep import space, trials
from t2t.sweep.trials import Sweep, SweepError, Trial

FLAGS = (
    f"{TINY.replace('--problem=algorithmic_copy', '')} --train_steps=2 --eval_steps=1 "
    "--hparams=decode_examples=0,tokens_per_batch=64"
)


def test_a_grid_and_its_page(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    line = (
        f"t2t-zoo sweep --output_dir={folder} --problem=algorithmic_copy "
        f"--space=num_layers=[1,2] --trials=%d -- {FLAGS}"
    )
    first = call(line % 1)
    assert first.status == 0, first.err
    kept = (folder / "trials" / "000" / "config.gin").stat().st_mtime_ns
    both = call(line % 2)
    assert both.status == 0, both.err
    assert (folder / "trials" / "000" / "config.gin").stat().st_mtime_ns == kept
    said = json.loads((folder / "sweep.json").read_text())["trials"]
    assert [trial["knobs"] for trial in said] == [{"num_layers": 1}, {"num_layers": 2}]
    assert all(trial["value"] > 0 for trial in said)
    page = (folder / "sweep.html").read_text()
    assert "loss by num_layers" in page and page.count("<circle") >= 2
    assert "trial" in both.out and "num_layers" in both.out
    other = call((line % 2).replace("[1,2]", "[1,3]"))
    assert other.status == 2 and "another axes" in other.err


@pytest.mark.parametrize(
    "flags, words",
    [
        ("", ("--space", "num_layers=[2,4]")),
        ("--space=num_layers=3", ("num_layers", "3", "list")),
        ("--space=dropout=(0.0,0.5)", ("grid takes lists", "dropout")),
        ("--space=dropout=(0.5,0.1) --method=random --trials=2", ("dropout", "range")),
        ("--space=num_layrs=[1]", ("num_layrs", "num_layers")),
        ("--space=norm=['leyer']", ("leyer", "layer")),
        ("--space=num_layers=[1] --method=gird", ("gird", "grid")),
        ("--space=num_layers=[1] --method=random", ("--trials",)),
        ("--space=num_layers=[1] -- --trian_steps=3", ("trian_steps",)),
        ("--space=num_layers=[1] -- --output_dir=x", ("--output_dir", "trial")),
    ],
)
def test_mistakes(flags: str, words: tuple[str, ...], tmp_path: Path) -> None:
    rest = "" if "--" in flags.split() else "-- "
    rest += " --hparams_set=transformer_test"
    answer = call(
        f"t2t-zoo sweep --output_dir={tmp_path}/s --problem=algorithmic_copy "
        f"{flags} {rest}"
    )
    assert answer.status == 2, answer
    assert all(word in answer.err for word in words), answer.err
    assert not (tmp_path / "s").exists()


@given(st.integers(0, 10**6))
def test_values_are_drawn_within(seed: int) -> None:
    axes = space.parse("a=(1,3),b=(0.1,10.0,'log'),c=['x','y']")
    drawn = space.random(axes, seed=seed)
    first = [next(drawn) for _ in range(20)]
    assert {knobs["a"] for knobs in first} <= {1, 2, 3}
    assert all(0.1 <= knobs["b"] <= 10 and knobs["c"] in "xy" for knobs in first)
    again = space.random(axes, seed=seed)
    assert [next(again) for _ in range(20)] == first


def test_optuna_finds_the_low_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of (x - 3)², told trial by trial, and the same after it was stopped."""
    pytest.importorskip("optuna")

    def tried(self: Sweep, number: int, knobs: dict[str, float]) -> Trial:
        return Trial(number, knobs, (knobs["x"] - 3) ** 2)

    monkeypatch.setattr(trials.Sweep, "_try", tried)
    axes = tuple(space.parse("x=(-10.0,10.0)"))
    sweep = Sweep(tmp_path / "s", axes, (), method="optuna", trials=25)
    whole = list(sweep.run())
    assert sweep.ranked(whole)[0].value < 1.0  # type: ignore[operator]
    stopped = Sweep(tmp_path / "t", axes, (), method="optuna", trials=7)
    list(stopped.run())
    later = Sweep(tmp_path / "t", axes, (), method="optuna", trials=25)
    assert list(later.run()) == whole
    with pytest.raises(SweepError, match="another metric"):
        Sweep(tmp_path / "t", axes, (), method="optuna", metric="bleu").done()
