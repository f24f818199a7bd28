"""Mixture of experts in place of a feed-forward layer.

Switch Transformer (arXiv:2101.03961) for one expert a token, GShard
(arXiv:2006.16668) for more; the router's z-loss is ST-MoE's (arXiv:2202.08906).

The surprises: a row of the batch is what GShard calls a group. Capacity, loads and
losses are counted row by row, so devices and micro-batches change nothing. And
capacity holds in training alone: when nothing is learned no token is dropped, or a
decoding step would not be what the whole row is.

Axis letters: B batch, T tokens, D model, F feed-forward, E experts, C capacity of an
expert in a row, K experts a token.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from t2t import knobs
from t2t.layers.dropout import Dropout
from t2t.layers.feed_forward import ACTIVATIONS, GATED
from t2t.layers.seeds import current_seed, salted, uniform
from t2t.layers.view import View


class Experts(keras.layers.Layer):
    """D -> F -> D by the K likeliest of E feed-forward layers, weighted.

    A single expert's output is weighted by its probability, several by theirs as they
    relate to each other.

    Args:
      hidden_size: D.
      filter_size: F of each expert.
      experts: E.
      per_token: K.
      capacity_factor: C is K·T/E times this; what comes later passes by.
      activation: see `FeedForward`.
      jitter: the router's input is multiplied by within 1 ± this in training.
      dropout: rate on the F activations.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        filter_size: int,
        experts: int,
        per_token: int = 1,
        capacity_factor: float = 1.25,
        activation: str = "relu",
        jitter: float = 0.0,
        dropout: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        knobs.check_choice("blocks.activation", activation)
        if not 1 <= per_token <= experts:
            raise ValueError(
                f"experts_per_token is from 1 to experts={experts}, not {per_token}"
            )
        self.sizes = hidden_size, filter_size
        self.experts, self.per_token = experts, per_token
        self.capacity_factor, self.jitter = capacity_factor, jitter
        self.gated = activation in GATED
        self.activation = ACTIVATIONS[GATED.get(activation, activation)]
        self.router = keras.layers.Dense(
            experts, use_bias=False, dtype="float32", name="router"
        )
        self.dropout = Dropout(dropout, name="dropout")

    def build(self, *_: Any) -> None:
        size, filter_size = self.sizes
        limit = (6.0 / (size + filter_size)) ** 0.5  # Glorot's, of one expert
        random = keras.initializers.RandomUniform(-limit, limit)
        self.router.build((None, size))
        wide = (self.experts, size, filter_size)
        self.kernels = {"input": self._weight("input_kernel", wide, random)}
        if self.gated:
            self.kernels["gate"] = self._weight("gate_kernel", wide, random)
        narrow = (self.experts, filter_size, size)
        self.kernels["output"] = self._weight("output_kernel", narrow, random)
        if not self.gated:
            for name, width in (("input", filter_size), ("output", size)):
                shape = (self.experts, 1, width)
                self.kernels[f"{name}_bias"] = self._weight(
                    f"{name}_bias", shape, "zeros"
                )
        self.built = True

    def _weight(self, name: str, shape: tuple[int, ...], initializer: Any) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=initializer)

    def empty_cache(self, rows: int, slots: int, dtype: str) -> Any:
        return None

    def call(
        self,
        x: Any,
        *,
        view: View | None = None,
        cache: Any = None,
        training: bool = False,
    ) -> tuple[Any, dict[str, Any], Any]:
        """[B, T, D] -> ([B, T, D], inner values, no cache).

        Inner values, each of the real tokens of a row: 'expert_share' [B, E] of all
        choices, 'expert_dropped' [B], and the losses 'load_balance' [B] (1 where all
        is even) and 'router_z' [B].
        """
        present = ops.ones(ops.shape(x)[:2], "float32")
        if view is not None and view.segments is not None:
            present = ops.cast(view.segments > 0, "float32")
        logits = self.router(self._jittered(x, training))  # [B, T, E]
        chances = ops.softmax(logits, axis=-1)
        gates, chosen = ops.top_k(chances, self.per_token)  # [B, T, K]
        if self.per_token > 1:
            gates = gates / ops.sum(gates, axis=-1, keepdims=True)
        picks = ops.one_hot(chosen, self.experts, dtype="float32")
        picks = picks * present[..., None, None]  # [B, T, K, E]
        if training:
            y, taken = self._dispatch(x, picks, gates)
        else:
            y = self._all(x, ops.sum(picks * gates[..., None], axis=2))
            taken = ops.sum(picks, axis=(1, 2, 3))
        count = ops.maximum(ops.sum(present, axis=1), 1.0)  # [B]
        first = ops.sum(picks[:, :, 0], axis=1) / count[:, None]
        likely = ops.sum(chances * present[..., None], axis=1) / count[:, None]
        z = ops.square(ops.logsumexp(logits, axis=-1)) * present
        inner = {
            "expert_share": ops.sum(picks, axis=(1, 2))
            / (count[:, None] * self.per_token),
            "expert_dropped": (ops.sum(picks, axis=(1, 2, 3)) - taken)
            / (count * self.per_token),
            "load_balance": self.experts * ops.sum(first * likely, axis=-1),
            "router_z": ops.sum(z, axis=1) / count,
        }
        return y, inner, None

    def _jittered(self, x: Any, training: bool) -> Any:
        x = ops.cast(x, "float32")
        if not training or not self.jitter:
            return x
        noise = uniform(ops.shape(x), salted(current_seed(), self.path))
        return x * (1.0 + self.jitter * (2.0 * noise - 1.0))

    def _dispatch(self, x: Any, picks: Any, gates: Any) -> tuple[Any, Any]:
        """(y [B, T, D], choices [B] that found room), by C places of each expert.

        First choices come before second ones, earlier tokens before later ones.
        """
        rows, length = ops.shape(x)[:2]
        share = self.per_token * length / self.experts
        capacity = min(length, math.ceil(share * self.capacity_factor))
        used = ops.zeros((rows, 1, self.experts))
        places = combined = 0.0
        for rank in range(self.per_token):
            own = picks[:, :, rank]  # [B, T, E]
            before = ops.cumsum(own, axis=1) - own + used
            place = ops.one_hot(ops.cast(before, "int32"), capacity, dtype="float32")
            place = place * own[..., None]  # [B, T, E, C]
            used = used + ops.sum(place, axis=(1, 3))[:, None]
            places = places + place
            combined = combined + place * gates[:, :, rank, None, None]
        sent = ops.einsum("btec,btd->becd", ops.cast(places, x.dtype), x)
        sent = ops.reshape(
            ops.transpose(sent, (1, 0, 2, 3)), (self.experts, -1, x.shape[-1])
        )
        found = self._feed_forward(sent, self.kernels, training=True)
        found = ops.reshape(found, (self.experts, rows, capacity, x.shape[-1]))
        y = ops.einsum("btec,ebcd->btd", ops.cast(combined, x.dtype), found)
        return y, ops.sum(used, axis=(1, 2))

    def _all(self, x: Any, weights: Any) -> Any:
        """Every expert for every token, one after another; weights [B, T, E]."""

        def add(i: Any, y: Any) -> Any:
            own = {n: ops.take(k, i, axis=0) for n, k in self.kernels.items()}
            weight = ops.cast(ops.take(weights, i, axis=-1), x.dtype)
            return y + self._feed_forward(x, own, training=False) * weight[..., None]

        return ops.fori_loop(0, self.experts, add, ops.zeros_like(x))

    def _feed_forward(self, x: Any, kernels: dict[str, Any], *, training: bool) -> Any:
        """x [..., D] by kernels of one expert, or x [E, N, D] by those of each."""
        kernels = {n: ops.cast(k, x.dtype) for n, k in kernels.items()}
        hidden = ops.matmul(x, kernels["input"])
        if self.gated:
            hidden = self.activation(ops.matmul(x, kernels["gate"])) * hidden
            hidden = self.dropout(hidden, training=training)
            return ops.matmul(hidden, kernels["output"])
        hidden = self.activation(hidden + kernels["input_bias"])
        hidden = self.dropout(hidden, training=training)
        return ops.matmul(hidden, kernels["output"]) + kernels["output_bias"]
