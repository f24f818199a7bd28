"""Forward and gradient of attention, norms and blocks against PyTorch, to 1e-5."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest
import tensorflow as tf

torch = pytest.importorskip("torch")

from golden import reference  # noqa: E402

from t2t.layers.attention import Attention  # noqa: E402
from t2t.layers.blocks import Block, BlockShape  # noqa: E402
from t2t.layers.norm import make_norm  # noqa: E402
from t2t.layers.view import View, attention_mask  # noqa: E402

# The cell of transformer_base.
BASE = BlockShape(512, 2048, 8)
B, T, S = 2, 7, 6
RNG = np.random.default_rng(0)
X, MEMORY, WANTED = (
    RNG.normal(size=size).astype("float32")
    for size in ((B, T, 512), (B, S, 512), (B, T, 512))
)
SEGMENTS = np.array([[1, 1, 1, 2, 2, 2, 2], [1, 1, 1, 1, 1, 1, 1]])
SOURCES = np.array([[1, 1, 2, 2, 2, 0], [1, 1, 1, 1, 0, 0]])


def _close(found: Any, expected: Any, name: str = "", *, scale: float = 1.0) -> None:
    expected = np.asarray(expected)
    np.testing.assert_allclose(
        np.asarray(found) / scale, expected / scale, atol=1e-5, err_msg=name
    )


def _ours(run: Any, variables: list[Any], *inputs: np.ndarray) -> Any:
    """The output, and gradients of sum(output · WANTED): of inputs, of variables."""
    with tf.GradientTape() as tape:
        tensors = [tf.constant(x) for x in inputs]
        tape.watch(tensors)
        output = run(*tensors)
        loss = tf.reduce_sum(output * WANTED[..., : output.shape[-1]])
    gradients: Any = tape.gradient(loss, (tensors, [v.value for v in variables]))
    of_inputs, of_variables = gradients
    return output, of_inputs, of_variables


def _torch_inputs(*inputs: np.ndarray) -> list[Any]:
    return [torch.tensor(x, requires_grad=True) for x in inputs]


def _compare(found: Any, output: Any, inputs: list[Any]) -> None:
    """Outputs and gradients of inputs; gradients by their own size."""
    (output * torch.tensor(WANTED)).sum().backward()
    _close(found[0], output.detach())
    for ours, theirs in zip(found[1], inputs, strict=True):
        _close(ours, theirs.grad, scale=max(1.0, float(theirs.grad.abs().max())))


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal: bool) -> None:
    """Against torch.nn.functional.scaled_dot_product_attention."""
    layer = Attention(512, num_heads=8)
    visible = attention_mask(SEGMENTS, SEGMENTS, causal=causal)
    layer(X, view=View(visible))
    found = _ours(lambda x: layer(x, view=View(visible))[0], layer.weights, X)
    kernels = [torch.tensor(w, requires_grad=True) for w in layer.get_weights()]
    names = [v.path.split("/")[-2] for v in layer.weights]
    by_name = dict(zip(names, kernels, strict=True))
    (x,) = _torch_inputs(X)
    query, key, value = (
        (x @ by_name[name]).reshape(B, T, 8, 64).transpose(1, 2)
        for name in ("query", "key", "value")
    )
    mask = torch.tensor(kit.array(visible))[:, None]
    attended = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask
    )
    output = attended.transpose(1, 2).reshape(B, T, 512) @ by_name["output"]
    _compare(found, output, [x])
    for ours, theirs, name in zip(found[2], kernels, names, strict=True):
        _close(ours, theirs.grad, name, scale=float(theirs.grad.abs().max()))


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_norms(kind: str) -> None:
    norm = make_norm(kind, name="norm")
    norm(X)
    kit.randomise(norm)
    found = _ours(norm, norm.weights, X)
    weights = [torch.tensor(w, requires_grad=True) for w in norm.get_weights()]
    (x,) = _torch_inputs(X)
    if kind == "layer":
        output = torch.nn.functional.layer_norm(x, (512,), *weights, eps=1e-6)
    else:
        output = torch.nn.functional.rms_norm(x, (512,), *weights, eps=1e-6)
    _compare(found, output, [x])
    for ours, theirs in zip(found[2], weights, strict=True):
        _close(ours, theirs.grad, scale=float(theirs.grad.abs().max()))


@pytest.mark.parametrize("pre", [True, False])
@pytest.mark.parametrize("cross", [False, True])
def test_the_cell_of_transformer_base(cross: bool, pre: bool) -> None:
    """The whole encoder block and the whole decoder block, pre- and post-norm."""
    shape = BlockShape(512, 2048, 8, norm_position="pre" if pre else "post")
    block = Block(shape, cross=cross, name="block")
    visible = kit.array(attention_mask(SEGMENTS, SEGMENTS, causal=cross))
    memory_visible = kit.array(attention_mask(SEGMENTS, SOURCES)) if cross else None
    inputs = (X, MEMORY) if cross else (X,)

    def run(x: Any, memory: Any = None) -> Any:
        return block(
            x,
            view=View(visible),
            memory=memory,
            memory_visible=memory_visible,
        )[0]

    run(*inputs)
    kit.randomise(block, scale=0.02)
    found = _ours(run, block.weights, *inputs)
    weights = {v.path.split("/", 1)[1]: np.asarray(v) for v in block.weights}
    theirs = reference.Block(weights, heads=8, pre=pre, cross=cross)
    tensors = _torch_inputs(*inputs)
    output = theirs(
        tensors[0],
        visible,
        *([tensors[1], memory_visible] if cross else []),
    )
    _compare(found, output, tensors)
    expected = theirs.gradients()
    assert set(expected) == set(weights)
    for variable, ours in zip(block.weights, found[2], strict=True):
        name = variable.path.split("/", 1)[1]
        _close(ours, expected[name], name, scale=np.abs(expected[name]).max())
