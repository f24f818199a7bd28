"""One attention layer for all: masks, grouped queries, positions, cached decoding.

Vaswani et al. (arXiv:1706.03762) eq. 1; grouped queries as in GQA
(arXiv:2305.13245). Axis letters as in `t2t.layers`.

The surprise: decoding is the same call. `cache` holds keys and values of S slots,
`slot` says where the T new ones are written, and the mask says which slots each
query may see. A prefill writes T > 1 tokens, a beam of W hypotheses writes T = W
tokens a step, and which slots are ancestors of which hypothesis is in the mask:
beams never copy a cache (see t2t.decode.search).

Trap: mask with `where`. Adding a [1, 1, T, T] bias in graph mode is hundreds of
times slower in oneDNN's fused kernel.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t.layers.dropout import Dropout
from t2t.layers.norm import make_norm
from t2t.layers.position import rotate

MASKED = -1e9


def attention_mask(
    query_segments: Any,
    key_segments: Any,
    *,
    causal: bool = False,
    window: int | None = None,
) -> Any:
    """Who may look at whom: bool [B, T, S].

    A query sees keys of its own segment (packed rows hold many; 0 is padding),
    no later ones when `causal`, none `window` or more positions away.
    """
    mask = ops.equal(query_segments[:, :, None], key_segments[:, None, :])
    mask = ops.logical_and(mask, key_segments[:, None, :] > 0)
    if causal or window is not None:
        rows = ops.arange(query_segments.shape[1], dtype="int32")[:, None]
        columns = ops.arange(key_segments.shape[1], dtype="int32")[None, :]
        if causal:
            mask = ops.logical_and(mask, (columns <= rows)[None])
        if window is not None:
            near = ops.abs(rows - columns) < window
            mask = ops.logical_and(mask, near[None])
    return mask


def attention_weights(query: Any, key: Any, visible: Any, *, bias: Any = None) -> Any:
    """softmax(QKᵀ/√K) over the visible keys, in float32.

    Args:
      query: [B, T, H, K].
      key: [B, H, S, K].
      visible: bool [B, T, S].
      bias: [B, H, T, S] added to the logits, or None.

    Returns:
      [B, H, T, S]; a query that sees nothing spreads evenly, and is ignored.
    """
    logits = ops.einsum("bthk,bhsk->bhts", query * query.shape[-1] ** -0.5, key)
    logits = ops.cast(logits, "float32")
    if bias is not None:
        logits = logits + ops.cast(bias, "float32")
    return ops.softmax(ops.where(visible[:, None], logits, MASKED), axis=-1)


class Attention(keras.layers.Layer):
    """Multi-head attention over its own input, or over a memory.

    Args:
      hidden_size: D of input and output.
      num_heads: H.
      num_kv_heads: G, which divides H; None for H.
      head_size: K; None for D / H.
      dropout: rate on the attention weights.
      rotary: whether queries and keys are rotated by their positions.
      normed: whether the queries and keys of each head are RMS-normalised, which
        keeps their products bounded (QK-norm, arXiv:2302.05442).
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        num_heads: int,
        num_kv_heads: int | None = None,
        head_size: int | None = None,
        dropout: float = 0.0,
        rotary: bool = False,
        normed: bool = False,
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
        self.rotary = rotary
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
            size, use_bias=False, kernel_initializer="glorot_uniform", name=name
        )

    def _heads(self, x: Any, heads: int) -> Any:
        return ops.reshape(x, (*ops.shape(x)[:2], heads, self.head_size))

    def keys_values(self, memory: Any, positions: Any = None) -> tuple[Any, Any]:
        """Keys and values [B, G, S, K] of a memory [B, S, D].

        Heads stand before slots, so that a decoding step reads its cache as it lies.
        """
        key = self.key_norm(self._heads(self.key(memory), self.num_kv_heads))
        if self.rotary and positions is not None:
            key = rotate(key, positions)
        value = self._heads(self.value(memory), self.num_kv_heads)
        return ops.transpose(key, (0, 2, 1, 3)), ops.transpose(value, (0, 2, 1, 3))

    def call(
        self,
        x: Any,
        *,
        visible: Any,
        memory: Any = None,
        positions: Any = None,
        bias: Any = None,
        training: bool = False,
        cache: dict[str, Any] | None = None,
        slot: Any = None,
    ) -> tuple[Any, Any, dict[str, Any] | None]:
        """Attends, and with a cache remembers.

        Args:
          x: queries [B, T, D].
          visible: bool [B, T, S], which keys each query may see; with a cache, of
            its first S slots. (Not `mask`: Keras attaches that to outputs.)
          memory: [B, S, D] to attend over; None for x itself.
          positions: int [B, T] of x, or [B, T, 3] places, for rotary self-attention.
          bias: [B, H, T, S] or None.
          cache: {'key', 'value'}: [B, G, S, K]. With `slot` the T new keys and
            values are written there first; without, it is a finished memory.
          slot: int scalar, the first slot to write.

        Returns:
          (output [B, T, D], weights [B, H, T, S], the new cache or None).
        """
        query = self.query_norm(self._heads(self.query(x), self.num_heads))
        if self.rotary and memory is None:
            query = rotate(query, positions)
        if cache is not None and slot is None:
            key, value = cache["key"], cache["value"]
        elif memory is not None:
            key, value = self.keys_values(memory)
        else:
            key, value = self.keys_values(x, positions)
        if cache is not None and slot is not None:
            key = _write(cache["key"], key, slot)
            value = _write(cache["value"], value, slot)
            cache = {"key": key, "value": value}
            # The caller may look at the first slots only: the others are empty.
            seen = visible.shape[-1]
            key, value = key[:, :, :seen], value[:, :, :seen]
        if self.num_kv_heads != self.num_heads:
            repeats = self.num_heads // self.num_kv_heads
            key = ops.repeat(key, repeats, axis=1)
            value = ops.repeat(value, repeats, axis=1)
        weights = attention_weights(query, key, visible, bias=bias)
        kept = ops.cast(self.dropout(weights, training=training), value.dtype)
        output = ops.einsum("bhts,bhsk->bthk", kept, value)
        output = ops.reshape(
            output, (*ops.shape(x)[:2], self.num_heads * self.head_size)
        )
        return self.output_projection(output), weights, cache


def _write(slots: Any, new: Any, slot: Any) -> Any:
    """Writes new [B, G, T, K] into slots [B, G, S, K] from `slot` on."""
    return ops.slice_update(slots, (0, 0, slot, 0), ops.cast(new, slots.dtype))
