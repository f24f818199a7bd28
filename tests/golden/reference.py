"""Our cells' weights inside PyTorch's own layers: an independent reference.

PyTorch's attention is asked to have no biases; its Linear keeps [out, in].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

EPSILON = 1e-6


def tensor(value: Any) -> torch.Tensor:
    return torch.tensor(np.array(value, np.float32))


def hidden_from(visible: np.ndarray, heads: int) -> torch.Tensor:
    """bool [B, T, S], true where seen -> PyTorch's [B·H, T, S], true where not."""
    return torch.tensor(~np.repeat(visible, heads, axis=0))


class Block(torch.nn.Module):
    """A Transformer block of torch.nn parts with the weights of one of ours."""

    def __init__(
        self, weights: Mapping[str, np.ndarray], *, heads: int, pre: bool, cross: bool
    ) -> None:
        super().__init__()
        self.weights, self.heads, self.pre = weights, heads, pre
        self.parts = ["self_attention", *(["cross_attention"] if cross else [])]
        self.size = weights["self_attention/query/kernel"].shape[0]
        for part in self.parts:
            self.add_module(part, self._attention(part))
        for part in (*self.parts, "feed_forward"):
            norm = torch.nn.LayerNorm(self.size, eps=EPSILON)
            norm.weight.data = tensor(weights[f"{part}_norm/gamma"])
            norm.bias.data = tensor(weights[f"{part}_norm/beta"])
            self.add_module(f"{part}_norm", norm)
        self.input, self.output = (
            self._linear(f"feed_forward/{name}") for name in ("input", "output")
        )

    def _linear(self, name: str) -> torch.nn.Linear:
        kernel = self.weights[f"{name}/kernel"]
        linear = torch.nn.Linear(*kernel.shape)
        linear.weight.data = tensor(kernel.T)
        linear.bias.data = tensor(self.weights[f"{name}/bias"])
        return linear

    def _attention(self, part: str) -> torch.nn.MultiheadAttention:
        layer = torch.nn.MultiheadAttention(
            self.size, self.heads, bias=False, batch_first=True
        )
        kernels = [
            self.weights[f"{part}/{n}/kernel"].T for n in ("query", "key", "value")
        ]
        layer.in_proj_weight.data = tensor(np.concatenate(kernels))
        layer.out_proj.weight.data = tensor(self.weights[f"{part}/output/kernel"].T)
        return layer

    def forward(
        self,
        x: torch.Tensor,
        visible: np.ndarray,
        memory: torch.Tensor | None = None,
        memory_visible: np.ndarray | None = None,
    ) -> torch.Tensor:
        def attend(layer: Any, y: Any, source: Any, seen: np.ndarray) -> Any:
            mask = hidden_from(seen, self.heads)
            return layer(y, source, source, attn_mask=mask, need_weights=False)[0]

        def residual(x: Any, name: str, sublayer: Any) -> Any:
            norm = getattr(self, f"{name}_norm")
            return x + sublayer(norm(x)) if self.pre else norm(x + sublayer(x))

        own = self.self_attention
        x = residual(x, "self_attention", lambda y: attend(own, y, y, visible))
        if memory is not None and memory_visible is not None:
            x = residual(
                x,
                "cross_attention",
                lambda y: attend(self.cross_attention, y, memory, memory_visible),
            )
        return residual(
            x, "feed_forward", lambda y: self.output(torch.relu(self.input(y)))
        )

    def gradients(self) -> dict[str, np.ndarray]:
        """The gradients by our names and in our layout, after `backward`."""
        found = {}
        for part in self.parts:
            layer = getattr(self, part)
            thirds = layer.in_proj_weight.grad.numpy().reshape(3, self.size, self.size)
            for name, third in zip(("query", "key", "value"), thirds, strict=True):
                found[f"{part}/{name}/kernel"] = third.T
            found[f"{part}/output/kernel"] = layer.out_proj.weight.grad.numpy().T
        for name in ("input", "output"):
            linear = getattr(self, name)
            found[f"feed_forward/{name}/kernel"] = linear.weight.grad.numpy().T
            found[f"feed_forward/{name}/bias"] = linear.bias.grad.numpy()
        for part in (*self.parts, "feed_forward"):
            norm = getattr(self, f"{part}_norm")
            found[f"{part}_norm/gamma"] = norm.weight.grad.numpy()
            found[f"{part}_norm/beta"] = norm.bias.grad.numpy()
        return found
