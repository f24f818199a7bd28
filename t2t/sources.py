"""A source: an iterator of batches that can be saved and restored.

Shards on disk, a mixture, generated examples and a replay table that actors fill
are all sources; the trainer knows nothing else about where batches come from.

A batch is a dict of numpy arrays. For each text feature `x`:
  x            int32 [B, T]  ids, 0 where nothing is
  x_segments   int32 [B, T]  1, 2, … the packed example of each position; 0 = padding
  x_positions  int32 [B, T]  position within its example, from 0
Labels are int32 [B], images uint8 [B, H, W, C], reals float32 [B, …]. When each
row is one example (not packed) there is also
  weights      float32 [B]   1 for a row that holds an example, 0 for filler
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

Batch = dict[str, np.ndarray]


class Source(Protocol):
    """An iterator of batches of one static shape (or one a bucket)."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __next__(self) -> Batch: ...

    def state(self) -> dict[str, Any]:
        """JSON values from which `restore` continues after the last batch given."""
        ...

    def restore(self, state: dict[str, Any]) -> None: ...

    def feedback(self, batch: Batch, priorities: np.ndarray) -> None:
        """How much the examples of a batch matter [B], when the model says so."""
        ...

    def report(self) -> dict[str, float]:
        """What has been seen so far: 'fill' (0 to 1), 'dropped' examples, 'epoch'."""
        ...
