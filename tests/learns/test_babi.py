"""Questions about stories are answered: bAbI's twentieth task, what moves people."""

from __future__ import annotations

from pathlib import Path

import pytest

from t2t import config as config_lib
from t2t import experiment


@pytest.mark.slow
def test_motives_are_understood(tmp_path: Path) -> None:
    config = config_lib.load(
        problem="question_babi",
        hparams_set="transformer_babi",
        gin_params=["question_babi.task = 20"],
    )
    for name, value in {
        "max_length": 64,
        "tokens_per_batch": 1280,
        "train_steps": 200,
    }.items():
        config.set_knob(name, value)
    experiment.train(config, output_dir=tmp_path, schedule="train")
    values = experiment.evaluate(tmp_path, split="test", decode_examples=200)
    assert values["sequence_accuracy"] > 0.9
