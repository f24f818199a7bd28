"""The Evolved Transformer's cells against Tensor2Tensor's code, in PyTorch.

`evolved_transformer_encoder` and `evolved_transformer_decoder` line by line, with
PyTorch's convolutions, norms and attention; a row with padding, not packed.
"""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

from t2t.layers.blocks import BlockShape, Memory  # noqa: E402
from t2t.layers.evolved import EvolvedStack  # noqa: E402
from t2t.layers.view import attention_mask  # noqa: E402

D, T, S = 16, 15, 6
SHAPE = BlockShape(D, 4 * D, 2, position="none")
RNG = np.random.default_rng(0)
X, MEMORY = (RNG.normal(size=(1, n, D)).astype("float32") for n in (T, S))
SEGMENTS = np.array([[1] * 12 + [0] * 3])
SOURCES = np.array([[1] * 4 + [0] * 2])
POSITIONS = np.arange(T)[None]


class Cell:
    """The arithmetic of both cells, with the weights of one of ours."""

    def __init__(self, stack: EvolvedStack) -> None:
        self.weights = {
            v.path.split("/", 2)[2]: torch.tensor(np.array(v))
            for v in stack.weights
            if "block_0" in v.path
        }
        self.final = [torch.tensor(w) for w in stack.final_norm.get_weights()]
        self.nonpadding = torch.tensor(SEGMENTS[..., None] > 0).float()

    def norm(self, x: Any, name: str) -> Any:
        gamma, beta = (self.weights[f"{name}_norm/{n}"] for n in ("gamma", "beta"))
        return functional.layer_norm(x, x.shape[-1:], gamma, beta, eps=1e-6)

    def dense(self, x: Any, name: str) -> Any:
        return x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def separable(self, x: Any, name: str, before: int, after: int) -> Any:
        """SeparableConv1D over time, after zeros on both sides."""
        weight = self.weights[f"{name}/depthwise"].permute(1, 2, 0)  # [C, 1, width]
        x = functional.pad(x.transpose(1, 2), (before, after))
        y = functional.conv1d(x, weight, groups=len(weight)).transpose(1, 2)
        return self.dense(y, f"{name}/pointwise")

    def attention(
        self, x: Any, memory: Any, seen: np.ndarray, name: str, heads: int
    ) -> Any:
        query, key, value = (
            (of @ self.weights[f"{name}/{n}/kernel"])
            .reshape(1, -1, heads, D // heads)
            .transpose(1, 2)
            for of, n in ((x, "query"), (memory, "key"), (memory, "value"))
        )
        mask = torch.tensor(seen)[:, None]
        y = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        y = y.transpose(1, 2).reshape(1, -1, D)
        return y @ self.weights[f"{name}/output/kernel"]

    def finish(self, x: Any) -> Any:
        return functional.layer_norm(x, (D,), *self.final, eps=1e-6)


def _padded(x: Any, size: int) -> Any:
    return functional.pad(x, (0, size - x.shape[-1]))


def _run(stack: EvolvedStack, memory: Memory | None) -> np.ndarray:
    return kit.array(stack(X, segments=SEGMENTS, positions=POSITIONS, memory=memory)[0])


def _compare(found: np.ndarray, expected: Any) -> None:
    real = SEGMENTS > 0
    np.testing.assert_allclose(found[real], expected.numpy()[real], atol=1e-4)


def test_the_encoders_cell() -> None:
    stack = EvolvedStack(SHAPE, num_layers=1, causal=False, cross=False, name="stack")
    _run(stack, None)
    kit.randomise(stack)
    cell = Cell(stack)
    x = torch.tensor(X)

    y = cell.norm(x, "gated")
    x = x + cell.dense(y, "values") * torch.sigmoid(cell.dense(y, "gates"))

    y = cell.norm(x, "branches") * cell.nonpadding
    left = torch.relu(cell.dense(y, "left"))
    kernel = cell.weights["right/kernel"].reshape(3, D, D // 2).permute(2, 1, 0)
    right = functional.conv1d(
        y.transpose(1, 2), kernel, cell.weights["right/bias"], padding=1
    )
    right = torch.relu(right.transpose(1, 2))
    y = cell.norm(left + _padded(right, 4 * D), "branch") * cell.nonpadding
    x = x + _padded(cell.separable(y, "separable", 4, 4), D)

    y = cell.norm(x, "self_attention")
    seen = np.broadcast_to(SEGMENTS[:, None] > 0, (1, T, T))
    x = x + cell.attention(y, y, seen, "self_attention", 2)

    y = torch.relu(cell.dense(cell.norm(x, "feed_forward"), "wide"))
    _compare(_run(stack, None), cell.finish(x + cell.dense(y, "narrow")))


def test_the_decoders_cell() -> None:
    stack = EvolvedStack(SHAPE, num_layers=1, causal=True, cross=True, name="stack")
    memory = Memory(attention_mask(SEGMENTS, SOURCES), values=MEMORY)
    _run(stack, memory)
    kit.randomise(stack)
    cell = Cell(stack)
    x, source = torch.tensor(X), torch.tensor(MEMORY)
    causal = np.tril(np.ones((1, T, T), bool))
    sources = np.broadcast_to(SOURCES[:, None] > 0, (1, T, S))

    y = cell.norm(x, "first")
    left = cell.attention(y, y, causal, "first_self_attention", 4)  # twice the heads
    x = x + left + cell.attention(y, source, sources, "first_cross_attention", 2)

    y = cell.norm(x, "branches") * cell.nonpadding
    left = torch.relu(cell.separable(y, "left", 10, 0))
    right = cell.separable(y, "right", 6, 0)
    y = cell.norm(left + _padded(right, 2 * D), "branch") * cell.nonpadding
    x = x + cell.separable(y, "separable", 6, 0)

    y = cell.norm(x, "self_attention")
    x = x + cell.attention(y, y, causal, "self_attention", 2)
    y = cell.norm(x, "cross_attention")
    x = x + cell.attention(y, source, sources, "cross_attention", 2)

    y = functional.silu(cell.dense(cell.norm(x, "feed_forward"), "wide"))
    y = cell.dense(cell.norm(y, "wide"), "narrow")
    _compare(_run(stack, memory), cell.finish(x + y))


def test_knobs_that_the_cells_have_no_place_for() -> None:
    shape = BlockShape(D, 4 * D, 2, experts=2)
    with pytest.raises(ValueError, match="experts=0, not 2"):
        EvolvedStack(shape, num_layers=1, causal=True, cross=True, name="stack")
