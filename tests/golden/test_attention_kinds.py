"""Every knob of attention against its paper's formula, pair by pair in numpy.

Nothing of `t2t` is used for what is expected but the weights of the layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import kit
import numpy as np
import pytest

from t2t.layers.blocks import BlockShape, Stack

T, D, H, K = 11, 16, 2, 8
X = np.random.default_rng(0).normal(size=(T, D))
MOST = 3  # max_relative_position

Logit = Callable[..., float]


def _stack(**blocks: Any) -> tuple[Stack, dict[str, np.ndarray], bool]:
    causal = blocks.pop("causal", True)
    shape = BlockShape(
        D, 32, H, norm="none", **{"max_relative_position": MOST, **blocks}
    )
    stack = Stack(shape, num_layers=1, causal=causal, cross=False, name="stack")
    _run(stack, X)
    kit.randomise(stack)
    weights = {v.path.split("/", 1)[1]: np.array(v, float) for v in stack.weights}
    return stack, weights, causal


def _run(stack: Stack, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the attention's share of the block's output, its weights [H, T, S])."""
    x = x[None].astype("float32")
    segments, positions = np.ones((1, len(x[0])), int), np.arange(len(x[0]))[None]
    view = stack.view(segments=segments, positions=positions)
    attention = stack.blocks[0].self_attention
    stack(x, segments=segments, positions=positions)
    output, weights, _ = attention(x, view=view)
    return kit.array(output)[0], kit.array(weights)[0]


def _attention(
    weights: dict[str, np.ndarray],
    logit: Logit,
    *,
    sees: Callable[[int, int], bool],
    value: Callable[[int, int], Any] = lambda i, j: 0.0,
    kv_heads: int = H,
) -> tuple[np.ndarray, np.ndarray]:
    """softmax over j of logit(q, k, h, i, j); values are v_j + value(i, j)."""
    own = "block_0/self_attention"
    query, key, of = (
        X @ weights[f"{own}/{n}/kernel"] for n in ("query", "key", "value")
    )
    output, shares = np.zeros((T, H, K)), np.zeros((H, T, T))
    for h in range(H):
        g = h * kv_heads // H
        for i in range(T):
            seen = [j for j in range(T) if sees(i, j)]
            q = query[i, h * K : (h + 1) * K]
            logits = [logit(q, key[j, g * K : (g + 1) * K], h, i, j) for j in seen]
            row = np.exp(np.array(logits) - max(logits))
            row /= row.sum()
            for share, j in zip(row, seen, strict=True):
                shares[h, i, j] = share
                output[i, h] += share * (of[j, g * K : (g + 1) * K] + value(i, j))
    return output.reshape(T, -1) @ weights[f"{own}/output/kernel"], shares


def _compare(stack: Stack, expected: tuple[np.ndarray, np.ndarray]) -> None:
    output, weights = _run(stack, X)
    np.testing.assert_allclose(output, expected[0], atol=1e-4)
    if weights.shape == expected[1].shape:  # there are none of a whole row in frames
        np.testing.assert_allclose(weights, expected[1], atol=1e-5)


def _sees(causal: bool) -> Callable[[int, int], bool]:
    return lambda i, j: j <= i or not causal


@pytest.mark.parametrize("causal", [False, True])
def test_shaw_et_al(causal: bool) -> None:
    """arXiv:1803.02155, equations 3 to 5: vectors clipped at k, of keys and values."""
    stack, weights, causal = _stack(position="relative_vectors", causal=causal)
    keys, values = (
        weights[f"block_0/self_attention/relative/{n}"] for n in ("keys", "values")
    )
    assert keys.shape == (2 * MOST + 1, K)

    def clip(x: int) -> int:
        return max(-MOST, min(MOST, x)) + MOST

    expected = _attention(
        weights,
        lambda q, k, h, i, j: q @ (k + keys[clip(j - i)]) / math.sqrt(K),
        sees=_sees(causal),
        value=lambda i, j: values[clip(j - i)],
    )
    _compare(stack, expected)


@pytest.mark.parametrize("causal", [False, True])
def test_music_transformer(causal: bool) -> None:
    """arXiv:1809.04281, section 3.4; beyond the last vector Tensor2Tensor adds none."""
    stack, weights, causal = _stack(position="relative_keys", causal=causal)
    keys = weights["block_0/self_attention/relative/keys"]
    assert keys.shape == (H, MOST if causal else 2 * MOST - 1, K)

    def logit(q: Any, k: Any, h: int, i: int, j: int) -> float:
        near = abs(j - i) < MOST
        return q @ (k + (keys[h, j - i + MOST - 1] if near else 0)) / math.sqrt(K)

    _compare(stack, _attention(weights, logit, sees=_sees(causal)))


def test_skewing_is_the_papers() -> None:
    """The procedure of section 3.4.1 and figure 1: pad, reshape, slice."""
    from t2t.layers.distance import Aligned

    length = 5
    rel = np.random.default_rng(1).normal(size=(length, length)).astype("float32")
    padded = np.concatenate([np.zeros((length, 1)), rel], axis=1)
    skewed = padded.reshape(length + 1, length)[1:]
    between = Aligned(length, length, causal=True)
    found = kit.array(between.spread(rel, between.span()))
    lower = np.tril(np.ones((length, length), bool))
    np.testing.assert_array_equal(found[lower], skewed[lower].astype("float32"))


@pytest.mark.parametrize("causal", [False, True])
def test_alibi(causal: bool) -> None:
    """arXiv:2108.12409, equation 1; H = 2 has the slopes 2^-4 and 2^-8."""
    stack, weights, causal = _stack(position="alibi", causal=causal)

    def logit(q: Any, k: Any, h: int, i: int, j: int) -> float:
        return q @ k / math.sqrt(K) - 2.0 ** (-4 * (h + 1)) * abs(i - j)

    _compare(stack, _attention(weights, logit, sees=_sees(causal)))


def test_transformer_xl() -> None:
    """arXiv:1901.02860, section 3.3: terms (a) to (d)."""
    stack, weights, _ = _stack(
        position="relative_sinusoid", block_length=3, memory_length=2
    )
    own = "block_0/self_attention/relative"
    u, v = weights[f"{own}/content_bias"], weights[f"{own}/position_bias"]
    kernel = weights[f"{own}/project/kernel"].reshape(D, H, K)

    def r(distance: int) -> np.ndarray:
        rates = 10_000.0 ** -(np.arange(D // 2) / (D // 2 - 1))
        return np.concatenate([np.sin(distance * rates), np.cos(distance * rates)])

    def logit(q: Any, k: Any, h: int, i: int, j: int) -> float:
        far = np.einsum("d,dk->k", r(i - j), kernel[:, h])
        return (q @ k + q @ far + u[h] @ k + v[h] @ far) / math.sqrt(K)

    expected = _attention(weights, logit, sees=lambda i, j: i // 3 * 3 - 2 <= j <= i)
    _compare(stack, expected)


def test_soft_cap_and_normed_queries_and_keys() -> None:
    """Gemma 2 (arXiv:2408.00118, section 2.3); QK-norm."""
    stack, weights, _ = _stack(
        position="none", logit_softcap=0.7, qk_norm=True, num_kv_heads=1
    )
    own = "block_0/self_attention"

    def norm(x: Any, name: str) -> Any:
        scale = weights[f"{own}/{name}_norm/scale"]
        return x / np.sqrt((x**2).mean() + 1e-6) * scale

    def logit(q: Any, k: Any, h: int, i: int, j: int) -> float:
        product = norm(q, "query") @ norm(k, "key") / math.sqrt(K)
        return 0.7 * math.tanh(product / 0.7)

    _compare(stack, _attention(weights, logit, sees=_sees(True), kv_heads=1))


# -- Tensor2Tensor's local attention, block by block ----------------------------------


def _softmax(logits: np.ndarray) -> np.ndarray:
    row = np.exp(logits - logits.max(-1, keepdims=True))
    return row / row.sum(-1, keepdims=True)


def _heads(weights: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    x = x @ weights[f"block_0/self_attention/{name}/kernel"]
    return x.reshape(len(x), H, K).transpose(1, 0, 2)


def _masked_local_attention_1d(q: Any, k: Any, v: Any, block: int) -> np.ndarray:
    """`masked_local_attention_1d` of common_attention.py, for one example."""
    length = q.shape[1]
    room = [[0, 0], [0, -length % block], [0, 0]]
    q, k, v = (np.pad(x, room) for x in (q, k, v))
    triangle = np.where(np.tril(np.ones((block, block))), 0, -1e9)
    q_blocks, k_blocks, v_blocks = (
        x.reshape(H, -1, block, K) for x in (q / math.sqrt(K), k, v)
    )
    first = _softmax(q_blocks[:, 0] @ k_blocks[:, 0].swapaxes(-1, -2) + triangle)
    parts = [first @ v_blocks[:, 0]]
    band = np.tril(np.ones((block, 2 * block)), k=block)
    for n in range(1, q_blocks.shape[1]):
        local_k = np.concatenate([k_blocks[:, n - 1], k_blocks[:, n]], axis=1)
        local_v = np.concatenate([v_blocks[:, n - 1], v_blocks[:, n]], axis=1)
        logits = q_blocks[:, n] @ local_k.swapaxes(-1, -2)
        parts.append(_softmax(logits + np.where(band, 0, -1e9)) @ local_v)
    return np.concatenate(parts, axis=1)[:, :length]


def _local_attention_1d(q: Any, k: Any, v: Any, block: int, width: int) -> np.ndarray:
    """`local_attention_1d`: whole blocks and `filter_width` beside them."""
    length, parts = q.shape[1], []
    for start in range(0, length, block):
        near = slice(max(0, start - width), min(length, start + block + width))
        logits = q[:, start : start + block] @ k[:, near].swapaxes(-1, -2)
        parts.append(_softmax(logits / math.sqrt(K)) @ v[:, near])
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("causal", [False, True])
def test_local_attention_is_tensor2tensors(causal: bool) -> None:
    stack, weights, _ = _stack(
        position="none",
        causal=causal,
        block_length=3,
        memory_length=None if causal else 2,
    )
    q, k, v = (_heads(weights, name, X) for name in ("query", "key", "value"))
    if causal:
        found = _masked_local_attention_1d(q, k, v, 3)
    else:
        found = _local_attention_1d(q, k, v, 3, 2)
    expected = found.transpose(1, 0, 2).reshape(T, D)
    expected = expected @ weights["block_0/self_attention/output/kernel"]
    np.testing.assert_allclose(_run(stack, X)[0], expected, atol=1e-4)


# -- a convolution in the feed-forward layer ------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
def test_the_feed_forward_layer_sees_neighbours(causal: bool) -> None:
    """Against keras.layers.Conv1D: 'causal', or 'same' as in T2T's encoder."""
    stack, _, _ = _stack(position="none", causal=causal, filter_width=3)
    layer = stack.blocks[0].feed_forward
    x = X[None].astype("float32")
    segments, positions = np.ones((1, T), int), np.arange(T)[None]
    found, _, _ = layer(x, view=stack.view(segments=segments, positions=positions))
    conv = keras.layers.Conv1D(
        32, 3, padding="causal" if causal else "same", activation="relu"
    )
    conv(x)
    kernel, bias = layer.input_projection.get_weights()
    conv.set_weights([kernel.reshape(3, D, 32), bias])
    expected = kit.array(layer.output_projection(conv(x)))
    np.testing.assert_allclose(kit.array(found), expected, atol=1e-4)
