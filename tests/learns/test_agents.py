"""Models that act learn their first task, by the trainer that everything has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import t2t
from t2t.config import ConfigError
from t2t.run.log import read_records


def _learned(
    folder: Path, problem: str, hparams_set: str, **knobs: Any
) -> list[dict[str, Any]]:
    """The evaluations of a run, oldest first."""
    run = t2t.train(
        problem=problem, hparams_set=hparams_set, output_dir=folder, **knobs
    )
    records = read_records(run / "metrics.jsonl")
    return [record for record in records if record["split"] == "dev"]


# What a random policy gets: Pendulum about -1 200, CartPole 22, Catch -0.6.
TASKS = [
    ("gym_pendulum", "ddpg_small", -300.0, {"train_steps": 3000}),
    ("gym_cart_pole", "ppo_small", 195.0, {"train_steps": 800}),
]
SLOW = [
    ("catch", "rainbow_small", 0.9, {"train_steps": 1500}),
    ("gym_pendulum", "td3_small", -300.0, {"train_steps": 4000}),
    ("gym_pendulum", "sac_small", -300.0, {"train_steps": 4000}),
    ("gym_pendulum", "steve_small", -300.0, {"train_steps": 4000}),
    (
        "gym_pendulum",
        "ppo_small",
        -400.0,
        {"train_steps": 8000, "discount": 0.9, "entropy_bonus": 0.0},
    ),
]


@pytest.mark.parametrize(
    ("problem", "hparams_set", "goal", "knobs"),
    [*TASKS, *(pytest.param(*task, marks=pytest.mark.slow) for task in SLOW)],
)
def test_it_learns(
    problem: str, hparams_set: str, goal: float, knobs: dict[str, Any], tmp_path: Path
) -> None:
    half = {"local_eval_frequency": knobs["train_steps"] // 2}
    found = _learned(tmp_path, problem, hparams_set, **knobs, **half)
    assert max(record["episode_return"] for record in found) >= goal


def test_actors_elsewhere_teach_as_much(tmp_path: Path) -> None:
    """Another process acts, and Catch is learned at the pace that was asked for."""
    knobs = {"train_steps": 3000, "local_eval_frequency": 1500, "actors": 1}
    found = _learned(tmp_path, "catch", "rainbow_small", **knobs)
    assert max(record["episode_return"] for record in found) >= 0.9
    last = [r for r in read_records(tmp_path / "metrics.jsonl") if "frames" in r][-1]
    assert abs(last["samples_per_insert"] - 16) < 8
    assert last["staleness"] == 64


def test_a_set_for_another_kind_of_items_is_refused(tmp_path: Path) -> None:
    with pytest.raises((ValueError, ConfigError), match="learns from 'sequences'"):
        t2t.train(
            problem="gym_cart_pole",
            hparams_set="ppo_small",
            output_dir=tmp_path / "run",
            items="transitions",
        )
