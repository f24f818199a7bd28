"""The sixteen games of Procgen: levels, frames, what is restored; needs EnvPool."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

import kit
import numpy as np
import pytest

from t2t import config as config_lib
from t2t import registry
from t2t.problems.problem import DataUnavailable
from t2t.problems.procgen import ACTIONS, DEV_END, Games, Procgen
from t2t.run.problems import make_problem

GAMES = [n for n in registry.current().names("problem") if n.startswith("procgen_")]
COUNT, STEPS = 4, 150


def _make(name: str, **options: Any) -> Procgen:
    return kit.simulator(name, **options)


def _vector(problem: Procgen, split: str = "train", seed: int = 7) -> Games:
    games = problem.environments(split, COUNT, seed=seed)
    assert isinstance(games, Games)
    return games


def frame_hashes(names: list[str]) -> dict[str, str]:
    """Of all frames of a walk in each game."""
    found = {}
    for name in names:
        games, rng = _vector(_make(name)), np.random.default_rng(0)
        hashed = hashlib.sha256(games.reset()["observation"].tobytes())
        for _ in range(STEPS):
            turn = games.step(rng.integers(ACTIONS, size=COUNT))
            hashed.update(turn.observation["observation"].tobytes())
        games.close()
        found[name] = hashed.hexdigest()
    return found


def test_there_are_sixteen() -> None:
    assert len(GAMES) == 16


@pytest.mark.parametrize("name", GAMES)
def test_frames_and_levels(name: str) -> None:
    problem = _make(name)
    for split, first, end in (
        ("train", 0, 200),
        ("dev", 200, DEV_END),
        ("test", DEV_END, 2**31),
    ):
        games, rng = _vector(problem, split), np.random.default_rng(1)
        seen, levels = games.reset()["observation"], set(games.playing.tolist())
        assert seen.shape == (COUNT, 64, 64, 3) and seen.dtype == np.uint8
        for _ in range(STEPS):
            turn = games.step(rng.integers(ACTIONS, size=COUNT))
            levels |= set(games.playing.tolist())
        after = turn.observation["observation"]
        assert after.shape == seen.shape and (after != seen).any()
        assert min(levels) >= first and max(levels) < end and len(levels) > 1
        games.close()


def test_frames_are_the_same_in_another_process() -> None:
    here = frame_hashes(GAMES)
    there = "import json, sys, test_problems_procgen as test; "
    there += "print(json.dumps(test.frame_hashes(json.loads(sys.argv[1]))))"
    found = subprocess.run(
        [sys.executable, "-c", there, json.dumps(GAMES)],
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
        capture_output=True,
        check=True,
        text=True,
        cwd=str(registry.ZOO.parent / "tests" / "unit"),
    )
    assert json.loads(found.stdout.splitlines()[-1]) == here
    assert len(set(here.values())) == 16


@pytest.mark.parametrize("name", ["procgen_fruitbot", "procgen_dodgeball"])
def test_it_is_restored_after_many_episodes(name: str) -> None:
    """Also the way that dodgeball's ball flies, which outlives a reset."""
    problem = _make(name)
    rng = np.random.default_rng(2)
    # Buttons that do not move are pressed mostly: they show what moved before.
    chances = np.where(np.arange(ACTIONS) < 9, 1.0, 8.0)
    chances /= chances.sum()
    for steps in (15, 40, 400):
        games, again = _vector(problem), _vector(problem)
        games.reset()
        for _ in range(steps):
            last = games.step(rng.choice(ACTIONS, size=COUNT, p=chances))
        state = json.loads(json.dumps(games.state()))
        seen = again.restore(state)["observation"]
        np.testing.assert_array_equal(seen, last.observation["observation"])
        np.testing.assert_array_equal(again.playing, games.playing)
        for _ in range(60):
            action = rng.choice(ACTIONS, size=COUNT, p=chances)
            for a, b in zip(games.step(action), again.step(action), strict=True):
                np.testing.assert_equal(b, a)
    assert sum(state["episodes"]) > 2 * COUNT


def test_its_options_are_bound() -> None:
    config = config_lib.load(
        hparams_set="ppo_procgen_small",
        problem="procgen_coinrun",
        gin_params=["procgen_coinrun.num_levels=3", "procgen_coinrun.start_level=40"],
    )
    problem = make_problem(config)
    assert problem.levels("train") == range(40, 43)
    assert problem.levels("dev").start == 43


def test_what_it_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    cls = registry.current().load("problem", "procgen_coinrun")
    with pytest.raises(ValueError, match="num_levels=0, start_level=0: at least 1"):
        cls(num_levels=0)
    problem = _make("procgen_coinrun")
    problem.mode = "hart"
    with pytest.raises(ValueError, match="'hart': procgen_coinrun has .*mean 'hard'"):
        problem.environment("train")
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(DataUnavailable, match=r"\.\[procgen\].*libqt5core5a"):
        problem.environment("train")
