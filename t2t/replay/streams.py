"""A writer's stream as the service knows it: its steps, chunk by chunk."""

from __future__ import annotations

import collections
import dataclasses
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
    seen: float = 0.0  # when it was last connected, by the service's clock
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
    def from_plain(
        cls, value: dict[str, Any], slots: dict[int, int], *, seen: float = 0.0
    ) -> Stream:
        """The inverse, its chunks moved to other slots; its writer was `seen` then."""
        chunks = [(first, n, int(slots[slot])) for first, n, slot in value["chunks"]]
        stream = cls(**{**value, "chunks": collections.deque(chunks)}, seen=seen)
        return stream

    def rows(
        self, items: Items, window: int, chunk_steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(rows [N, T], lengths [N]) in the store of windows of T steps at most.

        Raises:
          ReplayError: when they are not of steps that are there.
        """
        lengths = np.asarray(items.lengths, np.int64)
        starts = items.ends - lengths
        oldest = self.chunks[0][0] if self.chunks else self.steps
        if len(items) and (
            lengths.min() < 1
            or lengths.max() > window
            or starts.min() < oldest
            or items.ends.max() > self.steps
        ):
            raise ReplayError(
                f"table {items.table} takes windows of 1 to {window} steps from those "
                f"that the writer just sent ({oldest} to {self.steps})"
            )
        # Beyond its length a window repeats its last step.
        steps = starts[:, None] + np.minimum(np.arange(window), lengths[:, None] - 1)
        firsts = np.array([first for first, _, _ in self.chunks], np.int64)
        slots = np.array([slot for _, _, slot in self.chunks], np.int64)
        chunk = np.searchsorted(firsts, steps, side="right") - 1
        return slots[chunk] * chunk_steps + steps - firsts[chunk], lengths

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
