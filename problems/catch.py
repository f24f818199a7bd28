"""Catch: the smallest game with pixels, made here; nothing to install but gymnasium."""

from __future__ import annotations

from typing import Any

import numpy as np

from t2t import registry
from t2t.problems.control import Control
from t2t.problems.problem import DataUnavailable

ROWS, COLUMNS = 10, 5


@registry.problem
class Catch(Control):
    """Catch a ball that falls down a board of 10 x 5 pixels (bsuite's `catch`).

    Osband et al., arXiv:1908.03568. The paddle on the last row moves left, stays or
    moves right; the reward is 1 for a ball caught and -1 for one missed, at the end.
    """

    FEATURES = {"observation": "image", "action": "label"}
    SUGGESTED = ("rainbow_small", "rainbow")
    licence = "Apache-2.0"

    def environment(self, split: str, *, render: bool = False) -> Any:
        try:
            from gymnasium import spaces
        except ImportError:
            raise DataUnavailable(
                "catch needs gymnasium: pip install -e '.[environments]'"
            ) from None
        return Board(
            spaces.Box(0, 255, (ROWS, COLUMNS, 1), np.uint8), spaces.Discrete(3)
        )


class Board:
    """The board, as a gymnasium environment."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self._rng = np.random.default_rng()
        self._row = self._ball = self._paddle = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._row, self._paddle = 0, COLUMNS // 2
        self._ball = int(self._rng.integers(COLUMNS))
        return self._seen(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._paddle = min(COLUMNS - 1, max(0, self._paddle + int(action) - 1))
        self._row += 1
        ended = self._row == ROWS - 1
        caught = 1.0 if self._ball == self._paddle else -1.0
        return self._seen(), caught if ended else 0.0, ended, False, {}

    def render(self) -> np.ndarray:
        """uint8 [200, 100, 3]."""
        return np.repeat(np.kron(self._seen(), np.ones((20, 20, 1), np.uint8)), 3, 2)

    def close(self) -> None:
        pass

    def _seen(self) -> np.ndarray:
        board = np.zeros((ROWS, COLUMNS, 1), np.uint8)
        board[self._row, self._ball] = 255
        board[ROWS - 1, self._paddle] = 255
        return board
