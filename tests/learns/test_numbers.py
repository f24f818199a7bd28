"""Series and tables of one's own are learned, beside what is simple."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

import t2t  # noqa: E402
from t2t import baselines, experiment  # noqa: E402
from t2t import config as config_lib  # noqa: E402
from t2t.run.problems import ready_data  # noqa: E402


def _train(folder: Path, given: dict[str, Any], *, model: str, **knobs: Any) -> Path:
    """Of a problem named like its first binding."""
    problem, hparams_set = next(iter(given)).split(".")[0], f"{model}_small"
    config = config_lib.load(
        problem=problem,
        model=model,
        hparams_set=hparams_set.replace("_regressor", ""),
        gin_params=[f"{name} = {value!r}" for name, value in given.items()],
    )
    for name, value in {
        "train_steps": 300,
        "local_eval_frequency": 300,
        **knobs,
    }.items():
        config.set_knob(name, value)
    data_dir = ready_data(config, output_dir=folder)
    experiment.train(config, output_dir=folder, data_dir=data_dir, schedule="train")
    return folder


def _baselines(decoder: Any, run: Path) -> dict[str, dict[str, float]]:
    found = baselines.scores(decoder.problem, "test", data_dir=run / "data")
    return {score.name: score.values for score in found}


def test_a_series_is_forecast_better_than_by_its_season(tmp_path: Path) -> None:
    """Two waves that beat against one another: yesterday is not today."""
    rng = np.random.default_rng(0)
    time = np.arange(900)
    series = 50 + 9 * np.sin(2 * np.pi * time / 8) + 9 * np.sin(2 * np.pi * time / 5)
    series += rng.normal(size=len(time)) / 2
    path = tmp_path / "series.txt"
    path.write_text("".join(f"{value:.4f}\n" for value in series))
    given = {"inputs": str(path), "history": 24, "horizon": 4, "season": 8}
    run = _train(
        tmp_path / "run",
        {f"timeseries_files.{key}": value for key, value in given.items()},
        model="nbeats",
        hidden_size=32,
        num_blocks=2,
        examples_per_batch=64,
        learning_rate_constant=0.003,
    )
    values = experiment.evaluate(run, split="test")
    decoder = t2t.load(run)
    simple = _baselines(decoder, run)["seasonal naive, 8"]
    assert values["normalised_deviation"] < 0.3 * simple["normalised_deviation"]
    assert values["absolute_error"] < 1.5
    (line,) = decoder.decode([" ".join(f"{v:.4f}" for v in series[500:524])])
    told = [float(number) for number in line.split()]
    np.testing.assert_allclose(told, series[524:528], atol=5)


def test_a_table_is_told(tmp_path: Path) -> None:
    """A price that neither column alone tells, and no line through them."""
    rng = np.random.default_rng(0)
    lines = ["size,town,price"]
    for _ in range(1500):
        size, town = rng.uniform(1, 9), rng.choice(["Bonn", "Jena", "Kiel"])
        slope = {"Bonn": 10.0, "Jena": -10.0, "Kiel": 0.0}[str(town)]
        lines.append(f"{size:.3f},{town},{100 + slope * size + rng.normal():.3f}")
    path = tmp_path / "houses.csv"
    path.write_text("\n".join(lines))
    given = {"inputs": str(path), "column": "price"}
    run = _train(
        tmp_path / "run",
        {f"table_real_files.{key}": value for key, value in given.items()},
        model="ft_transformer_regressor",
        train_steps=200,
        num_layers=1,
        hidden_size=32,
        filter_size=48,
        examples_per_batch=64,
        learning_rate_constant=0.005,
        learning_rate_warmup_steps=20,
    )
    values = experiment.evaluate(run, split="test")
    decoder = t2t.load(run)
    simple = _baselines(decoder, run)
    assert (
        values["absolute_error"] < 0.3 * simple["linear regression"]["absolute_error"]
    )
    found = [float(n) for n in decoder.decode(["5,Bonn", "5,Jena", "5,Kiel"])]
    assert all(
        math.isclose(n, wanted, abs_tol=6)
        for n, wanted in zip(found, [150, 50, 100], strict=True)
    )
