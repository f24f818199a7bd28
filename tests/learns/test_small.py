"""Small things are learnt in seconds, by the way that every run goes.

The long runs are in test_algorithmic.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import t2t
from t2t import config as config_lib
from t2t import experiment
from t2t.decode.options import DecodeOptions
from t2t.evaluate import averaged
from t2t.run import checkpoints
from t2t.run.log import read_records
from t2t.run.problems import ready_data

SENTENCE = "the quick brown fox jumps over the lazy dog"

TINY_LM: dict[str, Any] = {
    "hidden_size": 32, "filter_size": 64, "num_heads": 2, "num_layers": 1,
    "max_length": 64, "tokens_per_batch": 64, "dropout": 0.0,
    "attention_dropout": 0.0, "relu_dropout": 0.0, "label_smoothing": 0.0,
    "learning_rate_schedule": "constant", "learning_rate_constant": 0.01,
    "log_frequency": 20, "local_eval_frequency": 1000,
}  # fmt: skip


def _train(folder: Path, *, params: list[str] | None = None, **given: Any) -> Path:
    knobs = given.pop("knobs", {})
    config = config_lib.load(gin_params=params or [], **given)
    for name, value in knobs.items():
        config.set_knob(name, value)
    data_dir = ready_data(config, output_dir=folder, data_dir=None, tmp_dir=None)
    experiment.train(config, output_dir=folder, data_dir=data_dir, schedule="train")
    return folder


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Bindings of a problem whose text is one sentence, said often."""
    path = tmp_path / "text.txt"
    path.write_text(f"{SENTENCE}\n\n" * 20)
    name = "language_model_files"
    return [
        *(f"{name}.{part} = {str(path)!r}" for part in ("inputs", "dev_inputs")),
        f"{name}.test_inputs = {str(path)!r}",
        f"{name}.vocabulary = 'bytes'",
        f"{name}.longest = 50",
    ]


def test_a_language_model_memorises_a_sentence(
    tmp_path: Path, files: list[str]
) -> None:
    run = _train(
        tmp_path / "run",
        params=files,
        hparams_set="transformer_test",
        problem="language_model_files",
        model="transformer_lm",
        knobs={**TINY_LM, "train_steps": 120, "ema_decay": 0.9},
    )
    first, last = (read_records(run / "metrics.jsonl")[i]["loss"] for i in (0, -1))
    assert last < 0.1 < first
    greedy = DecodeOptions(beam_size=1, extra_length=60)
    decoder = t2t.load(run)
    assert decoder.decode(["the quick", "the quick brown fox j"], greedy) == [
        SENTENCE[len("the quick") :],
        SENTENCE[len("the quick brown fox j") :],
    ]
    values = experiment.evaluate(run, split="dev", eval_steps=1)
    assert values["accuracy"] > 0.97 and values["bits_per_byte"] < 0.2
    _is_evaluated_by_its_average(run, decoder.model, values["cross_entropy"])


def _is_evaluated_by_its_average(run: Path, model: Any, loss: float) -> None:
    """What was loaded is the moving average, and training's evaluation swaps it in."""
    arrays, _ = checkpoints.read(checkpoints.resolve(run))
    average = [arrays[f"ema/{v.path}"] for v in model.variables]
    for variable, value in zip(model.variables, average, strict=True):
        np.testing.assert_array_equal(variable, value)
    own = [arrays[f"model/{v.path}"] for v in model.variables]
    assert any(not np.array_equal(a, b) for a, b in zip(own, average, strict=True))
    for variable, value in zip(model.variables, own, strict=True):
        variable.assign(value)
    with averaged(model, average):
        np.testing.assert_array_equal(model.variables[0], average[0])
    np.testing.assert_array_equal(model.variables[0], own[0])
    assert loss < 0.2


def test_an_mlp_reads_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    run = t2t.train(
        problem="image_digits",
        hparams_set="mlp_small",
        output_dir=tmp_path / "run",
        train_steps=200,
        local_eval_frequency=100,
        learning_rate_constant=0.003,
        keep_checkpoint_max=1,
    )
    values = experiment.evaluate(run, split="test")
    assert values["accuracy"] > 0.9
    dev = [r for r in read_records(run / "metrics.jsonl") if r["split"] == "dev"]
    assert [r["step"] for r in dev] == [100, 200] and dev[-1]["loss"] < 0.5
    best = json.loads((run / "checkpoints" / "best.json").read_text())
    assert best["value"] == pytest.approx(min(r["loss"] for r in dev), abs=1e-5)
    assert (run / "report.html").is_file()


def test_an_encoder_classifies_and_an_lstm_copies(tmp_path: Path) -> None:
    """Both lose most of their loss; how far they get is for the long runs."""
    text = tmp_path / "labelled.tsv"
    words = {"good": "fine great nice", "bad": "awful poor dull"}
    rows = [
        f"{word} {i % 7}\t{label}\n"
        for i in range(60)
        for label, said in words.items()
        for word in said.split()
    ]
    text.write_text("".join(rows))
    name = "text_class_files"
    params = [f"{name}.{part}inputs = {str(text)!r}" for part in ("", "dev_", "test_")]
    run = _train(
        tmp_path / "class",
        params=[*params, f"{name}.vocabulary = 'bytes'"],
        hparams_set="transformer_test",
        problem=name,
        model="transformer_encoder",
        knobs={**TINY_LM, "examples_per_batch": 16, "train_steps": 60},
    )
    assert read_records(run / "metrics.jsonl")[-1]["loss"] < 0.2
    assert t2t.load(run).decode(["great 3", "poor 1"]) == ["good", "bad"]

    run = _train(
        tmp_path / "copy",
        params=["algorithmic_copy.max_length = 3"],
        hparams_set="lstm_seq2seq",
        problem="algorithmic_copy",
        knobs={
            "hidden_size": 32, "num_layers": 1, "dropout": 0.0, "label_smoothing": 0.0,
            "max_length": 8, "tokens_per_batch": 256, "train_steps": 150,
            "learning_rate_schedule": "constant", "learning_rate_constant": 0.01,
            "log_frequency": 10,
        },
    )  # fmt: skip
    losses = [r["loss"] for r in read_records(run / "metrics.jsonl")]
    assert losses[-1] < 0.5 * losses[0]
