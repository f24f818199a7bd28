"""Every problem that answers back: specs, determinism by seed, restarts, fakes."""

from __future__ import annotations

import atexit
import functools
import inspect
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import compiler_toys
import kit
import numpy as np
import pytest

from t2t import registry
from t2t.environments import Several
from t2t.problems.control import Control
from t2t.rl.acting import random_actions

ZOO = registry.current()
EVERY = pytest.mark.parametrize("name", kit.problems(interactive=True))
COUNT = 2
# A problem takes those of these that its constructor names.
KNOBS: dict[str, Any] = {"max_frames": 400}


@functools.cache
def _corpus() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="t2t-"))
    atexit.register(shutil.rmtree, folder)
    return compiler_toys.corpus(folder, ("zlib", "box2d", "bzip2"), full=True)


def _problem(name: str) -> Control:
    cls = ZOO.load("problem", name)
    known = inspect.signature(cls).parameters
    options = {knob: value for knob, value in KNOBS.items() if knob in known}
    if "corpus" in known:
        options["corpus"] = str(_corpus())
    return kit.simulator(name, **options)


def _walk(problem: Control, environments: Any, steps: int, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    found: list[Any] = [environments.reset()]
    for _ in range(steps):
        action = random_actions(problem.features["action"], COUNT, rng)
        found.append(environments.step(action))
    return found


@EVERY
def test_specs(name: str) -> None:
    problem = _problem(name)
    declaration = ZOO.declaration("problem", name)
    assert ZOO.features(declaration) == problem.FEATURES
    assert {n: f.kind for n, f in problem.features.items()} == problem.FEATURES
    assert declaration.summary.endswith(".") and len(declaration.summary) <= 88
    assert problem.licence != "unknown" and problem.SUGGESTED is not None
    environments = problem.environments("train", COUNT, seed=0)
    for turn in _walk(problem, environments, 5)[1:]:
        for part, values in turn.observation.items():
            feature = problem.features[part]
            assert values.shape == (COUNT, *feature.shape)
            assert values.dtype == feature.dtype
            assert np.isfinite(values).all()
    environments.close()


@EVERY
def test_a_seed_decides_everything(name: str) -> None:
    problem = _problem(name)
    # Games with no luck at their beginning take a while to differ; modules do at once.
    steps = 30 if hasattr(problem, "corpus") else 80
    one, same, other, split = (
        _walk(problem, problem.environments(split, COUNT, seed=seed), steps)
        for split, seed in (("train", 3), ("train", 3), ("train", 4), ("dev", 3))
    )
    for a, b in zip(one[1:], same[1:], strict=True):
        np.testing.assert_array_equal(a.reward, b.reward)
        for part in a.observation:
            np.testing.assert_array_equal(a.observation[part], b.observation[part])

    def seen(walk: list[Any]) -> Any:
        return np.stack([t.observation["observation"] for t in walk[1:]])

    assert not np.array_equal(seen(one), seen(other))
    assert not np.array_equal(seen(one), seen(split))


@EVERY
def test_it_is_restored_in_the_middle(name: str) -> None:
    problem = _problem(name)
    environments = problem.environments("train", COUNT, seed=1)
    _walk(problem, environments, 15)
    state = json.loads(json.dumps(environments.state()))
    again = problem.environments("train", COUNT, seed=1)
    assert state is not None
    again.restore(state)
    rng = np.random.default_rng(5)
    for _ in range(10):
        action = random_actions(problem.features["action"], COUNT, rng)
        expected, found = environments.step(action), again.step(action)
        for a, b in zip(expected[1:4], found[1:4], strict=True):
            np.testing.assert_array_equal(a, b)
        for part in expected.observation:
            np.testing.assert_array_equal(
                expected.observation[part], found.observation[part]
            )


@EVERY
def test_the_call_after_an_end_is_a_reset(name: str) -> None:
    problem = _problem(name)
    one, other = (problem.environments("dev", COUNT, seed=2) for _ in range(2))
    one.reset()
    other.reset()
    rng = np.random.default_rng(0)
    ended, resets = np.zeros(COUNT, bool), 0
    for _ in range(1200):
        action = random_actions(problem.features["action"], COUNT, rng)
        ignored = random_actions(problem.features["action"], COUNT, rng)
        marks = ended.reshape(COUNT, *(1,) * (action.ndim - 1))
        turn, same = one.step(action), other.step(np.where(marks, ignored, action))
        for a, b in zip(turn[1:4], same[1:4], strict=True):
            np.testing.assert_array_equal(a, b)
        for part, seen in turn.observation.items():
            np.testing.assert_array_equal(seen, same.observation[part])
        assert not (turn.reward[ended].any() or turn.terminated[ended].any())
        resets += int(ended.sum())
        ended = turn.terminated | turn.truncated
        if resets >= 2 * COUNT:
            break
    assert resets
    for environments in (one, other):
        environments.close()


@EVERY
def test_a_fake_restarts_by_itself(name: str) -> None:
    problem = _problem(name)
    environments = Several(problem.fake_environment, COUNT, seed=0)
    turns = _walk(problem, environments, 13)[1:]
    ends = np.array([turn.terminated[0] for turn in turns])
    # Five steps, then the call that is the reset.
    assert np.flatnonzero(ends).tolist() == [4, 10]
    rewards = [float(turn.reward[0]) for turn in turns]
    assert rewards == [1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1]
    with pytest.raises(ValueError, match="is not in"):
        problem.fake_environment().step(np.full(99, 1e9))
