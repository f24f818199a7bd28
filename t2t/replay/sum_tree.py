"""A sum tree in numpy: draw an index in proportion to its weight.

Parents are recomputed from their children, never adjusted by differences, so no
rounding error builds up and an index may occur twice in one update.
"""

from __future__ import annotations

import numpy as np

FEW = 8  # for which a loop over the levels is quicker than numpy


class SumTree:
    """Weights of `size` leaves, all 0 at first."""

    def __init__(self, size: int) -> None:
        self._depth = max(1, (size - 1).bit_length())
        self._first = 1 << self._depth  # the number of the first leaf; the root is 1
        self._nodes = np.zeros(2 * self._first, np.float64)

    @property
    def total(self) -> float:
        return float(self._nodes[1])

    @property
    def leaves(self) -> np.ndarray:
        """The weights of all, and zeros up to a power of two; not to be written to."""
        return self._nodes[self._first :]

    def weights(self, leaves: np.ndarray) -> np.ndarray:
        return self._nodes[leaves + self._first]

    def update(self, leaves: np.ndarray, weights: np.ndarray) -> None:
        """Sets weights, each at least 0; of an index given twice the last counts."""
        nodes = leaves + self._first
        self._nodes[nodes] = weights
        if len(nodes) <= FEW:
            for node in nodes.tolist():
                self._mend(node)
            return
        for _ in range(self._depth):
            nodes = nodes >> 1
            left = nodes << 1
            self._nodes[nodes] = self._nodes[left] + self._nodes[left + 1]

    def find(self, shares: np.ndarray) -> np.ndarray:
        """The leaf at each share of the total, shares in [0, 1)."""
        if len(shares) <= FEW:
            return np.array([self._walk(share) for share in shares.tolist()], np.int64)
        rest = shares * self._nodes[1]
        nodes = np.ones(len(shares), np.int64)
        for _ in range(self._depth):
            nodes = nodes << 1
            left = self._nodes[nodes]
            # Rounding must never lead to a leaf without weight.
            right = (rest >= left) & (self._nodes[nodes + 1] > 0)
            rest -= np.where(right, left, 0.0)
            nodes += right
        return nodes - self._first

    def _mend(self, node: int) -> None:
        """Recomputes what lies above a leaf."""
        nodes = self._nodes
        while node > 1:
            node >>= 1
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1]

    def _walk(self, share: float) -> int:
        """`find` for one share."""
        nodes, node = self._nodes, 1
        rest = share * float(nodes[1])
        while node < self._first:
            node *= 2
            left = float(nodes[node])
            if rest >= left and nodes[node + 1] > 0:
                rest -= left
                node += 1
        return node - self._first
