"""Whole episodes without exploration: how good a model is, and what that looks like."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from t2t.media.video import write_video
from t2t.rl.acting import Policy

FRAMES_PER_SECOND = 30


@dataclasses.dataclass(frozen=True)
class Episode:
    """What an episode brought: the sum of its rewards, and its steps."""

    total: float
    length: int


def play(
    problem: Any,
    policy: Policy,
    *,
    split: str = "dev",
    episodes: int = 10,
    seed: int = 0,
    explore: float = 0.0,
) -> list[Episode]:
    """Plays so many episodes at once, each in an environment of its own."""
    environments = problem.environments(split, episodes, seed=seed)
    seen, state = environments.reset(), policy.start(episodes)
    totals, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
    living = np.ones(episodes, bool)
    turn = 0
    while living.any():
        action, state, _ = policy(seen, state, turn=turn, explore=explore)
        answer = environments.step(action)
        totals += np.where(living, answer.reward, 0.0)
        lengths += living
        living &= ~(answer.terminated | answer.truncated)
        seen, turn = answer.observation, turn + 1
    environments.close()
    return [Episode(float(t), int(n)) for t, n in zip(totals, lengths, strict=True)]


def scores(episodes: list[Episode]) -> dict[str, float]:
    """{'episode_return', 'episode_return_error' (standard), 'episode_length'}."""
    totals = np.array([episode.total for episode in episodes])
    error = totals.std(ddof=1) / len(totals) ** 0.5 if len(totals) > 1 else 0.0
    return {
        "episode_return": float(totals.mean()),
        "episode_return_error": float(error),
        "episode_length": float(np.mean([e.length for e in episodes])),
    }


class Judge:
    """Scores a model by playing; the same episodes each time."""

    def __init__(self, problem: Any, model: Any, *, episodes: int) -> None:
        self.problem, self.episodes = problem, episodes
        self.policy = Policy(model, seed=0)

    def __call__(self, split: str) -> dict[str, float]:
        found = play(self.problem, self.policy, split=split, episodes=self.episodes)
        return scores(found)


def film(
    problem: Any,
    policy: Policy,
    path: Path,
    *,
    split: str = "dev",
    seed: int = 0,
    most_frames: int = 1000,
) -> Episode:
    """Plays an episode and writes what it looks like: .mp4, .gif.

    Raises:
      MediaUnavailable: with how to install what writes videos.
    """
    frames: list[np.ndarray] = []
    environment = problem.environments(split, 1, seed=seed, render=True)
    seen, state = environment.reset(), policy.start(1)
    total, turn, ended = 0.0, 0, False
    while not ended:
        if len(frames) < most_frames:
            frames.append(environment.render())
        action, state, _ = policy(seen, state, turn=turn, explore=0.0)
        answer = environment.step(action)
        total += float(answer.reward[0])
        ended = bool(answer.terminated[0] or answer.truncated[0])
        seen, turn = answer.observation, turn + 1
    environment.close()
    write_video(path, np.stack(frames), fps=FRAMES_PER_SECOND)
    return Episode(total, turn)
