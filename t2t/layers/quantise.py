"""Vectors as a few whole numbers, and back: what turns sound and pictures into tokens.

Gradients pass straight through the rounding (Bengio et al., arXiv:1308.3432).
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


class FiniteScalar(keras.layers.Layer):
    """Finite scalar quantisation (Mentzer et al., arXiv:2309.15505), in groups.

    Each number is squashed and rounded to one of few levels; a group of numbers is
    one code, a book. Nothing is learned here, so no codebook can collapse.

    Args:
      levels: of each number of a group; their product is the size of a book.
      books: K groups.
    """

    def __init__(
        self, levels: tuple[int, ...], *, books: int, name: str = "quantiser"
    ) -> None:
        super().__init__(name=name)
        self.levels, self.books = tuple(levels), books
        self.book_size = math.prod(levels)
        self.size = len(levels) * books  # numbers that a vector has
        self.built = True

    def call(self, x: Any, *, training: bool = False) -> tuple[Any, Any, Any]:
        """[..., size] -> (rounded, within ±1; codes int [..., K]; a loss of 0)."""
        x = ops.cast(x, "float32")
        groups = ops.reshape(x, (*x.shape[:-1], self.books, len(self.levels)))
        levels = ops.convert_to_tensor(self.levels, "float32")
        # An even number of levels lies half a step off centre, so that all are used.
        half = (levels - 1.0) * (1.0 - 1e-3) / 2.0
        offset = ops.where(levels % 2 == 0, 0.5, 0.0)
        shift = ops.arctanh(offset / half)
        bounded = ops.tanh(groups + shift) * half - offset
        rounded = bounded + ops.stop_gradient(ops.round(bounded) - bounded)
        width = ops.floor(levels / 2.0)
        digits = ops.cast(ops.round(bounded) + width, "int32")
        codes = ops.sum(digits * self._bases(), axis=-1)
        return ops.reshape(rounded / width, x.shape), codes, ops.zeros(())

    def vectors(self, codes: Any) -> Any:
        """Codes int [..., K] as the rounded vectors [..., size]."""
        levels = ops.convert_to_tensor(self.levels, "int32")
        digits = (codes[..., None] // self._bases()) % levels
        width = ops.floor(ops.cast(levels, "float32") / 2.0)
        values = (ops.cast(digits, "float32") - width) / width
        return ops.reshape(values, (*codes.shape[:-1], self.size))

    def nearest(self, vectors: Any) -> Any:
        """Vectors [..., size] as the codes int [..., K] that lie nearest."""
        groups = ops.reshape(
            vectors, (*vectors.shape[:-1], self.books, len(self.levels))
        )
        levels = ops.convert_to_tensor(self.levels, "float32")
        width = ops.floor(levels / 2.0)
        digits = ops.clip(ops.round(groups * width + width), 0.0, levels - 1.0)
        return ops.sum(ops.cast(digits, "int32") * self._bases(), axis=-1)

    def _bases(self) -> Any:
        bases = [math.prod(self.levels[:i]) for i in range(len(self.levels))]
        return ops.convert_to_tensor(bases, "int32")


class Residual(keras.layers.Layer):
    """Residual vector quantisation: each book codes what those before left over.

    As in SoundStream (Zeghidour et al., arXiv:2107.03312), with codebooks learned by
    gradient as in VQ-VAE (van den Oord et al., arXiv:1711.00937).

    Args:
      size: of a vector.
      books: K.
      book_size: vectors of a book.
      commitment: weight of the loss that keeps vectors near their codes.
    """

    def __init__(
        self,
        size: int,
        *,
        books: int,
        book_size: int,
        commitment: float = 0.25,
        name: str = "quantiser",
    ) -> None:
        super().__init__(name=name)
        self.size, self.books, self.book_size = size, books, book_size
        self.commitment = commitment
        self.tables = [
            self.add_weight(
                name=f"book_{k}",
                shape=(book_size, size),
                initializer=keras.initializers.RandomNormal(stddev=0.5**k),
            )
            for k in range(books)
        ]
        self.built = True

    def call(self, x: Any, *, training: bool = False) -> tuple[Any, Any, Any]:
        """[..., size] -> (the codes' vectors; codes int [..., K]; the books' loss)."""
        left, total, codes, loss = x, ops.zeros_like(x), [], ops.zeros(())
        for table in self.tables:
            table = ops.convert_to_tensor(table)
            square = ops.sum(ops.square(table), axis=-1)
            code = ops.argmin(square - 2.0 * ops.matmul(left, ops.transpose(table)), -1)
            chosen = ops.take(table, code, axis=0)
            loss += ops.mean(ops.square(chosen - ops.stop_gradient(left)))
            near = ops.mean(ops.square(left - ops.stop_gradient(chosen)))
            loss += self.commitment * near
            chosen = ops.stop_gradient(chosen)
            left, total = left - chosen, total + chosen
            codes.append(ops.cast(code, "int32"))
        passed = x + ops.stop_gradient(total - x)
        return passed, ops.stack(codes, axis=-1), loss

    def vectors(self, codes: Any) -> Any:
        """Codes int [..., K] as the sums of their vectors [..., size]."""
        parts = [ops.take(t, codes[..., k], axis=0) for k, t in enumerate(self.tables)]
        return sum(parts[1:], parts[0])
