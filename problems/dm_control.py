"""The DeepMind Control Suite (Tassa et al., arXiv:1801.00690; arXiv:2006.12983).

What is observed is laid out as one vector. Every reward lies in [0, 1] and an episode
has 1 000 steps, so returns reach 1 000 at most, whatever the task.

What is notable: nothing terminates here. An episode ends because its time is up, and
the value of what was seen last counts (`truncated`); a discount of 0, which no task
below gives, would be `terminated`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from t2t import registry
from t2t.environments import Environment
from t2t.problems.control import ContinuousControl, Elsewhere
from t2t.problems.problem import DataUnavailable

WIDTH, HEIGHT = 320, 240  # pixels of a film's picture


class DmControl(ContinuousControl):
    """A task of the suite, by its domain and name there."""

    DOMAIN, TASK = "", ""
    licence = "Apache-2.0"

    def environment(self, split: str, *, render: bool = False) -> Environment:
        try:
            return (
                Elsewhere(load, self.DOMAIN, self.TASK)
                if render
                else load(self.DOMAIN, self.TASK, drawing="disable")
            )
        except (ImportError, AttributeError) as error:
            # An AttributeError comes of a MuJoCo that dm_control does not know yet.
            reason = str(error).split("\n")[0]
            raise DataUnavailable(
                f"{self.name} needs dm_control and a MuJoCo that it knows ({reason}): "
                "pip install -e '.[dm_control]'"
            ) from error


def load(domain: str, task: str, *, drawing: str = "") -> Environment:
    """A task of the suite.

    Args:
      drawing: what MuJoCo draws with, chosen when dm_control is first imported.
    """
    before = os.environ.get("MUJOCO_GL")
    if drawing:
        os.environ["MUJOCO_GL"] = drawing
    try:
        from dm_control import suite
    finally:
        if before is not None:
            os.environ["MUJOCO_GL"] = before
        elif drawing:
            del os.environ["MUJOCO_GL"]
    random = np.random.RandomState()
    return SuiteTask(suite.load(domain, task, task_kwargs={"random": random}), random)


class SuiteTask:
    """A task of dm_control as a gymnasium environment.

    Args:
      task: `dm_control.rl.control.Environment`.
      random: what it draws its beginnings from.
    """

    def __init__(self, task: Any, random: np.random.RandomState) -> None:
        from gymnasium import spaces

        self._task, self._random = task, random
        size = sum(
            int(np.prod(part.shape)) for part in task.observation_spec().values()
        )
        action = task.action_spec()
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = spaces.Box(
            action.minimum.astype(np.float32), action.maximum.astype(np.float32)
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            self._random.seed(seed)
        return _flat(self._task.reset()), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        answer = self._task.step(action)
        terminated = answer.last() and answer.discount == 0
        truncated = answer.last() and not terminated
        return _flat(answer), float(answer.reward), terminated, truncated, {}

    def render(self) -> np.ndarray:
        """uint8 [240, 320, 3], by the first camera."""
        return self._task.physics.render(HEIGHT, WIDTH, camera_id=0)

    def close(self) -> None:
        self._task.close()


def _flat(answer: Any) -> np.ndarray:
    """What is observed as float32 [X], its parts in the task's order."""
    parts = [np.ravel(part) for part in answer.observation.values()]
    return np.concatenate(parts).astype(np.float32)


@registry.problem
class DmCartpoleSwingup(DmControl):
    """Swing up a pole by pushing its cart, and hold it near the middle."""

    DOMAIN, TASK = "cartpole", "swingup"


@registry.problem
class DmReacherEasy(DmControl):
    """Bring the tip of an arm of two links onto a large target."""

    DOMAIN, TASK = "reacher", "easy"


@registry.problem
class DmFingerSpin(DmControl):
    """Keep a body on a hinge spinning with a finger of two joints."""

    DOMAIN, TASK = "finger", "spin"


@registry.problem
class DmCheetahRun(DmControl):
    """Run on two legs in the plane, up to 10 m/s."""

    DOMAIN, TASK = "cheetah", "run"


@registry.problem
class DmWalkerWalk(DmControl):
    """Walk upright on two legs in the plane, at 1 m/s."""

    DOMAIN, TASK = "walker", "walk"


@registry.problem
class DmHopperHop(DmControl):
    """Hop upright on one leg in the plane, at 2 m/s."""

    DOMAIN, TASK = "hopper", "hop"


@registry.problem
class DmQuadrupedRun(DmControl):
    """Run on four legs, at 5 m/s."""

    DOMAIN, TASK = "quadruped", "run"


@registry.problem
class DmHumanoidStand(DmControl):
    """Stand up as a humanoid of 21 joints, and stay upright."""

    DOMAIN, TASK = "humanoid", "stand"
