"""A row at once is Transformer-XL's recurrence over its segments, in PyTorch.

Dai et al. (arXiv:1901.02860), section 3.2: hidden states of the segment before are a
memory without gradient, to which each layer attends beside its own segment.
"""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest
import tensorflow as tf

torch = pytest.importorskip("torch")

from t2t.layers.blocks import BlockShape, Stack  # noqa: E402

D, F, H, LAYERS = 8, 12, 2, 2
T, SEGMENT = 11, 4
X, WANTED = np.random.default_rng(0).normal(size=(2, 1, T, D)).astype("float32")


def _stack(memory: int) -> Stack:
    shape = BlockShape(
        D, F, H, norm_position="post", position="relative_sinusoid",
        block_length=SEGMENT, memory_length=memory, memory_gradient=False,
    )  # fmt: skip
    stack = Stack(shape, num_layers=LAYERS, causal=True, cross=False, name="stack")
    _ours(stack, X)
    kit.randomise(stack)
    return stack


def _ours(stack: Stack, x: Any) -> Any:
    segments, positions = np.ones((1, T), int), np.arange(T)[None]
    return stack(x, segments=segments, positions=positions, training=True)[0]


class Recurrence:
    """The authors' model with our weights: one segment after another."""

    def __init__(self, stack: Stack) -> None:
        self.weights = {
            v.path.split("/", 1)[1]: torch.tensor(np.array(v), requires_grad=True)
            for v in stack.weights
        }

    def _heads(self, x: Any, block: str, name: str) -> Any:
        x = x @ self.weights[f"{block}/self_attention/{name}/kernel"]
        return x.reshape(-1, H, D // H).transpose(0, 1)

    def _norm(self, x: Any, block: str, name: str) -> Any:
        gamma, beta = (
            self.weights[f"{block}/{name}_norm/{n}"] for n in ("gamma", "beta")
        )
        return torch.nn.functional.layer_norm(x, (D,), gamma, beta, eps=1e-6)

    def _attend(self, h: Any, memory: Any, block: str) -> Any:
        seen = torch.cat([memory, h])
        query = self._heads(h, block, "query")
        key, value = (self._heads(seen, block, n) for n in ("key", "value"))
        distance = len(memory) + torch.arange(len(h))[:, None] - torch.arange(len(seen))
        rates = 10_000.0 ** -(torch.arange(D // 2) / (D // 2 - 1))
        angles = distance[..., None] * rates
        far = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
        own = f"{block}/self_attention/relative"
        far = (far @ self.weights[f"{own}/project/kernel"]).reshape(
            len(h), len(seen), H, D // H
        )
        u, v = (
            self.weights[f"{own}/{n}_bias"][:, None] for n in ("content", "position")
        )
        logits = (query + u) @ key.transpose(1, 2)
        logits = logits + torch.einsum("htk,tshk->hts", query + v, far)
        logits = torch.where(distance >= 0, logits / (D // H) ** 0.5, -torch.inf)
        out = (torch.softmax(logits, -1) @ value).transpose(0, 1).reshape(len(h), D)
        return out @ self.weights[f"{block}/self_attention/output/kernel"]

    def _layer(self, h: Any, memory: Any, block: str) -> Any:
        h = self._norm(h + self._attend(h, memory, block), block, "self_attention")
        own = {
            f"{n}_{p}": self.weights[f"{block}/feed_forward/{n}/{p}"]
            for n in ("input", "output")
            for p in ("kernel", "bias")
        }
        wide = torch.relu(h @ own["input_kernel"] + own["input_bias"])
        y = wide @ own["output_kernel"] + own["output_bias"]
        return self._norm(h + y, block, "feed_forward")

    def __call__(self, x: Any, memory: int) -> Any:
        kept = [torch.zeros(0, D) for _ in range(LAYERS)]
        outputs = []
        for start in range(0, T, SEGMENT):
            h = x[start : start + SEGMENT]
            for i in range(LAYERS):
                before, kept[i] = kept[i], torch.cat([kept[i], h])[-memory:].detach()
                h = self._layer(h, before, f"block_{i}")
            outputs.append(h)
        return torch.cat(outputs)


@pytest.mark.parametrize("memory", [SEGMENT, 6, 3])
def test_a_row_at_once_is_the_recurrence(memory: int) -> None:
    stack = _stack(memory)
    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        output = _ours(stack, x)
        loss = tf.reduce_sum(output * WANTED)
    variables = [v.value for v in stack.weights]
    of_x, *gradients = tape.gradient(loss, [x, *variables])

    theirs = Recurrence(stack)
    inputs = torch.tensor(X[0], requires_grad=True)
    expected = theirs(inputs, memory)
    (expected * torch.tensor(WANTED[0])).sum().backward()
    np.testing.assert_allclose(kit.array(output)[0], expected.detach(), atol=1e-4)
    np.testing.assert_allclose(kit.array(of_x)[0], inputs.grad, atol=1e-4)
    for (name, weight), found in zip(theirs.weights.items(), gradients, strict=True):
        found = tf.convert_to_tensor(found).numpy()
        scale = max(1.0, float(weight.grad.abs().max()))
        np.testing.assert_allclose(
            found / scale, weight.grad / scale, atol=1e-4, err_msg=name
        )


def test_what_a_segment_makes_of_its_memory_does_not_teach_the_memory() -> None:
    stack = _stack(SEGMENT)
    for training in (True, False):
        with tf.GradientTape() as tape:
            x = tf.constant(X)
            tape.watch(x)
            segments, positions = np.ones((1, T), int), np.arange(T)[None]
            output = stack(x, segments=segments, positions=positions, training=training)
            last = tf.reduce_sum(output[0][:, -1] * WANTED[:, -1])
        moved = kit.array(tape.gradient(last, x))[0, : T // SEGMENT * SEGMENT]
        assert bool((moved == 0).all()) is training
