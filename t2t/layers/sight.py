"""How far a query sees: windows, dilation and blocks, and rows cut into frames.

Axis letters: B batch, T positions of a row, N frames of a row, L queries and S keys
of a frame.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops


@dataclasses.dataclass(frozen=True)
class Sight:
    """Which positions of its own example a query sees.

    causal: none after its own.
    window: the `window` nearest on each side, its own included (arXiv:2004.05150).
    dilation: of these only every `dilation`-th, so that it sees as much farther.
    block_length: the example is cut into blocks; only its own block is seen, and …
    memory_length: … so many positions before it, and after it where not causal; None
      for as many as a block has. Causal, this is Tensor2Tensor's `local_mask_right`
      and the memory of Transformer-XL (arXiv:1901.02860).
    """

    causal: bool = False
    window: int | None = None
    dilation: int = 1
    block_length: int | None = None
    memory_length: int | None = None

    @property
    def limited(self) -> bool:
        return (self.window, self.dilation, self.block_length) != (None, 1, None)

    @property
    def reach(self) -> int | None:
        """The farthest distance that is seen; None for any."""
        limits = []
        if self.window is not None:
            limits.append((self.window - 1) * self.dilation)
        if self.block_length is not None:
            limits.append(self.block_length - 1 + self._memory)
        return min(limits, default=None)

    @property
    def _memory(self) -> int:
        assert self.block_length is not None
        if self.memory_length is None:
            return self.block_length
        return self.memory_length

    def near(self, distance: Any, queries: Any, keys: Any) -> Any:
        """bool [B, T, S] (or [1, T, S]): pairs near enough.

        Args:
          distance: int [B, T, S], key position - query position.
          queries, keys: positions, int [B, T] and [B, S].
        """
        mask = ops.ones_like(distance, dtype="bool")
        if self.window is not None:
            mask = ops.abs(distance) <= (self.window - 1) * self.dilation
        if self.dilation > 1:
            mask = ops.logical_and(mask, distance % self.dilation == 0)
        if self.block_length is not None:
            block = queries - queries % self.block_length  # where its block begins
            past = keys[:, None, :] - block[:, :, None]
            inside = ops.logical_and(
                past >= -self._memory, past < self.block_length + self._memory
            )
            mask = ops.logical_and(mask, inside)
        return mask

    def elsewhere(self, queries: Any, keys: Any) -> Any:
        """bool [B, T, S]: pairs in different blocks."""
        blocks = [positions // self.block_length for positions in (queries, keys)]
        return ops.not_equal(blocks[0][:, :, None], blocks[1][:, None, :])

    def frames(self, length: int) -> Frames | None:
        """How to cut a row of T so that little is computed that nobody sees."""
        reach = self.reach
        if not reach:
            return None
        size = self.block_length or reach
        around = -(-reach // size)
        frames = Frames(length, size, around, 0 if self.causal else around)
        return frames if frames.keys_each < length else None


@dataclasses.dataclass(frozen=True)
class Frames:
    """A row of T slots as N frames of L queries, each with the keys around them.

    length: T. size: L. before, after: frames whose slots are keys, too.
    """

    length: int
    size: int
    before: int
    after: int

    @property
    def count(self) -> int:
        return -(-self.length // self.size)

    @property
    def keys_each(self) -> int:
        return (self.before + 1 + self.after) * self.size

    def queries(self, x: Any) -> Any:
        """[B, T, ...] -> [B·N, L, ...]."""
        x = self._padded(x, 0, self.count * self.size - self.length)
        return ops.reshape(x, (-1, self.size, *x.shape[2:]))

    def keys(self, x: Any) -> Any:
        """[B, T, ...] -> [B·N, S, ...]; zeros before the first slot and after the
        last."""
        after = (self.count + self.after) * self.size - self.length
        x = self._padded(x, self.before * self.size, after)
        rows, rest = ops.shape(x)[0], x.shape[2:]
        x = ops.reshape(x, (rows, -1, self.size, *rest))
        beside = [x[:, i : i + self.count] for i in range(self.before + 1 + self.after)]
        return ops.reshape(ops.concatenate(beside, axis=2), (-1, self.keys_each, *rest))

    def merge(self, x: Any) -> Any:
        """[B·N, L, ...] -> [B, T, ...]."""
        x = ops.reshape(x, (-1, self.count * self.size, *x.shape[2:]))
        return x[:, : self.length]

    def _padded(self, x: Any, before: int, after: int) -> Any:
        return ops.pad(x, [[0, 0], [before, after], *[[0, 0]] * (len(x.shape) - 2)])
