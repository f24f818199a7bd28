"""Atari's games: what is seen, what luck there is, what is restored; needs ale-py."""

from __future__ import annotations

import json
import sys
from typing import Any

import kit
import numpy as np
import pytest

from t2t import registry
from t2t.problems.atari import Atari
from t2t.problems.problem import DataUnavailable

COUNT = 3


def _make(name: str = "atari_breakout", **options: Any) -> Atari:
    return kit.simulator(name, **options)


def _walk(problem: Atari, steps: int, *, split: str = "train", seed: int = 0) -> Any:
    """(observations [steps + 1, N, 84, 84, 4], rewards, ends of both kinds)."""
    games = problem.environments(split, COUNT, seed=seed)
    rng, size = np.random.default_rng(3), problem.features["action"].size
    seen, others = [games.reset()["observation"]], []
    for _ in range(steps):
        turn = games.step(rng.integers(size, size=COUNT))
        seen.append(turn.observation["observation"])
        others.append((turn.reward, turn.terminated, turn.truncated))
    games.close()
    return np.stack(seen), *map(np.array, zip(*others, strict=True))


def test_four_steps_are_seen_at_once() -> None:
    seen, _, terminated, truncated = _walk(_make(), 20)
    assert seen.shape == (21, COUNT, 84, 84, 4) and seen.dtype == np.uint8
    assert not (terminated | truncated).any()
    np.testing.assert_array_equal(seen[1:, ..., :3], seen[:-1, ..., 1:])
    assert all((seen[t, ..., 3] != seen[t - 1, ..., 3]).any() for t in range(5, 21))


def test_the_only_luck_is_the_sticky_button() -> None:
    for probability, same in ((0.0, True), (0.25, False)):
        problem = _make(repeat_action_probability=probability)
        one, other = (_walk(problem, 20, seed=seed)[0] for seed in (1, 2))
        assert np.array_equal(one, other) == same


def test_an_episode_is_cut_when_its_time_is_up() -> None:
    _, _, terminated, truncated = _walk(_make(max_frames=100), 60)
    assert not terminated.any()
    # 25 steps of 4 frames, then the call that is the reset.
    assert np.flatnonzero(truncated[:, 0]).tolist() == [24, 50]


def test_rewards_are_clipped_in_training_only() -> None:
    problem = _make("atari_ms_pacman", clip_rewards=True)
    train, dev = (_walk(problem, 150, split=s)[1] for s in ("train", "dev"))
    assert set(train.ravel()) == {0.0, 1.0}
    assert dev.max() >= 10.0  # a dot


def test_a_lost_life_ends_an_episode_where_that_is_asked() -> None:
    ends = [
        _walk(_make(episodic_life=asked), 100)[2].sum(axis=0) for asked in (False, True)
    ]
    assert (ends[1] > ends[0]).all()


def test_it_is_restored_while_others_end() -> None:
    problem = _make(max_frames=120)
    rng = np.random.default_rng(0)
    games = problem.environments("train", COUNT, seed=0)
    games.reset()
    for steps in (7, 23, 1, 40):
        for _ in range(steps):
            last = games.step(rng.integers(4, size=COUNT))
        again = problem.environments("train", COUNT, seed=0)
        seen = again.restore(json.loads(json.dumps(games.state())))
        np.testing.assert_equal(seen, last.observation)
        for _ in range(35):  # over an end
            action = rng.integers(4, size=COUNT)
            for a, b in zip(games.step(action), again.step(action), strict=True):
                np.testing.assert_equal(b, a)
        again.close()
    games.close()


def test_without_ale_py(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = registry.current().load("problem", "atari_pong")()
    problem.name = "atari_pong"
    monkeypatch.setitem(sys.modules, "ale_py.vector_env", None)
    with pytest.raises(DataUnavailable, match=r"atari_pong needs ale-py.*\.\[atari\]"):
        problem.environment("train")
