"""Attention: what a mask hides changes nothing; grouped queries; shape errors."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest

from t2t.layers.attention import Attention
from t2t.layers.sight import Sight
from t2t.layers.view import View, attention_mask, whole

T, D = 10, 16
RNG = np.random.default_rng(0)
SEGMENTS = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 0, 0]], np.int32)
POSITIONS = np.array([[0, 1, 2, 3, 0, 1, 2, 3, 4, 5]], np.int32)
X = RNG.normal(size=(1, T, D)).astype("float32")


def _attend(layer: Attention, x: np.ndarray, mask: Any) -> np.ndarray:
    return kit.array(layer(x, view=View(mask, POSITIONS))[0])


def dense(segments: np.ndarray, positions: np.ndarray, sight: Sight) -> Any:
    """The mask [B, T, S] of a row that is not cut into frames."""
    length = segments.shape[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sight, "frames", lambda self, length: None)
        view = whole(segments, positions, sight)
    assert view.frames is None and view.visible.shape[1:] == (length, length)
    return view.visible


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("causal", [False, True])
def test_what_the_mask_hides_changes_nothing(
    causal: bool, window: int | None, rotary: bool
) -> None:
    sight = Sight(causal=causal, window=window)
    mask = kit.array(dense(SEGMENTS, POSITIONS, sight))
    layer = Attention(D, num_heads=2, rotary=rotary)
    before = _attend(layer, X, mask)
    for key in range(T):
        changed = X.copy()
        changed[:, key] += 3.0
        moved = np.abs(_attend(layer, changed, mask) - before).max(axis=(0, 2)) > 1e-4
        seen = mask[0, :, key].copy()
        seen[key] = True  # its own query changes too
        real = SEGMENTS[0] > 0  # what padding computes is nobody's business
        assert (moved <= seen)[real].all()
        assert moved[seen & real].all(), "what is visible must count"


def test_mask_by_hand() -> None:
    segments = np.array([[1, 1, 1, 2, 0]])
    positions = np.array([[0, 1, 2, 0, 0]])
    causal = kit.array(dense(segments, positions, Sight(causal=True, window=2)))[0]
    expected = [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(causal, np.array(expected, bool))
    cross = kit.array(attention_mask(segments, np.array([[2, 1, 0]])))[0]
    np.testing.assert_array_equal(
        cross, np.array([[0, 1, 0]] * 3 + [[1, 0, 0]] + [[0, 0, 0]], bool)
    )


def test_grouped_queries_are_repeated_heads() -> None:
    mask = attention_mask(SEGMENTS, SEGMENTS)
    grouped = Attention(D, num_heads=4, num_kv_heads=2)
    full = Attention(D, num_heads=4)
    for layer in (grouped, full):
        _attend(layer, X, mask)
    for name in ("query", "output_projection"):
        getattr(full, name).set_weights(getattr(grouped, name).get_weights())
    for name in ("key", "value"):
        (kernel,) = getattr(grouped, name).get_weights()  # [D, G·K]
        repeated = np.repeat(kernel.reshape(D, 2, 4), 2, axis=1).reshape(D, D)
        getattr(full, name).set_weights([repeated])
    np.testing.assert_allclose(
        _attend(grouped, X, mask), _attend(full, X, mask), atol=1e-6
    )


def test_weights_are_a_distribution_over_the_visible() -> None:
    mask = kit.array(attention_mask(SEGMENTS, SEGMENTS, causal=True))
    bias = RNG.normal(size=(1, 2, T, T)).astype("float32")
    layer = Attention(D, num_heads=2)
    _, weights, _ = layer(X, view=View(mask, bias=bias))
    weights = kit.array(weights)  # [B, H, T, S]
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
    hidden = ~np.broadcast_to(mask[:, None], weights.shape)
    real = slice(0, 8)  # a query that sees nothing spreads evenly
    assert weights[:, :, real][hidden[:, :, real]].max() == 0.0
    query, key = (
        (X[0] @ kit.array(part.kernel)).reshape(T, 2, 8)
        for part in (layer.query, layer.key)
    )
    logits = query[3, 1] @ key[:4, 1].T / np.sqrt(8) + bias[0, 1, 3, :4]
    row = np.exp(logits)
    np.testing.assert_allclose(weights[0, 1, 3, :4], row / row.sum(), rtol=1e-4)


@pytest.mark.parametrize(
    "knobs, word",
    [
        ({"num_heads": 3}, "no multiple of num_heads 3"),
        ({"num_heads": 4, "num_kv_heads": 3}, "num_kv_heads 3"),
    ],
)
def test_heads_that_do_not_divide_are_refused(knobs: dict, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Attention(D, **knobs)
