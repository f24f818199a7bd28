"""Tasks with an environment in place of examples: what all of them share."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from multiprocessing.connection import Connection
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
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._episodes = [0] * self.count
        self._actions: list[list[int]] = [[] for _ in range(self.count)]
        self._ended = np.zeros(self.count, bool)

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


class Elsewhere:
    """An environment in a process of its own, which draws it.

    Mesa draws with LLVM, TensorFlow brings an LLVM of its own, and a process that has
    both crashes. So MuJoCo's tasks are drawn where TensorFlow is not.

    Args:
      make: gives the environment; a function of a module, called there.
      args: of it.

    Raises:
      DataUnavailable: when it cannot be made or drawn, with what to install.
    """

    def __init__(self, make: Callable[..., Environment], *args: Any) -> None:
        ours, theirs = socket.socketpair()
        there = f"from {__name__} import draw; draw({theirs.fileno()})"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", there], pass_fds=[theirs.fileno()]
            )
        self._pipe = Connection(ours.detach())
        self.observation_space, self.action_space = self._ask((make, args))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        return self._ask(("reset", {"seed": seed}))

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._ask(("step", {"action": action}))

    def render(self) -> np.ndarray:
        """uint8 [H, W, 3]."""
        return self._ask(("render", {}))

    def close(self) -> None:
        self._pipe.close()
        self._process.wait()

    def _ask(self, request: tuple[Any, Any]) -> Any:
        try:
            self._pipe.send(request)
            failed, found = self._pipe.recv()
        except (EOFError, OSError):
            failed, found = True, f"its process ended with {self._process.wait()}"
        if failed:
            self.close()
            raise DataUnavailable(
                f"this cannot be drawn here ({found}): apt install libegl1 "
                "libgl1-mesa-dri, or set MUJOCO_GL to what can draw"
            )
        return found


def draw(descriptor: int) -> None:
    """The other end of `Elsewhere`: makes an environment and does what is asked."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
    pipe = Connection(descriptor)
    make, args = pipe.recv()
    try:
        environment = make(*args)
        environment.reset()
        environment.render()
        spaces = environment.observation_space, environment.action_space
        pipe.send((False, spaces))
        while True:
            name, kwargs = pipe.recv()
            pipe.send((False, getattr(environment, name)(**kwargs)))
    except EOFError:  # it was closed
        pass
    except Exception as error:  # as many kinds as there are drivers
        pipe.send((True, str(error).split("\n")[0]))


def _gymnasium(name: str, sticky: float, render: bool) -> Environment:
    import gymnasium

    made = gymnasium.make(name, render_mode="rgb_array" if render else None)
    if sticky:
        made = gymnasium.wrappers.StickyAction(made, sticky)
    return made  # type: ignore[return-value]


class Gym(Control):
    """An environment of gymnasium, by its name there.

    Args:
      sticky: chance that a step repeats the action before it in place of the one
        given, which makes any task stochastic (Machado et al., arXiv:1709.06009).
    """

    ID = ""
    licence = "MIT"

    def __init__(self, *, sticky: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= sticky < 1.0:
            raise ValueError(f"sticky={sticky}: a chance, from 0 to below 1")
        self.sticky = sticky

    def environment(self, split: str, *, render: bool = False) -> Environment:
        if render and sys.platform == "linux" and not os.environ.get("DISPLAY"):
            os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        try:
            import gymnasium

            place = str(gymnasium.spec(self.ID).entry_point)
            if render and place.startswith("gymnasium.envs.mujoco"):
                return Elsewhere(_gymnasium, self.ID, self.sticky, True)
            return _gymnasium(self.ID, self.sticky, render)
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
