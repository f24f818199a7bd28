"""Learning-rate schedules as products of named factors, as in Tensor2Tensor.

    learning_rate_schedule = 'constant*linear_warmup*rsqrt_decay*rsqrt_hidden_size'

Each factor is a function of the step (from 0) and of the knobs below.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
from keras import ops

from t2t import knobs, registry


@registry.configurable("learning_rate")
@dataclasses.dataclass(frozen=True)
class LearningRate:
    """Knobs of a schedule; see the factors for their meaning.

    Raises:
      ValueError: for an unknown factor, with the nearest name.
    """

    schedule: str = "constant"
    constant: float = 1e-3
    warmup_steps: int = 0
    decay_steps: int = 100_000
    decay_rate: float = 1.0
    hidden_size: int = 512

    def __post_init__(self) -> None:
        knobs.check_factors(self.schedule)

    @property
    def factors(self) -> list[str]:
        return [name.strip() for name in self.schedule.split("*")]

    def at(self, step: Any) -> Any:
        """The learning rate of a step, float32 scalar."""
        step = ops.cast(step, "float32")
        value = ops.ones_like(step)
        for name in self.factors:
            value = value * FACTORS[name](self, step)
        return value


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """`LearningRate` in the shape that Keras's optimizers take."""

    def __init__(self, rate: LearningRate) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, step: Any) -> Any:
        return self.rate.at(step)

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self.rate)


def _linear_warmup(rate: LearningRate, step: Any) -> Any:
    """Rises from 1/warmup to 1 over `warmup_steps`."""
    if not rate.warmup_steps:
        return ops.ones_like(step)
    return ops.minimum(1.0, (step + 1.0) / rate.warmup_steps)


def _rsqrt_decay(rate: LearningRate, step: Any) -> Any:
    """1/√max(step, warmup)."""
    return ops.rsqrt(ops.maximum(step, float(max(rate.warmup_steps, 1))))


def _rsqrt_normalized_decay(rate: LearningRate, step: Any) -> Any:
    """`rsqrt_decay` scaled to be 1 at the end of the warm-up."""
    return _rsqrt_decay(rate, step) * math.sqrt(max(rate.warmup_steps, 1))


def _noam(rate: LearningRate, step: Any) -> Any:
    """min(step^-0.5, step · warmup^-1.5) · 5000 / √D: the paper's, in T2T's units."""
    step = step + 1.0
    warmup = float(max(rate.warmup_steps, 1))
    return (
        5000.0
        * rate.hidden_size**-0.5
        * ops.minimum(step * warmup**-1.5, ops.rsqrt(step))
    )


def _progress(rate: LearningRate, step: Any) -> Any:
    """How far from the end of the warm-up to `decay_steps`, 0 to 1."""
    span = max(rate.decay_steps - rate.warmup_steps, 1)
    return ops.clip((step - rate.warmup_steps) / span, 0.0, 1.0)


FACTORS: dict[str, Any] = {
    "constant": lambda rate, step: ops.ones_like(step) * rate.constant,
    "linear_warmup": _linear_warmup,
    "linear_decay": lambda rate, step: 1.0 - _progress(rate, step),
    "rsqrt_decay": _rsqrt_decay,
    "rsqrt_normalized_decay": _rsqrt_normalized_decay,
    "rsqrt_hidden_size": lambda rate, step: (
        ops.ones_like(step) * rate.hidden_size**-0.5
    ),
    "single_cycle_cos_decay": lambda rate, step: (
        0.5 * (1.0 + ops.cos(math.pi * _progress(rate, step)))
    ),
    "exp_decay": lambda rate, step: ops.power(
        ops.convert_to_tensor(rate.decay_rate, "float32"),
        ops.maximum(step - rate.warmup_steps, 0.0) / rate.decay_steps,
    ),
    "noam": _noam,
}
