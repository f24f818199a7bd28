"""Tasks with an environment in place of examples: what all of them share."""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from t2t.environments import (
    Environment,
    Environments,
    FakeEnvironment,
    Observation,
    Several,
    Turn,
    features_of,
)
from t2t.features import Feature
from t2t.problems.problem import DataUnavailable, Problem


class Control(Problem):
    """Act on what is observed; the more reward an episode brings, the better."""

    METRICS = ("episode_return", "episode_length")
    TARGET = "action"
    interactive = True

    @cached_property
    def features(self) -> dict[str, Feature]:  # type: ignore[override]
        environment = self.environment("train")
        try:
            return features_of(environment)
        finally:
            environment.close()

    def environment(self, split: str, *, render: bool = False) -> Environment:
        """A new environment; with `render` its `render()` gives uint8 [H, W, 3].

        Raises:
          DataUnavailable: when what it needs is not installed.
        """
        raise NotImplementedError

    def environments(
        self, split: str, count: int, *, seed: int, render: bool = False
    ) -> Environments:
        """`count` of them, stepped together; each split has seeds of its own."""
        return Several(
            lambda: self.environment(split, render=render),
            count,
            seed=split_seed(seed, split),
        )

    def fake_environment(self) -> Environment:
        """Looks like the real one, and does nothing of what it does."""
        return FakeEnvironment(self.environment("train"))


def draw_without_screen() -> None:
    """Lets MuJoCo and SDL draw where there is no display; before they are imported."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    # Asked for and not there, EGL would keep MuJoCo's users from being imported.
    if "MUJOCO_GL" not in os.environ and ctypes.util.find_library("EGL"):
        os.environ["MUJOCO_GL"] = "egl"


def split_seed(seed: int, split: str) -> int:
    """Of all episodes of a split, below 2^32."""
    words = np.random.SeedSequence([seed, *split.encode()])
    return int(words.generate_state(1)[0])


class Vector:
    """What a simulator's own vector of environments needs to be restored: a record.

    A subclass answers to actions, and restores itself from the number of each
    environment's episode and the actions taken in it so far. Axis letter: N
    environments.

    Args:
      count: N.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._episodes = [0] * count
        self._actions: list[list[int]] = [[] for _ in range(count)]
        self._ended = np.zeros(count, bool)

    def step(self, action: np.ndarray) -> Turn:
        restarts = self._ended
        for n in np.flatnonzero(restarts):
            self._episodes[n] += 1
        turn = self._answer(np.asarray(action))
        for n, taken in enumerate(action.tolist()):
            if restarts[n]:
                self._actions[n] = []
            else:
                self._actions[n].append(taken)
        self._ended = turn.terminated | turn.truncated
        return turn

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "episodes": list(self._episodes),
            "actions": [list(actions) for actions in self._actions],
        }

    def _answer(self, action: np.ndarray) -> Turn:
        """To actions [N]; where the last turn was an end (`_ended`) this is a reset."""
        raise NotImplementedError


class Single:
    """One environment, gymnasium's way, of a simulator that has vectors only.

    Args:
      make: gives a vector of one; each episode has its own, by its seed below 2^31.
      observation_space, action_space: of it.
    """

    def __init__(
        self, make: Callable[[int], Any], observation_space: Any, action_space: Any
    ) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self._make, self._rng = make, np.random.default_rng()
        self._vector: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.close()
        self._vector = self._make(int(self._rng.integers(2**31)))
        return _first(self._vector.reset()), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        turn = self._vector.step(np.array([action]))
        ends = bool(turn.terminated[0]), bool(turn.truncated[0])
        return _first(turn.observation), float(turn.reward[0]), *ends, {}

    def render(self) -> np.ndarray:
        """uint8 [H, W, 3]."""
        return self._vector.render()

    def close(self) -> None:
        if self._vector is not None:
            self._vector.close()
            self._vector = None


def _first(observation: Observation) -> np.ndarray:
    return observation["observation"][0]


class Gym(Control):
    """An environment of gymnasium, by its name there."""

    ID = ""
    licence = "MIT"

    def environment(self, split: str, *, render: bool = False) -> Environment:
        if render:
            draw_without_screen()
        try:
            import gymnasium

            return gymnasium.make(self.ID, render_mode="rgb_array" if render else None)  # type: ignore[return-value]
        except ImportError as error:
            raise DataUnavailable(_install(self.name, error)) from error
        except Exception as error:
            # gymnasium wraps the import errors of its simulators.
            if type(error).__name__ != "DependencyNotInstalled":
                raise
            raise DataUnavailable(_install(self.name, error)) from error


def _install(name: str, error: BaseException) -> str:
    reason = str(error).split("\n")[0]
    return f"{name} needs its simulator ({reason}): pip install -e '.[environments]'"


class ContinuousControl(Control):
    """Numbers observed, numbers as action."""

    FEATURES = {"observation": "real", "action": "real"}
    SUGGESTED = ("ddpg_small", "ddpg")


class DiscreteControl(Control):
    """Numbers observed, one of some actions taken."""

    FEATURES = {"observation": "real", "action": "label"}
    SUGGESTED = ("ppo_small", "ppo")
