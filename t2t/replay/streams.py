"""A writer's stream as the service knows it: its steps, chunk by chunk."""

from __future__ import annotations

import collections
import dataclasses
import time
from typing import Any

import numpy as np


class ReplayError(ValueError):
    """A request that cannot be served; the message says why."""


class DeadlinePassed(ReplayError):
    """The limiter did not allow a request before its deadline."""


@dataclasses.dataclass
class Items:
    """Items of a message for one table: windows that end at steps of the stream."""

    table: str
    ends: np.ndarray  # int64 [N]: the number of the last step, plus one
    lengths: np.ndarray  # int64 [N]
    priorities: np.ndarray  # float64 [N]

    def __len__(self) -> int:
        return len(self.ends)


@dataclasses.dataclass
class Stream:
    """What is known of one writer's steps."""

    store: int
    sequence: int = 0  # of the last message that was taken whole
    begun: int = 0  # items taken of the message after it, if its chunk is there
    chunk_taken: bool = False
    steps: int = 0  # steps committed so far
    # (first step, steps, slot), oldest first; what later windows may still touch
    chunks: collections.deque[tuple[int, int, int]] = dataclasses.field(
        default_factory=collections.deque
    )
    # Slots that its writer fills in shared memory.
    granted: list[int] = dataclasses.field(default_factory=list)
    connected: bool = True
    seen: float = 0.0  # when it was last connected
    lost: int = 0  # the first step that did not go with a server
    dropped: int = 0  # items over steps that did

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "store": self.store,
            "sequence": self.sequence,
            "begun": self.begun,
            "chunk_taken": self.chunk_taken,
            "steps": self.steps,
            "lost": self.lost,
            "dropped": self.dropped,
            "chunks": list(self.chunks),
        }

    @classmethod
    def from_plain(cls, value: dict[str, Any], slots: dict[int, int]) -> Stream:
        """The inverse, its chunks moved to other slots."""
        chunks = [(first, n, int(slots[slot])) for first, n, slot in value["chunks"]]
        seen = time.monotonic()
        stream = cls(**{**value, "chunks": collections.deque(chunks)}, seen=seen)
        return stream

    def without_lost(self, items: Items) -> Items:
        """The items none of whose steps went with a lost server."""
        there = items.ends - items.lengths >= self.lost
        if self.lost == 0 or there.all():
            return items
        self.dropped += int((~there).sum())
        return Items(
            items.table,
            items.ends[there],
            items.lengths[there],
            items.priorities[there],
        )
