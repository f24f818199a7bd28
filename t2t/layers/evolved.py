"""The cells of the Evolved Transformer (So et al., arXiv:1901.11117, figure 3), as
Tensor2Tensor's evolved_transformer.py has them.

Every part is normalised before and added after a dropout. The decoder's convolutions
look back only, by a cache of their inputs when decoding.

Axis letters: B batch, T tokens, S slots, D model, F feed-forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from t2t.layers.blocks import BlockShape, Stack, make_attention
from t2t.layers.composite import Composite
from t2t.layers.dropout import Dropout
from t2t.layers.neighbours import neighbours
from t2t.layers.view import View

BACK = 10  # tokens before it that the decoder's widest convolution sees
MOST_HEADS = 16


class SeparableConvolution(keras.layers.Layer):
    """Σ of `width` neighbours with a weight of each channel, then a projection.

    Args:
      width: of the last this many neighbours that it is called with.
      outputs: size.
    """

    def __init__(
        self, width: int, outputs: int, *, activation: str | None = None, name: str
    ) -> None:
        super().__init__(name=name)
        self.width = width
        self.project = keras.layers.Dense(
            outputs, activation=activation, name="pointwise"
        )

    def build(self, input_shape: Any = None) -> None:
        size = input_shape[0][-1]
        self.project.build((None, size))
        self.depthwise = self.add_weight(
            name="depthwise", shape=(self.width, size, 1), initializer="glorot_uniform"
        )

    def call(self, beside: list[Any]) -> Any:
        """A list of [B, T, C], in the order of time -> [B, T, outputs]."""
        weights = ops.cast(self.depthwise, beside[0].dtype)
        pairs = enumerate(beside[-self.width :])
        return self.project(sum(x * weights[i, :, 0] for i, x in pairs))


class _EvolvedBlock(Composite):
    """What both cells do: residual parts, and branches of different sizes."""

    def __init__(self, shape: BlockShape, parts: tuple[str, ...], *, name: str) -> None:
        super().__init__(name=name)
        self.shape = shape
        self.norms = {p: shape.make_norm(f"{p}_norm") for p in parts}
        self.dropouts = {p: Dropout(shape.dropout, name=f"{p}_dropout") for p in parts}
        self.branch_norm = shape.make_norm("branch_norm")
        self.branch_dropouts = [
            Dropout(shape.dropout, name=f"{side}_dropout") for side in ("left", "right")
        ]

    def _residual(
        self, x: Any, part: str, sublayer: Callable[[Any], Any], training: bool
    ) -> Any:
        y = sublayer(self.norms[part](x))
        return x + self.dropouts[part](y, training=training)

    def _joined(self, left: Any, right: Any, training: bool) -> Any:
        """The sum of two branches, the narrower filled up with zeros."""
        drop_left, drop_right = self.branch_dropouts
        left, right = (
            drop_left(left, training=training),
            drop_right(right, training=training),
        )
        return self.branch_norm(left + _widened(right, left.shape[-1]))


class EvolvedEncoderBlock(_EvolvedBlock):
    """Gated unit, convolutions, self-attention, feed-forward."""

    def __init__(self, shape: BlockShape, *, name: str) -> None:
        parts = ("gated", "branches", "self_attention", "feed_forward")
        super().__init__(shape, parts, name=name)
        size, dense = shape.hidden_size, keras.layers.Dense
        self.values = dense(size, name="values")
        self.gates = dense(size, activation="sigmoid", name="gates")
        self.left = dense(shape.filter_size, activation="relu", name="left")
        self.right = dense(size // 2, activation="relu", name="right")
        self.separable = SeparableConvolution(9, size // 2, name="separable")
        self.self_attention = make_attention(shape, "self_attention", causal=False)
        self.wide = dense(shape.filter_size, activation="relu", name="wide")
        self.wide_dropout = Dropout(shape.dropout, name="wide_dropout")
        self.narrow = dense(size, name="narrow")

    def call(
        self, x: Any, *, view: View, training: bool = False, **_: Any
    ) -> tuple[Any, dict[str, Any], Any]:
        """As `Block.call`; there is no cache, since an encoder sees what is ahead."""
        inner: dict[str, Any] = {}

        def branches(y: Any) -> Any:
            beside, _ = neighbours(y, (-1, 0, 1), view)
            right = self.right(ops.concatenate(beside, axis=-1))
            y = self._joined(self.left(y), right, training)
            beside, _ = neighbours(y, range(-4, 5), view)
            return _widened(self.separable(beside), self.shape.hidden_size)

        def attend(y: Any) -> Any:
            y, inner["self_attention"], _ = self.self_attention(
                y, view=view, training=training
            )
            return y

        def feed_forward(y: Any) -> Any:
            return self.narrow(self.wide_dropout(self.wide(y), training=training))

        gated = self._residual
        x = gated(x, "gated", lambda y: self.values(y) * self.gates(y), training)
        x = self._residual(x, "branches", branches, training)
        x = self._residual(x, "self_attention", attend, training)
        x = self._residual(x, "feed_forward", feed_forward, training)
        inner["output"] = x
        return x, inner, None


class EvolvedDecoderBlock(_EvolvedBlock):
    """Self-attention of twice the heads beside attention to the memory, convolutions,
    self-attention, attention to the memory, feed-forward with swish."""

    def __init__(self, shape: BlockShape, *, name: str) -> None:
        parts = (
            *("first", "branches", "self_attention", "cross_attention"),
            "feed_forward",
        )
        super().__init__(shape, parts, name=name)
        size, dense = shape.hidden_size, keras.layers.Dense
        double = max(min(2 * shape.num_heads, MOST_HEADS), shape.num_heads)
        self.first_self_attention = make_attention(
            shape, "first_self_attention", causal=True, num_heads=double
        )
        self.first_cross_attention = make_attention(shape, "first_cross_attention")
        self.first_dropout = Dropout(shape.dropout, name="first_cross_dropout")
        self.left = SeparableConvolution(11, 2 * size, activation="relu", name="left")
        self.right = SeparableConvolution(7, size // 2, name="right")
        self.separable = SeparableConvolution(7, size, name="separable")
        self.self_attention = make_attention(shape, "self_attention", causal=True)
        self.cross_attention = make_attention(shape, "cross_attention")
        self.wide = dense(shape.filter_size, activation="silu", name="wide")
        self.wide_dropout = Dropout(shape.dropout, name="wide_dropout")
        self.wide_norm = shape.make_norm("wide_norm")
        self.narrow = dense(size, name="narrow")

    def empty_cache(self, rows: int, slots: int, dtype: str) -> dict[str, Any]:
        """What is kept of the tokens so far, by part."""
        size = self.shape.hidden_size
        return {
            "first": self.first_self_attention.empty_cache(rows, slots, dtype),
            "branches": ops.zeros((rows, slots, size), dtype),
            "separable": ops.zeros((rows, slots, 2 * size), dtype),
            "self_attention": self.self_attention.empty_cache(rows, slots, dtype),
        }

    def memory_cache(self, memory: Any) -> Any:
        """Both attentions' keys and values of a memory [B, S, D]."""
        found = {}
        for name in ("first_cross_attention", "cross_attention"):
            key, value = getattr(self, name).keys_values(memory)
            found[name] = {"key": key, "value": value}
        return found

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
        """As `Block.call`."""
        inner: dict[str, Any] = {}
        kept: dict[str, Any] = dict(cache or {})

        def attend(y: Any, name: str, part: str) -> Any:
            y, inner[name], kept[part] = getattr(self, name)(
                y, view=view, cache=kept.get(part), training=training
            )
            return y

        def attend_memory(y: Any, name: str) -> Any:
            y, inner[name], _ = getattr(self, name)(
                y,
                view=View(memory_visible),
                memory=memory,
                cache=memory_cache[name] if memory_cache else None,
                training=training,
            )
            return y

        def first(y: Any) -> Any:
            right = attend_memory(y, "first_cross_attention")
            left = attend(y, "first_self_attention", "first")
            return left, self.first_dropout(right, training=training)

        def branches(y: Any) -> Any:
            beside, kept["branches"] = self._past(y, view, kept.get("branches"), BACK)
            y = self._joined(self.left(beside), self.right(beside), training)
            beside, kept["separable"] = self._past(y, view, kept.get("separable"), 6)
            return self.separable(beside)

        def feed_forward(y: Any) -> Any:
            y = self.wide_dropout(self.wide(y), training=training)
            return self.narrow(self.wide_norm(y))

        left, right = first(self.norms["first"](x))
        x = x + self.dropouts["first"](left, training=training) + right
        x = self._residual(x, "branches", branches, training)
        x = self._residual(
            x,
            "self_attention",
            lambda y: attend(y, "self_attention", "self_attention"),
            training,
        )
        x = self._residual(
            x,
            "cross_attention",
            lambda y: attend_memory(y, "cross_attention"),
            training,
        )
        x = self._residual(x, "feed_forward", feed_forward, training)
        inner["output"] = x
        return x, inner, kept if cache is not None else None

    def _past(self, y: Any, view: View, cache: Any, back: int) -> tuple[list[Any], Any]:
        return neighbours(y, range(-back, 1), view, cache)


class EvolvedStack(Stack):
    """Evolved cells in place of blocks; see `Stack`.

    Raises:
      ValueError: for knobs that the cells have no place for.
    """

    def make_blocks(self, count: int, *, causal: bool, cross: bool) -> list[Any]:
        shape = self.shape
        for name, only in (
            ("norm_position", "pre"),
            ("experts", 0),
            ("filter_width", 1),
        ):
            if getattr(shape, name) != only:
                raise ValueError(
                    f"the Evolved Transformer's cells are of {name}={only!r}, not "
                    f"{getattr(shape, name)!r}"
                )
        cell = EvolvedDecoderBlock if cross else EvolvedEncoderBlock
        return [cell(shape, name=f"block_{i}") for i in range(count)]

    @property
    def looks_back(self) -> int:
        return BACK


def _widened(x: Any, size: int) -> Any:
    """x [..., C] with zeros up to `size`."""
    none = [[0, 0]] * (len(x.shape) - 1)
    return ops.pad(x, [*none, [0, size - x.shape[-1]]])
