"""A Transformer block and a stack of them, with or without cross-attention.

Pre-norm is Tensor2Tensor's `layer_preprocess_sequence="n"`, post-norm the paper's
(arXiv:1706.03762); either way a dropout stands before each residual sum.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from t2t import knobs, registry
from t2t.layers.attention import Attention
from t2t.layers.dropout import Dropout
from t2t.layers.feed_forward import FeedForward
from t2t.layers.norm import make_norm
from t2t.layers.position import LearnedPositions, RelativeBias, sinusoids
from t2t.layers.seeds import current_seed, random_seed


@registry.configurable("blocks")
@dataclasses.dataclass(frozen=True)
class BlockShape:
    """The knobs that all blocks of a Transformer share."""

    hidden_size: int
    filter_size: int
    num_heads: int
    num_kv_heads: int | None = None
    activation: str = "relu"
    norm: str = "layer"
    norm_position: str = "pre"
    position: str = "sinusoid"
    qk_norm: bool = False
    window: int | None = None
    dropout: float = 0.0
    attention_dropout: float = 0.0
    relu_dropout: float = 0.0
    max_length: int = 256
    remat: bool = False

    def __post_init__(self) -> None:
        for name in ("norm", "norm_position", "position", "activation"):
            knobs.check_choice(f"blocks.{name}", getattr(self, name))


@dataclasses.dataclass(frozen=True)
class Memory:
    """What cross-attention looks at: values [B, S, D], or each layer's keys and values.

    visible: bool [B, T, S], which memory each query may see.
    caches: one {'key', 'value'} a layer when decoding, else None.
    """

    visible: Any
    values: Any = None
    caches: list[dict[str, Any]] | None = None


class Block(keras.layers.Layer):
    """Self-attention, cross-attention when `cross`, feed-forward."""

    def __init__(self, shape: BlockShape, *, cross: bool = False, name: str) -> None:
        super().__init__(name=name)
        self.shape = shape
        self.self_attention = self._attention("self_attention", rotary=True)
        parts = ["self_attention", "feed_forward"]
        if cross:
            self.cross_attention = self._attention("cross_attention", rotary=False)
            parts.insert(1, "cross_attention")
        self.feed_forward = FeedForward(
            shape.hidden_size,
            filter_size=shape.filter_size,
            activation=shape.activation,
            dropout=shape.relu_dropout,
            name="feed_forward",
        )
        self.norms = [make_norm(shape.norm, name=f"{p}_norm") for p in parts]
        self.dropouts = [Dropout(shape.dropout, name=f"{p}_dropout") for p in parts]

    def _attention(self, name: str, *, rotary: bool) -> Attention:
        shape = self.shape
        return Attention(
            shape.hidden_size,
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            dropout=shape.attention_dropout,
            rotary=rotary and shape.position == "rotary",
            normed=shape.qk_norm,
            name=name,
        )

    def call(
        self,
        x: Any,
        *,
        visible: Any,
        positions: Any,
        bias: Any = None,
        memory: Any = None,
        memory_visible: Any = None,
        memory_cache: Any = None,
        cache: Any = None,
        slot: Any = None,
        training: bool = False,
    ) -> tuple[Any, dict[str, Any], Any]:
        """x [B, T, D] -> (x, attention weights by name, the new cache)."""
        inner: dict[str, Any] = {}
        pre = self.shape.norm_position == "pre"
        part = 0

        def residual(x: Any, sublayer: Any) -> Any:
            nonlocal part
            norm, dropout = self.norms[part], self.dropouts[part]
            part += 1
            y = sublayer(norm(x) if pre else x)
            x = x + dropout(y, training=training)
            return x if pre else norm(x)

        def attend(y: Any) -> Any:
            nonlocal cache
            y, inner["self_attention"], cache = self.self_attention(
                y,
                visible=visible,
                positions=positions,
                bias=bias,
                cache=cache,
                slot=slot,
                training=training,
            )
            return y

        def attend_memory(y: Any) -> Any:
            y, inner["cross_attention"], _ = self.cross_attention(
                y,
                visible=memory_visible,
                memory=memory,
                cache=memory_cache,
                training=training,
            )
            return y

        x = residual(x, attend)
        if memory_visible is not None:
            x = residual(x, attend_memory)
        x = residual(x, lambda y: self.feed_forward(y, training=training))
        inner["output"] = x
        return x, inner, cache


class Stack(keras.layers.Layer):
    """Positions, `num_layers` blocks and, for pre-norm, the final norm.

    The same object runs whole sequences and, with caches, single steps.
    """

    def __init__(
        self,
        shape: BlockShape,
        *,
        num_layers: int,
        causal: bool,
        cross: bool,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.shape, self.causal = shape, causal
        self.blocks = [
            Block(shape, cross=cross, name=f"block_{i}") for i in range(num_layers)
        ]
        self.input_dropout = Dropout(shape.dropout, name="input_dropout")
        final = shape.norm if shape.norm_position == "pre" else "none"
        self.final_norm = make_norm(final, name="final_norm")
        if shape.position == "learned":
            self.learned = LearnedPositions(shape.max_length, shape.hidden_size)
        if shape.position == "relative":
            self.relative = RelativeBias(shape.num_heads, bidirectional=not causal)

    def add_positions(self, x: Any, positions: Any) -> Any:
        if self.shape.position == "sinusoid":
            return x + ops.cast(sinusoids(positions, self.shape.hidden_size), x.dtype)
        if self.shape.position == "learned":
            return x + self.learned(positions)
        return x

    def call(
        self,
        x: Any,
        *,
        visible: Any,
        positions: Any,
        key_positions: Any = None,
        memory: Memory | None = None,
        caches: list[Any] | None = None,
        slot: Any = None,
        training: bool = False,
    ) -> tuple[Any, dict[str, Any], list[Any]]:
        """Runs the blocks.

        Args:
          x: embedded tokens [B, T, D].
          visible: bool [B, T, S], which keys each query may see.
          positions: int [B, T], [B, T, 3] where rotary; `key_positions` int [B, S],
            `positions` if None.
          memory: for cross-attention.
          caches: one a block when decoding; `slot` as in `Attention`.

        Returns:
          (x [B, T, D], inner values by 'block_i/name', new caches).
        """
        x = self.input_dropout(self.add_positions(x, positions), training=training)
        bias = None
        if self.shape.position == "relative":
            keys = positions if key_positions is None else key_positions
            bias = self.relative(positions, keys)
        inner, new_caches = {}, []
        for i, block in enumerate(self.blocks):
            x, block_inner, cache = self._run(
                block,
                x,
                visible=visible,
                positions=positions,
                bias=bias,
                memory=None if memory is None else memory.values,
                memory_visible=None if memory is None else memory.visible,
                memory_cache=memory.caches[i] if memory and memory.caches else None,
                cache=caches[i] if caches is not None else None,
                slot=slot,
                training=training,
            )
            inner.update({f"block_{i}/{n}": v for n, v in block_inner.items()})
            new_caches.append(cache)
        return self.final_norm(x), inner, new_caches

    def _run(self, block: Block, x: Any, **arguments: Any) -> tuple[Any, Any, Any]:
        """One block; with `remat` its inner values are recomputed, not kept."""
        if not (self.shape.remat and arguments["training"]):
            return block(x, **arguments)
        # What is not an argument gets no gradient, and the second run comes when the
        # seed's context is closed.
        names = [n for n in ("bias", "memory") if arguments[n] is not None]
        seed = current_seed()

        def run(x: Any, *values: Any) -> Any:
            given = {**arguments, **dict(zip(names, values, strict=True))}
            with random_seed(seed):
                return block(x, **given)[0]

        return keras.remat(run)(x, *(arguments[n] for n in names)), {}, None

    def empty_caches(self, batch_size: int, slots: int, dtype: str) -> list[Any]:
        """Caches of zeros, [B, G, S, K] a block."""
        caches = []
        for block in self.blocks:
            attention = block.self_attention
            size = (batch_size, attention.num_kv_heads, slots, attention.head_size)
            caches.append(
                {"key": ops.zeros(size, dtype), "value": ops.zeros(size, dtype)}
            )
        return caches

    def longer_caches(self, caches: list[Any], slots: int) -> list[Any]:
        """The same caches with room for `slots` more."""
        room = [[0, 0], [0, 0], [0, slots], [0, 0]]
        return [{n: ops.pad(v, room) for n, v in cache.items()} for cache in caches]

    def memory_caches(self, memory: Any) -> list[dict[str, Any]]:
        """Cross-attention's keys and values of a memory [B, S, D], one a block."""
        pairs = [block.cross_attention.keys_values(memory) for block in self.blocks]
        return [{"key": key, "value": value} for key, value in pairs]
