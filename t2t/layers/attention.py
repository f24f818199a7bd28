"""One attention layer for all: masks, grouped queries, positions, cached decoding.

Vaswani et al. (arXiv:1706.03762) eq. 1; grouped queries as in GQA
(arXiv:2305.13245). Axis letters as in `t2t.layers`.

The surprise: decoding is the same call. `cache` holds keys and values of S slots,
the view's `slot` says where the T new ones are written, and its mask says which slots
each query may see. A prefill writes T > 1 tokens, a beam of W hypotheses writes T = W
tokens a step, and which slots are ancestors of which hypothesis is in the mask:
beams never copy a cache (see t2t.decode.search).

Trap: mask with `where`. Adding a [1, 1, T, T] bias in graph mode is hundreds of
times slower in oneDNN's fused kernel.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t.layers.composite import Composite
from t2t.layers.dropout import Dropout
from t2t.layers.norm import make_norm
from t2t.layers.position import rotate
from t2t.layers.view import View

MASKED = -1e9

Pair = tuple[Any, Any]


class Attention(Composite):
    """Multi-head attention over its own input, or over a memory.

    Args:
      hidden_size: D of input and output.
      num_heads: H.
      num_kv_heads: G, which divides H; None for H.
      head_size: K; None for D / H.
      dropout: rate on the attention weights.
      biases: whether the four projections have them.
      rotary: whether queries and keys are rotated by their positions.
      relative: a layer of `t2t.layers.relative` that gives vectors of distances.
      normed: whether the queries and keys of each head are RMS-normalised, which
        keeps their products bounded (QK-norm, arXiv:2302.05442).
      softcap: c: logits become c·tanh(logits / c) (Gemma 2, arXiv:2408.00118);
        None for as they are.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        num_heads: int,
        num_kv_heads: int | None = None,
        head_size: int | None = None,
        dropout: float = 0.0,
        biases: bool = False,
        rotary: bool = False,
        relative: Any = None,
        normed: bool = False,
        softcap: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads or num_heads
        if hidden_size % num_heads and head_size is None:
            raise ValueError(
                f"hidden_size {hidden_size} is no multiple of num_heads {num_heads}"
            )
        if num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads {num_heads} is no multiple of num_kv_heads "
                f"{self.num_kv_heads}"
            )
        self.head_size = head_size or hidden_size // num_heads
        self.biases = biases
        self.rotary, self.relative, self.softcap = rotary, relative, softcap
        self.query = self._projection(self.num_heads * self.head_size, "query")
        self.key = self._projection(self.num_kv_heads * self.head_size, "key")
        self.value = self._projection(self.num_kv_heads * self.head_size, "value")
        self.output_projection = self._projection(hidden_size, "output")
        kind = "rms" if normed else "none"
        self.query_norm = make_norm(kind, name="query_norm")
        self.key_norm = make_norm(kind, name="key_norm")
        self.dropout = Dropout(dropout, name="dropout")

    def _projection(self, size: int, name: str) -> keras.layers.Layer:
        return keras.layers.Dense(
            size, use_bias=self.biases, kernel_initializer="glorot_uniform", name=name
        )

    def _heads(self, x: Any, heads: int) -> Any:
        return ops.reshape(x, (*ops.shape(x)[:2], heads, self.head_size))

    def keys_values(self, memory: Any, view: View | None = None) -> Pair:
        """Keys and values [B, G, S, K] of a memory [B, S, D], or of its frames.

        Heads stand before slots, so that a decoding step reads its cache as it lies.
        """
        key = self.key_norm(self._heads(self.key(memory), self.num_kv_heads))
        value = self._heads(self.value(memory), self.num_kv_heads)
        if view is not None and self.rotary:
            key = rotate(key, view.positions)
        if view is not None and view.frames is not None:
            key, value = view.frames.keys(key), view.frames.keys(value)
        return ops.transpose(key, (0, 2, 1, 3)), ops.transpose(value, (0, 2, 1, 3))

    def empty_cache(self, rows: int, slots: int, dtype: str) -> dict[str, Any]:
        """Keys and values of zeros, [B, G, S, K]."""
        size = (rows, self.num_kv_heads, slots, self.head_size)
        return {"key": ops.zeros(size, dtype), "value": ops.zeros(size, dtype)}

    def call(
        self,
        x: Any,
        *,
        view: View,
        memory: Any = None,
        cache: dict[str, Any] | None = None,
        training: bool = False,
    ) -> tuple[Any, Any, dict[str, Any] | None]:
        """Attends, and with a cache remembers.

        Args:
          x: queries [B, T, D].
          memory: [B, S, D] to attend over; None for x itself.
          cache: {'key', 'value'}: [B, G, S, K]. Where the view has a slot the T new
            keys and values are written there first; else it is a finished memory.

        Returns:
          (output [B, T, D], weights [B, H, T, S], the new cache or None).
        """
        query = self.query_norm(self._heads(self.query(x), self.num_heads))
        constant = None
        if memory is not None or (cache is not None and view.slot is None):
            pair = self.keys_values(memory) if cache is None else _pair(cache)
        else:
            if self.rotary:
                query = rotate(query, view.positions)
            pair = self.keys_values(x, view)
            if training and view.constant is not None:
                constant = self.keys_values(ops.stop_gradient(x), view)
        if cache is not None and view.slot is not None:
            cache = {
                "key": _write(cache["key"], pair[0], view.slot),
                "value": _write(cache["value"], pair[1], view.slot),
            }
            # The caller may look at the first slots only: the others are empty.
            seen = view.visible.shape[-1]
            pair = cache["key"][:, :, :seen], cache["value"][:, :, :seen]
        if view.frames is not None:
            query = view.frames.queries(query)
        output, weights = self._attend(query, pair, constant, view, training)
        if view.frames is not None:
            output = view.frames.merge(output)
        size = self.num_heads * self.head_size
        output = ops.reshape(output, (*ops.shape(x)[:2], size))
        return self.output_projection(output), weights, cache

    def _attend(
        self, query: Any, pair: Pair, constant: Pair | None, view: View, training: bool
    ) -> tuple[Any, Any]:
        """(values [B, T, H, K], weights [B, H, T, S]) of queries [B, T, H, K].

        Args:
          constant: the keys and values that stand for those of `pair` where
            `view.constant` says so.
        """
        key, value = map(self._for_heads, pair)
        scale, relative, distant = self.head_size**-0.5, self.relative, 0.0
        content = query
        if relative is not None:
            distant = relative(query, between=view.between) * scale
            content = relative.content(query)
        logits = _products(content * scale, key)
        if constant is not None:
            fixed_key, fixed_value = map(self._for_heads, constant)
            fixed = view.constant[:, None]  # [B, 1, T, S]
            logits = ops.where(fixed, _products(content * scale, fixed_key), logits)
        weights = self._weights(logits + distant, view)
        kept = ops.cast(self.dropout(weights, training=training), value.dtype)
        if constant is not None:
            moving = ops.where(fixed, 0.0, kept)
            output = _averages(moving, value) + _averages(kept - moving, fixed_value)
        else:
            output = _averages(kept, value)
        if relative is not None:
            output = relative.add_values(output, kept, view.between)
        return output, weights

    def _weights(self, logits: Any, view: View) -> Any:
        """Softmax over the visible keys, in float32; a query that sees nothing
        spreads evenly, and is ignored."""
        logits = ops.cast(logits, "float32")
        if view.bias is not None:
            logits = logits + ops.cast(view.bias, "float32")
        if self.softcap is not None:
            logits = self.softcap * ops.tanh(logits / self.softcap)
        return ops.softmax(ops.where(view.visible[:, None], logits, MASKED), axis=-1)

    def _for_heads(self, x: Any) -> Any:
        """[B, G, S, K] -> [B, H, S, K]."""
        if self.num_kv_heads == self.num_heads:
            return x
        return ops.repeat(x, self.num_heads // self.num_kv_heads, axis=1)


def _products(query: Any, key: Any) -> Any:
    return ops.einsum("bthk,bhsk->bhts", query, key)


def _averages(weights: Any, value: Any) -> Any:
    return ops.einsum("bhts,bhsk->bthk", weights, value)


def _pair(cache: dict[str, Any]) -> Pair:
    return cache["key"], cache["value"]


def _write(slots: Any, new: Any, slot: Any) -> Any:
    """Writes new [B, G, T, K] into slots [B, G, S, K] from `slot` on."""
    return ops.slice_update(slots, (0, 0, slot, 0), ops.cast(new, slots.dtype))
