"""Runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from t2t import config as config_lib
from t2t.run import compare
from t2t.run.folder import RunError, create


def _run(folder: Path, *, layers: int, losses: list[float]) -> Path:
    config = config_lib.load(
        hparams_set="transformer_tiny", problem="algorithmic_reverse"
    )
    config.set_knob("num_layers", layers)
    run = create(folder, config, data_dir=None)
    records = [
        {"step": 10 * i, "split": split, "seconds": 1.5 * i, "loss": loss}
        for i, loss in enumerate(losses)
        for split in ("train", "dev")
    ]
    if layers > 2:
        records[-1]["bleu"] = 12.5
    run.metrics.write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


def test_what_differs_and_what_was_reached(tmp_path: Path) -> None:
    small = _run(tmp_path / "small", layers=2, losses=[3.0, 2.0])
    large = _run(tmp_path / "large", layers=4, losses=[3.0, 2.5, 1.25])
    runs = compare.read([small, large])
    assert compare.differences(runs) == [
        ["setting", "small", "large"], ["num_layers", "2", "4"],
    ]  # fmt: skip
    reached = {row[0]: row[1:] for row in compare.reached(runs)}
    assert reached["train: step"] == ["10", "20"]
    assert reached["dev: loss"] == ["2", "1.25"]
    assert reached["dev: bleu"] == [compare.ABSENT, "12.5"]
    page = compare.html_page(runs)
    assert page.count("<svg") == 3 and "num_layers" in page  # two losses, one BLEU
    assert compare.text([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc  d"


def test_runs_of_one_name_are_told_apart_and_no_run_is_named(tmp_path: Path) -> None:
    same = [
        _run(tmp_path / place / "run", layers=2, losses=[1.0]) for place in ("a", "b")
    ]
    runs = compare.read(same)
    assert [run.name for run in runs] == list(map(str, same))
    assert compare.differences(runs)[1][0] == "none differs"
    with pytest.raises(RunError, match="is no run"):
        compare.read([same[0], tmp_path])
    with pytest.raises(RunError, match="two runs or more"):
        compare.read(same[:1])
