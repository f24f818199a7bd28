"""Compilers to be run, what they ask, and what came of it.

Axis letters: B questions asked at once, T questions of an episode.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from t2t.bridge.specs import Header, TensorSpec


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a compiler.

    Args:
      argv: its words; `{base}` becomes the base path of its channel, which LLVM wants,
        `{channel}` the channel's address, which t2t_bridge.h wants. No shell sees them.
      env: variables beside the host's own, with the same replaced in them.
      transport, codec: see `transports` and `codecs`.
      advice: what the compiler wants, for codecs that do not say so.
      deadline: seconds of the clock; then it is ended.
      cpu: seconds of CPU time; then it is ended, too.
      cwd: the host's by default.
      tag: whatever the caller wants to find again.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    transport: str = "fifo"
    codec: str = "llvm"
    advice: TensorSpec | None = None
    deadline: float = 120.0
    cpu: int = 120
    cwd: Path | None = None
    tag: Any = None


@dataclasses.dataclass
class Questions:
    """What compilers ask at the moment, all with the same header."""

    header: Header
    observations: np.ndarray  # records [B]: observations["name"] is [B, *shape]
    jobs: list[Job]  # [B], who asks
    steps: list[int]  # [B], how many each has asked before
    contexts: list[str]  # [B], what each was said to be about; '' where nothing was

    @property
    def default(self) -> np.ndarray:
        """The compilers' own decisions, [B, *shape of the advice].

        Raises:
          ValueError: when they did not send them.
        """
        if not self.header.default:
            names = ", ".join(self.header.names)
            raise ValueError(f"no default decision among what was sent: {names}")
        return self.observations[self.header.default]


# Gives advice, [B, *shape of the advice], or [B] where that has one element.
Policy = Callable[[Questions], np.ndarray]


def echo(questions: Questions) -> np.ndarray:
    """The policy that changes nothing."""
    return questions.default


@dataclasses.dataclass
class Trajectory:
    """All that was asked and answered on one stream, whole."""

    header: Header
    observations: np.ndarray  # records [T]
    advice: np.ndarray  # [T, *shape of the advice]
    contexts: list[tuple[int, str]]  # (the first question of it, its name)
    outcomes: dict[int, bytes]  # by question, raw: what the compiler itself rewarded

    def __len__(self) -> int:
        return len(self.observations)


@dataclasses.dataclass
class Episode:
    """A compiler that ended well.

    It may have asked nothing: a module without a call has no trajectory, or an empty
    one, and is an episode all the same.
    """

    job: Job
    trajectories: list[Trajectory]  # one a stream
    status: int  # exit status
    cpu: float  # seconds of the compiler and its children
    wall: float  # seconds
    log: str  # the end of what it printed

    @property
    def decisions(self) -> int:
        return sum(len(trajectory) for trajectory in self.trajectories)


@dataclasses.dataclass
class Failure:
    """A compiler that did not; what it asked is not kept."""

    job: Job
    reason: str
    status: int
    cpu: float
    wall: float
    log: str  # the end of what it printed
