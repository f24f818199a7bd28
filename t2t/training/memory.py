"""What a run will need, told before its first step.

Weights, gradients and optimizer state are counted exactly; activations are the
outputs of the forward pass's operations, of which XLA keeps about a third.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from t2t.layers.seeds import random_seed
from t2t.sources import Batch
from t2t.training.backend import backend
from t2t.training.step import Step

# Measured: peak memory above the framework's own, over the sum of all outputs.
KEPT = 0.35
FRAMEWORK = 600e6  # bytes that TensorFlow or JAX itself takes


class TooLarge(ValueError):
    """A run that cannot fit; the message has the remedy."""


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Bytes, and the number of trained parameters."""

    parameters: int
    state: int
    activations: int

    @property
    def total(self) -> int:
        return int(FRAMEWORK + self.state + self.activations)


def check_parameters(parameters: int, free: int | None) -> None:
    """Refuses weights that cannot fit with their gradients, before they are made.

    Raises:
      TooLarge: with what to make smaller.
    """
    check(Footprint(parameters, parameters * 8, 0), free)


def footprint(step: Step, batch: Batch) -> Footprint:
    """Estimates the memory of a training step without running it."""
    trained = [v for group in step.groups.values() for v in group]
    parameters = sum(int(np.prod(v.shape)) for v in trained)
    state = sum(int(np.prod(v.shape)) * 4 for v in step.variables().values())
    share = step.multiple_of
    rows = {name: value[: len(value) // share] for name, value in batch.items()}

    def forward(rows: Batch) -> Any:
        with random_seed(0):
            return step.model.losses(rows, training=True)[0]

    outputs = backend().devices.outputs(forward, rows)
    return Footprint(parameters, state + parameters * 4, int(outputs * KEPT))


def available() -> int | None:
    """Bytes free on the machine; None with accelerators, which do not say."""
    if backend().devices.on_accelerator():
        return None
    import psutil

    return int(psutil.virtual_memory().available)


def check(needed: Footprint, free: int | None) -> None:
    """Refuses what cannot fit.

    Raises:
      TooLarge: with what to make smaller.
    """
    if free is None or needed.total <= free:
        return
    larger = "activations" if needed.activations > needed.state else "weights"
    remedy = (
        "smaller tokens_per_batch or examples_per_batch, larger accumulate, remat=True"
        if larger == "activations"
        else "a smaller set, or optimizer=adafactor"
    )
    raise TooLarge(
        f"this run needs about {needed.total / 1e9:.1f} GB (mostly {larger}), "
        f"{free / 1e9:.1f} GB are free: try {remedy}"
    )
