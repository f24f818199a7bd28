"""Token embeddings, scaled by √D, and the logits that share their table.

Press and Wolf (arXiv:1608.05859); scaling as in arXiv:1706.03762 section 3.4.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops


class Embedding(keras.layers.Layer):
    """ids [B, T] -> [B, T, D], and back to logits [B, T, V].

    Args:
      scale: whether vectors are multiplied by √D.
      start: whether id 0, padding and what comes before the first token, has a vector
        of its own; else it is zero.
      bias: whether logits have a bias, which is not trained: published models have it
        for ids that are never told.
      tied: whether logits share the table; else they have one of their own.
      levels: as `Feature` has them: codes share a vector for each level of each of
        their numbers, so what is learned of one is known of those like it.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        *,
        levels: tuple[int, ...] = (),
        scale: bool = True,
        start: bool = False,
        bias: bool = False,
        tied: bool = True,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.scale, self.start, self.with_bias, self.tied = scale, start, bias, tied
        self.vocab_size, self.hidden_size, self.levels = vocab_size, hidden_size, levels

    def build(self, ids_shape: Any) -> None:
        random = keras.initializers.RandomNormal(stddev=self.hidden_size**-0.5)
        shape = (self.vocab_size, self.hidden_size)
        self.own = self.add_weight(shape=shape, initializer=random, name="table")
        if not self.tied:
            self.softmax = self.add_weight(
                shape=shape, initializer=random, name="softmax"
            )
        if self.with_bias:
            self.bias = self.add_weight(
                shape=shape[:1], initializer="zeros", trainable=False, name="bias"
            )
        if self.levels:
            shape = (sum(self.levels), self.hidden_size)
            self.shared = self.add_weight(
                shape=shape, initializer=random, name="shared"
            )

    @property
    def table(self) -> Any:
        """[V, D]; codes are the sum of what is their own and what they share."""
        if not self.levels:
            return self.own
        own = ops.convert_to_tensor(self.own)
        shares = _shares(self.levels)
        each = 1.0 + len(self.levels)  # vectors that are summed: as long as any other's
        codes = own[-len(shares) :] + ops.matmul(shares, self.shared)
        return ops.concatenate([own[: -len(shares)], codes * each**-0.5], axis=0)

    def call(self, ids: Any) -> Any:
        """Vectors of unit variance where they are scaled."""
        vectors = ops.take(self.table, ids, axis=0)
        if self.scale:
            vectors = vectors * self.hidden_size**0.5
        if self.start:
            return ops.cast(vectors, self.compute_dtype)
        present = ops.cast(ids != 0, vectors.dtype)
        return ops.cast(vectors * present[..., None], self.compute_dtype)

    def logits(self, x: Any) -> Any:
        """[B, T, D] -> [B, T, V], float32."""
        table = ops.cast(self.table if self.tied else self.softmax, x.dtype)
        logits = ops.cast(ops.matmul(x, ops.transpose(table)), "float32")
        return logits + self.bias if self.with_bias else logits


class ClassToken(keras.layers.Layer):
    """Puts a learned vector before each sequence: [B, T, D] -> [B, 1 + T, D]."""

    def __init__(self, size: int, *, name: str) -> None:
        super().__init__(name=name)
        self.size = size

    def build(self, input_shape: Any = None) -> None:
        self.vector = self.add_weight(
            name="vector", shape=(self.size,), initializer="zeros"
        )

    def call(self, x: Any) -> Any:
        token = ops.cast(self.vector, x.dtype)
        token = ops.broadcast_to(token, (ops.shape(x)[0], 1, self.size))
        return ops.concatenate([token, x], axis=1)


def _shares(levels: tuple[int, ...]) -> np.ndarray:
    """float32 [codes, Σ levels]: 1 for each level that a code has."""
    codes, found, base = np.arange(math.prod(levels)), [], 1
    for count in levels:
        found.append(np.eye(count, dtype=np.float32)[codes // base % count])
        base *= count
    return np.concatenate(found, axis=1)


def shift_right(ids: Any, positions: Any) -> Any:
    """A decoder's input: each packed example moved by one, starting with 0."""
    shifted = ops.pad(ids, [[0, 0], [1, 0]])[:, :-1]
    return ops.where(positions == 0, 0, shifted)
