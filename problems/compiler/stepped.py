"""N compilers, stepped together: each a module at a time, each step an answer."""

from __future__ import annotations

import abc
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from t2t.bridge.desk import Desk
from t2t.environments import Observation, Turn

PATIENCE = 3600.0  # seconds that a compiler waits while others are stepped, too

End = (
    tuple[float, np.ndarray] | None
)  # (reward, each decision's share); None: it failed


class Stepped(abc.ABC):
    """As `environments.Environments` says; restored by the decisions so far.

    Args:
      count: N.
      seed: of the modules' order; environment n plays every N-th of it.
    """

    def __init__(self, count: int, *, seed: int) -> None:
        self.count, self.seed = count, seed
        self.compiles = self.failures = 0
        self._desk = Desk()
        self._folder = tempfile.TemporaryDirectory(prefix="t2t-")
        self._episodes = [0] * count
        self._walks: list[Any] = []  # each has the decisions `taken` and its `module`
        self._ended = np.zeros(count, bool)

    def reset(self) -> Observation:
        self._walks = [self._begin(n) for n in range(self.count)]
        return self._observation()

    def step(self, action: np.ndarray) -> Turn:
        reward = np.zeros(self.count, np.float32)
        terminated, truncated = np.zeros((2, self.count), bool)
        hindsight: list[np.ndarray | None] = [None] * self.count
        going = [n for n in range(self.count) if not self._ended[n]]
        ends = self._answer({n: action[n] for n in going})
        for n in np.flatnonzero(self._ended).tolist():
            self._episodes[n] += 1
            self._walks[n] = self._begin(n)
        for n, end in ends.items():
            terminated[n], truncated[n] = end is not None, end is None
            hindsight[n] = np.zeros(0, np.float32)
            if end is not None:
                reward[n], hindsight[n] = end
        self._ended = terminated | truncated
        worth = tuple(hindsight)
        return Turn(self._observation(), reward, terminated, truncated, worth)

    def state(self) -> dict[str, Any]:
        return {
            "episodes": list(self._episodes),
            "taken": [list(walk.taken) for walk in self._walks],
            "ended": self._ended.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> Observation:
        self._episodes = list(state["episodes"])
        self.reset()
        self._ended = np.array(state["ended"])
        for n, taken in enumerate(state["taken"]):
            for place, action in enumerate(taken):
                if self._answer({n: action}) and place < len(taken) - 1:
                    key = self._walks[n].module.key
                    raise RuntimeError(f"{key} asks otherwise now")
        return self._observation()

    def close(self) -> None:
        self._desk.close()
        self._folder.cleanup()

    def _output(self, n: int) -> Path:
        """The object that environment n's compiler writes."""
        return Path(self._folder.name) / f"{n}.o"

    @abc.abstractmethod
    def _begin(self, n: int) -> Any:
        """The walk through environment n's next module."""

    @abc.abstractmethod
    def _observation(self) -> Observation:
        """What all are asked."""

    @abc.abstractmethod
    def _answer(self, actions: dict[int, Any]) -> dict[int, End]:
        """Takes an action each; the ends that were met."""
