"""Token embeddings, scaled by √D, and the logits that share their table.

Press and Wolf (arXiv:1608.05859); scaling as in arXiv:1706.03762 section 3.4.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Embedding(keras.layers.Layer):
    """ids [B, T] -> [B, T, D], and back to logits [B, T, V]."""

    def __init__(self, vocab_size: int, hidden_size: int, *, name: str) -> None:
        super().__init__(name=name)
        self.vocab_size, self.hidden_size = vocab_size, hidden_size

    def build(self, ids_shape: Any) -> None:
        self.table = self.add_weight(
            shape=(self.vocab_size, self.hidden_size),
            initializer=keras.initializers.RandomNormal(stddev=self.hidden_size**-0.5),
            name="table",
        )

    def call(self, ids: Any) -> Any:
        """Vectors of unit variance; padding (id 0) is a zero vector."""
        vectors = ops.take(self.table, ids, axis=0) * self.hidden_size**0.5
        present = ops.cast(ids != 0, vectors.dtype)
        return ops.cast(vectors * present[..., None], self.compute_dtype)

    def logits(self, x: Any) -> Any:
        """[B, T, D] -> [B, T, V] with the same table."""
        table = ops.cast(self.table, x.dtype)
        return ops.cast(ops.matmul(x, ops.transpose(table)), "float32")


def shift_right(ids: Any, positions: Any) -> Any:
    """A decoder's input: each packed example moved by one, starting with 0."""
    shifted = ops.pad(ids, [[0, 0], [1, 0]])[:, :-1]
    return ops.where(positions == 0, 0, shifted)
