"""Tasks with an environment in place of examples: what all of them share."""

from __future__ import annotations

import os
import sys
from functools import cached_property

import numpy as np

from t2t.environments import (
    Environment,
    Environments,
    FakeEnvironment,
    Several,
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
        words = np.random.SeedSequence([seed, *split.encode()])
        return Several(
            lambda: self.environment(split, render=render),
            count,
            seed=int(words.generate_state(1)[0]),
        )

    def fake_environment(self) -> Environment:
        """Looks like the real one, and does nothing of what it does."""
        return FakeEnvironment(self.environment("train"))


class Gym(Control):
    """An environment of gymnasium, by its name there."""

    ID = ""
    licence = "MIT"

    def environment(self, split: str, *, render: bool = False) -> Environment:
        if render and sys.platform == "linux" and not os.environ.get("DISPLAY"):
            os.environ.setdefault("MUJOCO_GL", "egl")  # draws without a screen
            os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
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
