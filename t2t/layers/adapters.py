"""Low-rank adapters (LoRA, Hu et al., arXiv:2106.09685) for projections of any model.

A projection's kernel W becomes W + α/r · A B, with A [in, r] random and B [r, out] zero
at first: the model begins as it was. Keras's dense layers carry A and B themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from t2t import registry

MARK = "/lora_kernel_"  # in the paths of A and B


@registry.configurable("adapters")
@dataclasses.dataclass(frozen=True)
class Adapters:
    """Knobs of the adapters.

    rank: r; 0 for none.
    alpha: α; None for r.
    layers: names of the projections that have some, apart by commas; 'all' for all.
    """

    rank: int = 0
    alpha: float | None = None
    layers: str = "query,value"

    @property
    def scale(self) -> float:
        """α / r."""
        return (self.alpha or self.rank) / self.rank

    def add(self, model: Any) -> None:
        """Gives a built model its adapters; without a rank it stays as it is.

        Raises:
          ValueError: when it has no such projection.
        """
        if not self.rank:
            return
        wanted = self.layers.split(",")
        every = list(projections(model))
        chosen = [p for p in every if self.layers == "all" or p.name in wanted]
        if not chosen:
            names = sorted({p.name for p in every})
            raise ValueError(
                f"lora_layers={self.layers!r} names no projection of {model.name}."
                f"{registry.close_to(wanted[0], names)} It has {', '.join(names)}"
            )
        for projection in chosen:
            projection.enable_lora(self.rank, lora_alpha=self.alpha or self.rank)


def projections(model: Any) -> Iterator[Any]:
    """All dense layers."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            yield layer


def freeze(model: Any, held: Mapping[str, np.ndarray]) -> list[str]:
    """Lets only adapters learn, and what the arrays that training starts from lack.

    Args:
      held: their arrays, by variable path.

    Returns:
      The paths of what learns.
    """
    learns = []
    for variable in model.variables:
        found = held.get(variable.path)
        new = found is None or tuple(found.shape) != tuple(variable.shape)
        if variable.trainable and new:
            learns.append(variable.path)
        variable.trainable = variable.trainable and new
    return learns


def merge(model: Any) -> None:
    """Puts A B into the kernels: the same function, without a product more a step."""
    for layer in projections(model):
        if getattr(layer, "lora_enabled", False):
            layer._kernel.assign(layer.kernel)
            layer.lora_kernel_b.assign(keras.ops.zeros_like(layer.lora_kernel_b))


def own(path: str) -> bool:
    """Whether a variable of this path is of an adapter."""
    return MARK in path
