"""Experts against a token-by-token transcription of Switch, GShard and ST-MoE."""

from __future__ import annotations

import math
from typing import Any

import keras
import kit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t import losses
from t2t.layers.experts import Experts
from t2t.layers.seeds import random_seed
from t2t.layers.view import View

D, F, E, T = 6, 8, 4, 10
X = np.random.default_rng(0).normal(size=(2, T, D)).astype("float32")
SEGMENTS = np.array([[1] * 6 + [2] * 4, [1] * 7 + [0] * 3])


def _layer(**knobs: Any) -> Experts:
    keras.utils.set_random_seed(0)
    layer = Experts(D, filter_size=F, experts=E, name="experts", **knobs)
    layer(X)
    kit.randomise(layer, scale=0.5)
    return layer


def _run(layer: Experts, *, training: bool, x: Any = X) -> tuple[Any, dict[str, Any]]:
    view = View(visible=None, segments=SEGMENTS)
    with random_seed(3):
        y, inner, _ = layer(x, view=view, training=training)
    return kit.array(y), {name: kit.array(value) for name, value in inner.items()}


def _expert(layer: Experts, e: int, x: np.ndarray) -> np.ndarray:
    weights = {n: np.array(v[e], float) for n, v in layer.kernels.items()}
    if layer.gated:
        gate = x @ weights["gate"]
        hidden = gate / (1 + np.exp(-gate)) * (x @ weights["input"])  # swish
        return hidden @ weights["output"]
    hidden = np.maximum(x @ weights["input"] + weights["input_bias"][0], 0)
    return hidden @ weights["output"] + weights["output_bias"][0]


def _expected(
    layer: Experts, row: int, capacity: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """One row, a token at a time: first choices of all, then second ones."""
    k, router = layer.per_token, np.array(layer.router.kernel, float)
    x, real = X[row].astype(float), SEGMENTS[row] > 0
    logits = x @ router
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    order = np.argsort(-chances, axis=-1)[:, :k]
    y, used, dropped = np.zeros_like(x), np.zeros(E, int), 0
    for rank in range(k):
        for t in np.nonzero(real)[0]:
            e = order[t, rank]
            gate = chances[t, e]
            if k > 1:
                gate /= chances[t, order[t]].sum()
            if used[e] == capacity:
                dropped += 1
                continue
            used[e] += 1
            y[t] += gate * _expert(layer, e, x[t])
    count = real.sum()
    f = np.bincount(order[real, 0], minlength=E) / count
    p = chances[real].mean(axis=0)
    z = np.log(np.exp(logits).sum(-1)) ** 2
    return y, {
        "load_balance": E * (f * p).sum(),  # Switch, equations 4 to 6
        "router_z": z[real].mean(),  # ST-MoE, equation 5
        "expert_dropped": dropped / (count * k),
        "expert_share": np.bincount(order[real].ravel(), minlength=E) / (count * k),
    }


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "knobs",
    [
        {"capacity_factor": 1.0},
        {"per_token": 2, "capacity_factor": 0.5, "activation": "swiglu"},
        {"per_token": 2, "capacity_factor": 4.0},
    ],
)
def test_experts_are_the_papers(knobs: dict[str, Any], training: bool) -> None:
    layer = _layer(**knobs)
    share = layer.per_token * T / E * layer.capacity_factor
    capacity = min(T, math.ceil(share)) if training else T * layer.per_token
    y, inner = _run(layer, training=training)
    for row in range(2):
        real = SEGMENTS[row] > 0
        expected, values = _expected(layer, row, capacity)
        np.testing.assert_allclose(y[row, real], expected[real], atol=1e-4)
        for name, value in values.items():
            np.testing.assert_allclose(inner[name][row], value, atol=1e-5, err_msg=name)
    if training and layer.capacity_factor <= 1:
        assert inner["expert_dropped"].max() > 0, "the case must be one that drops"


def test_padding_takes_no_place_and_counts_nowhere() -> None:
    layer = _layer(capacity_factor=0.5)
    changed = np.where((SEGMENTS > 0)[..., None], X, 9.0).astype("float32")
    before, inner = _run(layer, training=True)
    after, other = _run(layer, training=True, x=changed)
    real = SEGMENTS > 0
    np.testing.assert_allclose(after[real], before[real], atol=1e-6)
    for name in inner:
        np.testing.assert_allclose(other[name], inner[name], atol=1e-6, err_msg=name)
    assert not after[~real].any(), "what has no place gets nothing"


@settings(max_examples=5)
@given(per_token=st.integers(1, E), factor=st.floats(0.1, 3.0), seed=st.integers(0, 99))
def test_no_expert_takes_more_than_its_capacity(
    per_token: int, factor: float, seed: int
) -> None:
    layer = _layer(per_token=per_token, capacity_factor=factor)
    capacity = min(T, math.ceil(per_token * T / E * factor))
    rng = np.random.default_rng(seed)
    picks = np.zeros((1, T, per_token, E), "float32")
    for t in range(T):
        for rank, e in enumerate(rng.permutation(E)[:per_token]):
            picks[0, t, rank, e] = 1
    gates = np.ones((1, T, per_token), "float32")
    _, taken = layer._dispatch(X[:1], picks, gates)
    expected = np.minimum(picks.sum(axis=(0, 1, 2)), capacity).sum()
    assert float(kit.array(taken)[0]) == expected


def test_jitter_is_for_training_and_for_the_router_alone() -> None:
    plain, shaken = _layer(), _layer(jitter=0.3)
    same = (_run(layer, training=False)[0] for layer in (plain, shaken))
    np.testing.assert_array_equal(*same)
    z = [_run(layer, training=True)[1]["router_z"] for layer in (plain, shaken)]
    assert not np.allclose(*z)


def test_auxiliary_losses_join_as_often_as_targets_count() -> None:
    inner = {
        "a/block_0/load_balance": np.array([1.0, 2.0], "float32"),
        "a/block_1/load_balance": np.array([3.0, 4.0], "float32"),
        "a/block_1/router_z": np.array([10.0, 0.0], "float32"),
        "a/block_1/expert_share": np.array([[0.5, 0.5], [1.0, 0.0]], "float32"),
        "a/block_1/output": np.zeros((2, 3)),
    }
    weights = {"load_balance": 0.1}
    (total, weight), told = losses.add_auxiliary(
        (5.0, 4.0), inner, weights, np.array([3.0, 1.0])
    )
    assert float(total) == pytest.approx(5 + 0.1 * (3 * 4 + 1 * 6)) and weight == 4.0
    means = {name: float(s) / float(w) for name, (s, w) in told.items()}
    assert means == pytest.approx(
        {"load_balance": 2.25, "router_z": 7.5, "expert_0": 0.625, "expert_1": 0.375}
    )


def test_too_many_a_token() -> None:
    with pytest.raises(ValueError, match="from 1 to experts=4, not 5"):
        _layer(per_token=5)
