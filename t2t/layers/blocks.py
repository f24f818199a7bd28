"""A Transformer block and a stack of them, with or without cross-attention.

Pre-norm is Tensor2Tensor's `layer_preprocess_sequence="n"`, post-norm the paper's
(arXiv:1706.03762); either way a dropout stands before each residual sum.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from t2t.layers import view as views
from t2t.layers.attention import Attention
from t2t.layers.composite import Composite
from t2t.layers.dropout import Dropout
from t2t.layers.experts import Experts
from t2t.layers.feed_forward import FeedForward
from t2t.layers.position import LearnedPositions, sinusoids
from t2t.layers.relative import BIASES, VECTORS, make_bias, make_vectors
from t2t.layers.seeds import current_seed, random_seed
from t2t.layers.shape import BlockShape
from t2t.layers.view import View


@dataclasses.dataclass(frozen=True)
class Memory:
    """What cross-attention looks at: values [B, S, D], or each layer's keys and values.

    visible: bool [B, T, S], which memory each query may see.
    caches: one {'key', 'value'} a layer when decoding, else None.
    """

    visible: Any
    values: Any = None
    caches: list[dict[str, Any]] | None = None


def make_attention(
    shape: BlockShape,
    name: str,
    *,
    causal: bool | None = None,
    num_heads: int | None = None,
) -> Attention:
    """Over itself, or over a memory where `causal` is None.

    Args:
      num_heads: where it has others than the rest.
    """
    heads, relative = num_heads or shape.num_heads, None
    if causal is not None and shape.position in VECTORS:
        relative = make_vectors(
            shape.position,
            shape.hidden_size,
            num_heads=heads,
            furthest=shape.max_relative_position,
            causal=causal,
        )
    return Attention(
        shape.hidden_size,
        num_heads=heads,
        num_kv_heads=shape.num_kv_heads,
        dropout=shape.attention_dropout,
        head_size=shape.head_size,
        biases=bool(shape.biases),
        rotary=causal is not None and shape.position == "rotary",
        relative=relative,
        normed=shape.qk_norm,
        softcap=shape.logit_softcap,
        name=name,
    )


class Block(Composite):
    """Self-attention, cross-attention when `cross`, feed-forward.

    Args:
      number: of the block in its stack: some have experts.
    """

    def __init__(
        self,
        shape: BlockShape,
        *,
        cross: bool = False,
        causal: bool = False,
        number: int = 0,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.shape = shape
        self.self_attention = make_attention(shape, "self_attention", causal=causal)
        parts = ["self_attention", "feed_forward"]
        if cross:
            self.cross_attention = make_attention(shape, "cross_attention")
            parts.insert(1, "cross_attention")
        every = shape.expert_every
        expert = shape.experts > 0 and number % every == every - 1
        self.feed_forward = (
            self._experts() if expert else self._feed_forward(causal=causal)
        )
        self.norms = [shape.make_norm(f"{p}_norm") for p in parts]
        self.dropouts = [Dropout(shape.dropout, name=f"{p}_dropout") for p in parts]

    def _feed_forward(self, *, causal: bool) -> FeedForward:
        return FeedForward(
            self.shape.hidden_size,
            filter_size=self.shape.filter_size,
            activation=self.shape.activation,
            filter_width=self.shape.filter_width,
            causal=causal,
            biases=self.shape.biases,
            dropout=self.shape.relu_dropout,
            name="feed_forward",
        )

    def _experts(self) -> Experts:
        return Experts(
            self.shape.hidden_size,
            filter_size=self.shape.filter_size,
            experts=self.shape.experts,
            per_token=self.shape.experts_per_token,
            capacity_factor=self.shape.capacity_factor,
            activation=self.shape.activation,
            jitter=self.shape.router_jitter,
            dropout=self.shape.relu_dropout,
            name="feed_forward",
        )

    def empty_cache(self, rows: int, slots: int, dtype: str) -> dict[str, Any]:
        """What is kept of the tokens so far, by part."""
        kept = {"attention": self.self_attention.empty_cache(rows, slots, dtype)}
        inputs = self.feed_forward.empty_cache(rows, slots, dtype)
        return kept if inputs is None else {**kept, "feed_forward": inputs}

    def memory_cache(self, memory: Any) -> Any:
        """Cross-attention's keys and values of a memory [B, S, D]."""
        key, value = self.cross_attention.keys_values(memory)
        return {"key": key, "value": value}

    def call(
        self,
        x: Any,
        *,
        view: View,
        memory: Any = None,
        memory_visible: Any = None,
        memory_cache: Any = None,
        cache: Any = None,
        training: bool = False,
    ) -> tuple[Any, dict[str, Any], Any]:
        """x [B, T, D] -> (x, inner values by name, the new cache)."""
        inner: dict[str, Any] = {}
        kept = dict(cache or {})
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
            y, inner["self_attention"], new = self.self_attention(
                y, view=view, cache=kept.get("attention"), training=training
            )
            kept.update({} if new is None else {"attention": new})
            return y

        def attend_memory(y: Any) -> Any:
            y, inner["cross_attention"], _ = self.cross_attention(
                y,
                view=View(memory_visible),
                memory=memory,
                cache=memory_cache,
                training=training,
            )
            return y

        def feed_forward(y: Any) -> Any:
            y, found, new = self.feed_forward(
                y, view=view, cache=kept.get("feed_forward"), training=training
            )
            inner.update(found)
            kept.update({} if new is None else {"feed_forward": new})
            return y

        x = residual(x, attend)
        if memory_visible is not None:
            x = residual(x, attend_memory)
        x = residual(x, feed_forward)
        inner["output"] = x
        return x, inner, kept if cache is not None else None


class Stack(Composite):
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
        self.shape, self.sight = shape, shape.sight(causal=causal)
        self.blocks = self.make_blocks(num_layers, causal=causal, cross=cross)
        self.input_norm = shape.make_norm("input_norm", wanted=shape.input_norm)
        self.input_dropout = Dropout(shape.dropout, name="input_dropout")
        pre = shape.norm_position == "pre"
        self.final_norm = shape.make_norm("final_norm", wanted=pre)
        if shape.position == "learned":
            self.learned = LearnedPositions(shape.max_length, shape.hidden_size)
        if shape.position in BIASES:
            self.relative = make_bias(shape.position, shape.num_heads, causal=causal)

    def make_blocks(self, count: int, *, causal: bool, cross: bool) -> list[Any]:
        return [
            Block(self.shape, cross=cross, causal=causal, number=i, name=f"block_{i}")
            for i in range(count)
        ]

    @property
    def looks_back(self) -> int:
        """How many tokens before each the blocks want to find by their slots."""
        return self.shape.filter_width - 1

    def add_positions(self, x: Any, positions: Any) -> Any:
        if self.shape.position in ("sinusoid", "sinusoid_formula"):
            last = 0 if self.shape.position == "sinusoid_formula" else 1
            signal = sinusoids(positions, self.shape.hidden_size, last=last)
            return x + ops.cast(signal, x.dtype)
        if self.shape.position == "learned":
            return x + self.learned(positions)
        return x

    def view(
        self,
        *,
        segments: Any = None,
        visible: Any = None,
        positions: Any,
        key_positions: Any = None,
        slot: Any = None,
    ) -> View:
        """What `call` is given, as the blocks want it."""
        if segments is not None:
            view = views.whole(
                segments,
                positions,
                self.sight,
                memory_gradient=self.shape.memory_gradient,
            )
        else:
            view = views.cached(
                visible,
                positions,
                key_positions,
                self.sight,
                slot=slot,
                before=self.looks_back,
            )
        if self.shape.position in BIASES:
            view = dataclasses.replace(view, bias=self.relative(between=view.between))
        return view

    def call(
        self,
        x: Any,
        *,
        segments: Any = None,
        visible: Any = None,
        positions: Any,
        key_positions: Any = None,
        memory: Memory | None = None,
        caches: list[Any] | None = None,
        slot: Any = None,
        training: bool = False,
    ) -> tuple[Any, dict[str, Any], list[Any]]:
        """Runs the blocks, over whole rows or over new tokens beside cached ones.

        Args:
          x: embedded tokens [B, T, D].
          segments: of whole rows, int [B, T]; see `attention_mask`.
          visible: of new tokens, bool [B, T, S]: the slots that hold what went before
            each, itself included.
          positions: int [B, T], [B, T, 3] where rotary.
          key_positions: of slots, int [B, S].
          memory: for cross-attention.
          caches: one a block, with new tokens; `slot`: int scalar, the first to write.

        Returns:
          (x [B, T, D], inner values by 'block_i/name', new caches).
        """
        x = self.input_norm(self.add_positions(x, positions))
        x = self.input_dropout(x, training=training)
        view = self.view(
            segments=segments,
            visible=visible,
            positions=positions,
            key_positions=key_positions,
            slot=slot,
        )
        inner, new_caches = {}, []
        for i, block in enumerate(self.blocks):
            x, block_inner, cache = self.run_block(
                block,
                x,
                view=view,
                memory=None if memory is None else memory.values,
                memory_visible=None if memory is None else memory.visible,
                memory_cache=memory.caches[i] if memory and memory.caches else None,
                cache=caches[i] if caches is not None else None,
                training=training,
            )
            inner.update({f"block_{i}/{n}": v for n, v in block_inner.items()})
            new_caches.append(cache)
        return self.final_norm(x), inner, new_caches

    def run_block(self, block: Any, x: Any, **arguments: Any) -> tuple[Any, Any, Any]:
        """One block; with `remat` its inner values are recomputed, not kept."""
        if not (self.shape.remat and arguments["training"]):
            return block(x, **arguments)
        # What is not an argument gets no gradient, and the second run comes when the
        # seed's context is closed.
        view, seed = arguments["view"], current_seed()
        traced = {"bias": view.bias, "memory": arguments["memory"]}
        names = [name for name, value in traced.items() if value is not None]

        def run(x: Any, *values: Any) -> Any:
            given = {**traced, **dict(zip(names, values, strict=True))}
            shared = dataclasses.replace(view, bias=given["bias"])
            with random_seed(seed):
                x, inner, _ = block(
                    x, **{**arguments, "view": shared, "memory": given["memory"]}
                )
            return x, {n: v for n, v in inner.items() if n in self.shape.auxiliary}

        x, inner = keras.remat(run)(x, *(traced[name] for name in names))
        return x, inner, None

    def empty_caches(self, batch_size: int, slots: int, dtype: str) -> list[Any]:
        """Caches of zeros, one a block."""
        return [block.empty_cache(batch_size, slots, dtype) for block in self.blocks]

    def longer_caches(self, caches: list[Any], slots: int) -> list[Any]:
        """The same caches with room for `slots` more; slots are the last axis but
        one of all of them."""

        def longer(x: Any) -> Any:
            none = [[0, 0]] * (len(x.shape) - 2)
            return ops.pad(x, [*none, [0, slots], [0, 0]])

        return keras.tree.map_structure(longer, caches)

    def memory_caches(self, memory: Any) -> list[Any]:
        """What cross-attention looks at of a memory [B, S, D], one a block."""
        return [block.memory_cache(memory) for block in self.blocks]
