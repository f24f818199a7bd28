"""The environment contract, by one tiny problem that uses it."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from t2t import environments
from t2t.environments import Environment, Environments, Interactive, Several
from t2t.features import Feature

LENGTH, PATIENCE = 4, 12


class Corridor(gymnasium.Env):
    """Walk right to the end; after PATIENCE steps the episode is truncated."""

    observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place, self.steps = int(self.np_random.integers(LENGTH)), 0
        return self._observation(), {}

    def step(self, action: Any) -> Any:
        self.place = max(0, self.place + (1 if action else -1))
        self.steps += 1
        ended = self.place >= LENGTH
        return self._observation(), float(ended), ended, self.steps >= PATIENCE, {}

    def _observation(self) -> np.ndarray:
        return np.array([min(self.place / LENGTH, 1.0)], np.float32)


class CorridorProblem:
    """A problem whose data come from acting."""

    interactive = True

    def environment(self, split: str) -> Environment:
        return Corridor()

    def environments(self, split: str, count: int, *, seed: int) -> Environments:
        return Several(Corridor, count, seed=seed)


def _run(problem: Interactive, action: int) -> tuple[float, bool, bool]:
    environment = problem.environment("train")
    environment.reset(seed=1)
    total = 0.0
    while True:
        _, reward, terminated, truncated, _ = environment.step(action)
        total += reward
        if terminated or truncated:
            environment.close()
            return total, terminated, truncated


def test_a_problem_that_answers_back() -> None:
    check_env(Corridor(), skip_render_check=True)
    assert _run(CorridorProblem(), 1) == (1.0, True, False)
    assert _run(CorridorProblem(), 0) == (0.0, False, True)


def test_spaces_are_features() -> None:
    assert environments.features_of(Corridor()) == {
        "observation": Feature("real", (1,), "float32", "X", low=(0.0,), high=(1.0,)),
        "action": Feature("label", (), "int32", "", classes=2),
    }
    picture = spaces.Box(0, 255, (4, 5, 3), np.uint8)
    assert environments.feature_of(picture).kind == "image"
    corridor = Corridor()
    corridor.observation_space = spaces.Dict({"a": picture, "b": spaces.Discrete(3)})
    assert [(n, f.kind) for n, f in environments.features_of(corridor).items()] == [
        ("a", "image"), ("b", "label"), ("action", "label"),
    ]  # fmt: skip
    with pytest.raises(TypeError, match="no feature describes the space"):
        environments.feature_of(spaces.MultiBinary(3))


def test_without_gymnasium_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ImportError, match=r"pip install -e '.\[environments\]'"):
        environments.feature_of(spaces.Discrete(2))
