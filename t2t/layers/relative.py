"""Positions by distance: biases on the logits, and vectors beside keys and values.

| position | source | what is added |
|---|---|---|
| relative | T5, arXiv:1910.10683 | a learned bias by head and bucket of distance |
| alibi | arXiv:2108.12409 | a bias that falls with the distance, steeper by head |
| relative_vectors | Shaw et al., arXiv:1803.02155 | vectors to keys and values |
| relative_keys | Music Transformer, arXiv:1809.04281 | vectors by head to keys |
| relative_sinusoid | Transformer-XL, arXiv:1901.02860 | projected sinusoids to keys |

`relative_vectors` is Tensor2Tensor's `dot_product_relative`, `relative_keys` its
`dot_product_relative_v2`. Biases are shared by a stack, vectors belong to a layer.

Axis letters: B batch, T queries, S keys, R distances, H heads, K head size, D model.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from t2t.layers.distance import Distances
from t2t.layers.position import sinusoids

BIASES = ("relative", "alibi")
VECTORS = ("relative_vectors", "relative_keys", "relative_sinusoid")


class RelativeBias(keras.layers.Layer):
    """A trained bias for each head and bucket of distance (T5, arXiv:1910.10683).

    Half of the buckets are exact distances, the others grow logarithmically up
    to `max_distance`; shared by all layers of a stack.
    """

    def __init__(
        self,
        num_heads: int,
        *,
        bidirectional: bool,
        buckets: int = 32,
        max_distance: int = 128,
        name: str = "relative_bias",
    ) -> None:
        super().__init__(name=name)
        self.num_heads, self.bidirectional = num_heads, bidirectional
        self.buckets, self.max_distance = buckets, max_distance

    def build(self, input_shape: Any = None) -> None:
        self.table = self.add_weight(
            shape=(self.buckets, self.num_heads),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="table",
        )
        self.built = True

    def bucket(self, distance: np.ndarray) -> np.ndarray:
        """The bucket of (key position - query position), int of any shape."""
        count, offset = self.buckets, np.zeros_like(distance)
        if self.bidirectional:
            count //= 2
            offset = np.where(distance > 0, count, 0)
            distance = np.abs(distance)
        else:
            distance = np.maximum(-distance, 0)
        exact = count // 2
        far = np.log(np.maximum(distance, 1).astype(np.float32) / exact)
        far = far / np.float32(math.log(self.max_distance / exact)) * (count - exact)
        far = np.minimum(exact + far.astype(int), count - 1)
        return offset + np.where(distance < exact, distance, far)

    def call(self, *, between: Distances) -> Any:
        """[B or 1, H, T, S]."""
        span = between.span(self.max_distance)
        values = ops.take(self.table, self.bucket(span), axis=0)  # [R, H]
        return _of_pairs(values, span, between)


class Alibi(keras.layers.Layer):
    """-slope · distance, with a slope of each head (arXiv:2108.12409).

    For H a power of two the slopes are 2^(-8/H), 2^(-16/H), …; else those of the
    next lower power and every second one of the next higher.
    """

    def __init__(self, num_heads: int, *, name: str = "alibi") -> None:
        super().__init__(name=name)
        self.slopes = np.array(slopes(num_heads), np.float32)
        self.built = True

    def call(self, *, between: Distances) -> Any:
        """[B or 1, H, T, S]."""
        span = between.span()
        values = -np.abs(span)[:, None].astype(np.float32) * self.slopes  # [R, H]
        return _of_pairs(ops.convert_to_tensor(values), span, between)


def slopes(num_heads: int) -> list[float]:
    """Of ALiBi, by head."""
    lower = 2 ** int(math.log2(num_heads))
    found = [2.0 ** (-8.0 * (i + 1) / lower) for i in range(lower)]
    if lower < num_heads:
        found += slopes(2 * lower)[::2][: num_heads - lower]
    return found


def _of_pairs(values: Any, span: np.ndarray, between: Distances) -> Any:
    """[R, H] -> [B or 1, H, T, S]."""
    rows, queries = between.distance.shape[:2]
    values = ops.transpose(values)[None, :, None]  # [1, H, 1, R]
    heads, count = values.shape[1], values.shape[3]
    values = ops.broadcast_to(values, (rows, heads, queries, count))
    return between.spread(values, span)


class RelativeVectors(keras.layers.Layer):
    """Learned vectors of distances, added to keys and perhaps values.

    Args:
      num_heads: H where each head has its own, 0 where all share them.
      head_size: K.
      furthest: the last distance with a vector.
      causal: whether only distances to what is behind have one.
      clipped: whether those beyond share the last vector (Shaw) or have none.
      values: whether values have them, too.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        head_size: int,
        furthest: int,
        causal: bool,
        clipped: bool,
        values: bool,
        name: str = "relative",
    ) -> None:
        super().__init__(name=name)
        self.num_heads, self.head_size = num_heads, head_size
        self.furthest, self.clipped, self.values = furthest, clipped, values
        self.highest = 0 if causal else furthest

    def build(self, input_shape: Any = None) -> None:
        count = self.furthest + 1 + self.highest
        lead = (self.num_heads,) if self.num_heads else ()
        for part in ("keys", "values") if self.values else ("keys",):
            table = self.add_weight(
                shape=(*lead, count, self.head_size),
                initializer=keras.initializers.RandomNormal(
                    stddev=self.head_size**-0.5
                ),
                name=part,
            )
            setattr(self, f"{part}_table", table)
        self.built = True

    def _of(self, table: Any, span: np.ndarray) -> Any:
        """[R, K] or [H, R, K]."""
        index = np.clip(span, -self.furthest, self.highest)
        vectors = ops.take(table, index + self.furthest, axis=-2)
        if not self.clipped:
            known = (index == span).astype(np.float32)[:, None]
            vectors = vectors * ops.cast(known, vectors.dtype)
        return vectors

    def content(self, query: Any) -> Any:
        """What is multiplied with keys."""
        return query

    def call(self, query: Any, *, between: Distances) -> Any:
        """Queries [B, T, H, K] times the vectors of keys: [B, H, T, S]."""
        span = between.span(self.furthest + 1)
        vectors = ops.cast(self._of(self.keys_table, span), query.dtype)
        axes = "hrk" if self.num_heads else "rk"
        products = ops.einsum(f"bthk,{axes}->bhtr", query, vectors)
        return between.spread(products, span)

    def add_values(self, output: Any, weights: Any, between: Distances) -> Any:
        """output [B, T, H, K] + weights [B, H, T, S] times the vectors of values."""
        if not self.values:
            return output
        span = between.span(self.furthest + 1)
        vectors = ops.cast(self._of(self.values_table, span), output.dtype)
        weights = between.collect(weights, span)  # [B, H, T, R]
        axes = "hrk" if self.num_heads else "rk"
        return output + ops.einsum(f"bhtr,{axes}->bthk", weights, vectors)


class RelativeSinusoids(keras.layers.Layer):
    """Transformer-XL's positions (arXiv:1901.02860, section 3.3).

    The logit of a pair is (q + u)·k + (q + v)·W r, where r are the sinusoids of its
    distance; u and v are those of this layer.
    """

    def __init__(
        self, hidden_size: int, *, num_heads: int, head_size: int, name: str
    ) -> None:
        super().__init__(name=name)
        self.shape, self.hidden_size = (num_heads, head_size), hidden_size
        self.project = keras.layers.Dense(
            num_heads * head_size, use_bias=False, name="project"
        )

    def build(self, input_shape: Any = None) -> None:
        self.project.build((None, self.hidden_size))
        small = keras.initializers.RandomNormal(stddev=0.02)
        self.content_bias, self.position_bias = (
            self.add_weight(shape=self.shape, initializer=small, name=name)
            for name in ("content_bias", "position_bias")
        )
        self.built = True

    def content(self, query: Any) -> Any:
        return query + ops.cast(self.content_bias, query.dtype)

    def call(self, query: Any, *, between: Distances) -> Any:
        """Queries [B, T, H, K] times the vectors of keys: [B, H, T, S]."""
        span = between.span()
        vectors = self.project(sinusoids(-span[None], self.hidden_size))[0]
        vectors = ops.cast(ops.reshape(vectors, (-1, *self.shape)), query.dtype)
        query = query + ops.cast(self.position_bias, query.dtype)
        return between.spread(ops.einsum("bthk,rhk->bhtr", query, vectors), span)

    def add_values(self, output: Any, weights: Any, between: Distances) -> Any:
        return output


def make_bias(position: str, num_heads: int, *, causal: bool) -> Any:
    """The bias layer of a stack whose position is one of `BIASES`."""
    if position == "alibi":
        return Alibi(num_heads)
    return RelativeBias(num_heads, bidirectional=not causal)


def make_vectors(
    position: str,
    hidden_size: int,
    *,
    num_heads: int,
    furthest: int,
    causal: bool,
) -> Any:
    """The vectors of one self-attention whose position is one of `VECTORS`.

    Args:
      furthest: distances with vectors of their own: up to so far for
        `relative_vectors` (T2T's 2·max_relative_position + 1), so many on each side,
        0 included, for `relative_keys`.
    """
    head_size = hidden_size // num_heads
    if position == "relative_sinusoid":
        return RelativeSinusoids(
            hidden_size, num_heads=num_heads, head_size=head_size, name="relative"
        )
    shaw = position == "relative_vectors"
    return RelativeVectors(
        num_heads=0 if shaw else num_heads,
        head_size=head_size,
        furthest=furthest if shaw else furthest - 1,
        causal=causal and not shaw,
        clipped=shaw,
        values=shaw,
    )
