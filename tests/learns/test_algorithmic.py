"""The must-learn runs: above 99.9 % of whole sequences within five minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest

import t2t
from t2t import experiment


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["algorithmic_reverse", "algorithmic_sort"])
def test_every_sequence_is_right(tmp_path: Path, problem: str) -> None:
    run = t2t.train(
        problem=problem,
        hparams_set="transformer_algorithmic",
        model="transformer",
        output_dir=tmp_path / problem,
    )
    values = experiment.evaluate(run, split="test", decode_examples=1000)
    longer = experiment.evaluate(run, split="test_long", decode_examples=200)
    print(f"{problem}: {values['sequence_accuracy']}, twice as long: "
          f"{longer['sequence_accuracy']}")  # fmt: skip
    assert values["sequence_accuracy"] > 0.999
