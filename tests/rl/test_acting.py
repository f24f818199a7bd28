"""From acting to batches: what a row, an item and a batch are, on a clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from t2t.environments import Several, features_of
from t2t.rl.acting import ActingOptions, Policy
from t2t.rl.experience import Experience
from t2t.rl.local import Acting


class Clock:
    """Shows (episode seed, step); ends after 3 to 6 steps, by turns of both kinds."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        assert seed is not None
        self.seed, self.step_count = seed % 1000, 0
        self.length = 3 + seed % 4
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self.step_count += 1
        ends = self.step_count == self.length
        reward = float(self.step_count) + 100 * float(action[0])
        cut = self.seed % 2 == 0
        return self._seen(), reward, ends and not cut, ends and cut, {}

    def close(self) -> None:
        pass

    def _seen(self) -> np.ndarray:
        return np.array([self.seed, self.step_count], np.float32)


class Counting:
    """Acts with a number that grows within an episode, and remembers it."""

    def __init__(self, items: str) -> None:
        self.ITEMS = items

    def start(self, count: int) -> Any:
        return tf.zeros((count,))

    def act(self, observation: Any, state: Any, *, seed: Any, explore: Any) -> Any:
        action = (state / 100)[:, None]
        return action, state + 1, {"memory": state}


def source(folder: Path, count: int = 2, **kwargs: Any) -> Acting:
    experience = Experience(**{"min_size": 50, "samples_per_insert": 4.0, **kwargs})
    return Acting(
        Several(Clock, count, seed=0),
        features_of(Clock()),
        Counting(experience.items),
        experience,
        ActingOptions(environments=count, batch_size=32),
        seed=0,
        folder=folder,
    )


@pytest.mark.parametrize("n", [1, 3])
def test_transitions_stay_within_their_episode(tmp_path: Path, n: int) -> None:
    acting = source(tmp_path, n_step=n)
    kinds = set()
    for _ in range(20):
        batch = next(acting)
        assert batch["reward"].shape == (32, n)
        for i in range(32):
            seed, at = batch["observation"][i]
            later_seed, later = batch["next_observation"][i]
            steps, length = int(batch["steps"][i]), 3 + int(seed) % 4
            assert later_seed == seed and later == at + steps
            assert steps == n or later == length  # shorter only at an end
            assert batch["memory"][i] == at  # begun anew with each episode
            np.testing.assert_allclose(batch["action"][i], [at / 100], rtol=1e-6)
            expected = [2 * at + 1 + 2 * k for k in range(steps)]
            np.testing.assert_allclose(batch["reward"][i, :steps], expected, rtol=1e-5)
            going = [not (at + k + 1 == length and seed % 2) for k in range(steps)]
            assert batch["going"][i, :steps].tolist() == going
            kinds.add((steps, bool(batch["going"][i, steps - 1])))
    assert len(kinds) >= 2 * n  # ends of both kinds, and short ones, were seen


def test_sequences_run_over_ends(tmp_path: Path) -> None:
    acting = source(tmp_path, items="sequences", length=8, min_size=10, max_size=200)
    for _ in range(10):
        batch = next(acting)
        seen, taken = batch["observation"], batch["taken"]
        assert seen.shape == (32, 9, 2)
        for t in range(8):
            same = seen[:, t, 0] == seen[:, t + 1, 0]
            ends = seen[:, t, 1] + 1 == 3 + seen[:, t, 0] % 4
            np.testing.assert_array_equal(same, taken[:, t] == 1)
            np.testing.assert_array_equal(batch["linked"][:, t] == 1, same & ~ends)
            terminated = same & ends & (seen[:, t, 0] % 2 == 1)
            np.testing.assert_array_equal(batch["going"][:, t] == 0, terminated)
            assert (batch["reward"][~same, t] == 0).all()


def test_a_queue_gives_each_item_so_often(tmp_path: Path) -> None:
    acting = source(
        tmp_path, items="sequences", length=4, queue=True, max_size=32,
        samples_per_insert=3.0, count=4,
    )  # fmt: skip
    rounds = [next(acting)["key"] for _ in range(12)]
    for first in range(0, 12, 3):  # three batches a round, each item once in each
        one = rounds[first : first + 3]
        assert all(sorted(batch) == sorted(one[0]) for batch in one)
        assert len(set(one[0].tolist())) == 32


def test_it_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    kwargs = {"n_step": 3, "selector": "prioritized"}
    whole, first = source(tmp_path / "a", **kwargs), source(tmp_path / "b", **kwargs)
    for acting in (whole, first):
        for _ in range(30):
            batch = next(acting)
            acting.feedback(batch, batch["observation"][:, 1])
    second = source(tmp_path / "b", **kwargs)
    second.restore(json.loads(json.dumps(first.state())))
    for _ in range(30):
        expected, found = next(whole), next(second)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
        whole.feedback(expected, expected["observation"][:, 1])
        second.feedback(found, found["observation"][:, 1])
    assert whole.report() == second.report()


def test_peek_tells_the_shapes(tmp_path: Path) -> None:
    for kwargs in ({"n_step": 3}, {"items": "sequences", "length": 5}):
        acting = source(tmp_path, **kwargs)
        blank, batch = acting.peek(), next(acting)
        assert {n: (v.shape, v.dtype) for n, v in blank.items()} == {
            n: (v.shape, v.dtype) for n, v in batch.items()
        }


def test_a_pace_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sets no pace"):
        source(tmp_path, samples_per_insert=0.0)


def test_random_numbers_are_of_the_turn() -> None:
    class Noisy:
        def act(self, observation: Any, state: Any, *, seed: Any, explore: Any) -> Any:
            return tf.cast(seed, tf.float32)[None], state, {}

    policy = Policy(Noisy(), seed=3)
    seen = {"observation": np.zeros((1, 1), np.float32)}
    draws = [policy(seen, (), turn=t, explore=1.0)[0][0] for t in (0, 1, 0)]
    assert draws[0] == draws[2] != draws[1]
