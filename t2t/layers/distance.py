"""How far keys stand from queries, and values by distance brought to pairs of slots.

All that depends on a distance alone (T5's biases, ALiBi, Shaw's vectors) is made
for R distances, R about T + S, and then laid out for T queries and S keys. Where
slots are positions that is Music Transformer's skewing (arXiv:1809.04281, section
3.4): a pad and a reshape, no gather. In a tree of cached slots it is a gather.

A distance is key position - query position: what is behind is negative.
Axis letters: B batch, H heads, T queries, S keys, R distances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


class Aligned:
    """Slots are positions: key slot j stands j - before - i from query slot i.

    True within each example of a packed row; other pairs are masked anyway.

    Args:
      queries, keys: T and S.
      before: how many key slots there are before that of query 0.
      causal: whether pairs ahead are masked, and need no values.
    """

    def __init__(
        self, queries: int, keys: int, *, before: int = 0, causal: bool = False
    ) -> None:
        self.queries, self.keys, self.before = queries, keys, before
        self.causal = causal

    @property
    def distance(self) -> Any:
        """int [1, T, S]."""
        rows = ops.arange(self.queries, dtype="int32")[:, None]
        columns = ops.arange(self.keys, dtype="int32")[None, :]
        return (columns - rows - self.before)[None]

    def span(self, furthest: int | None = None) -> np.ndarray:
        """The R distances that occur, ascending."""
        lowest = 1 - self.queries - self.before
        highest = self.keys - 1 - self.before
        return np.arange(lowest, (0 if self.causal else highest) + 1)

    def spread(self, x: Any, span: np.ndarray) -> Any:
        """[..., T, R] -> [..., T, S]: of each distance to each pair."""
        *lead, queries, known = ops.shape(x)
        wide = self.queries + self.keys  # one more than there are distances
        x = ops.pad(x, [*[[0, 0]] * (len(lead) + 1), [0, wide - known]])
        flat = ops.reshape(x, (*lead, queries * wide))
        # In steps of one less than its width, each row begins one column earlier.
        flat = flat[..., queries - 1 : queries - 1 + queries * (wide - 1)]
        return ops.reshape(flat, (*lead, queries, wide - 1))[..., : self.keys]

    def collect(self, x: Any, span: np.ndarray) -> Any:
        """[..., T, S] -> [..., T, R]: the transpose of `spread`."""
        *lead, queries, _ = ops.shape(x)
        wide, none = self.queries + self.keys, [[0, 0]] * len(lead)
        x = ops.pad(x, [*none, [0, 0], [0, wide - 1 - self.keys]])
        flat = ops.reshape(x, (*lead, queries * (wide - 1)))
        flat = ops.pad(flat, [*none, [queries - 1, 1]])
        return ops.reshape(flat, (*lead, queries, wide))[..., : len(span)]


class Placed:
    """Queries and keys stand where their positions say, such as in a tree of slots.

    Args:
      queries, keys: positions, int [B, T] and [B, S].
      causal: whether pairs ahead are masked, and need no values.
    """

    def __init__(self, queries: Any, keys: Any, *, causal: bool = False) -> None:
        self.distance = keys[:, None, :] - queries[:, :, None]  # [B, T, S]
        self.keys, self.causal = keys.shape[1], causal

    def span(self, furthest: int | None = None) -> np.ndarray:
        """R distances, ascending; those beyond `furthest` share the last."""
        most = self.keys - 1 if furthest is None else furthest
        return np.arange(-most, (0 if self.causal else most) + 1)

    def _index(self, span: np.ndarray) -> Any:
        lowest, highest = int(span[0]), int(span[-1])
        return ops.clip(self.distance, lowest, highest) - lowest

    def spread(self, x: Any, span: np.ndarray) -> Any:
        """[B, H, T, R] -> [B, H, T, S]: of each distance to each pair."""
        index = self._index(span)[:, None]
        index = ops.broadcast_to(index, (*x.shape[:-1], index.shape[-1]))
        return ops.take_along_axis(x, index, axis=-1)

    def collect(self, x: Any, span: np.ndarray) -> Any:
        """[B, H, T, S] -> [B, H, T, R]: the transpose of `spread`."""
        hits = ops.one_hot(self._index(span), len(span), dtype=x.dtype)
        return ops.einsum("bhts,btsr->bhtr", x, hits)


Distances = Aligned | Placed
