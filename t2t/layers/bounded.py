"""Actions within bounds: a real vector squashed by tanh, and its density."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from t2t.features import Feature
from t2t.layers import seeds

LOG_STD = (-20.0, 2.0)  # a squashed Gaussian keeps to these (Haarnoja et al.)


class Bounds:
    """Maps raw vectors [..., A] to actions between a feature's bounds, and back."""

    def __init__(self, action: Feature) -> None:
        low, high = action.bounds
        self.size = int(low.size)
        self.middle, self.reach = (low + high) / 2, (high - low) / 2

    def squash(self, raw: Any) -> Any:
        return self.middle + self.reach * ops.tanh(raw)

    def scale(self, action: Any) -> Any:
        """An action as numbers from -1 to 1, for a network to look at."""
        return (action - self.middle) / self.reach

    def clip(self, action: Any) -> Any:
        return ops.clip(action, self.middle - self.reach, self.middle + self.reach)

    def draw(self, mean: Any, log_std: Any, seed: Any) -> tuple[Any, Any]:
        """(actions, their log density [...]) of a squashed Gaussian.

        arXiv:1801.01290, appendix C; the density is over actions scaled to [-1, 1].
        """
        log_std = ops.clip(log_std, *LOG_STD)
        noise = seeds.normal(ops.shape(mean), seed)
        raw = mean + ops.exp(log_std) * noise
        density = gaussian_log_density(noise, log_std)
        # log(1 - tanh(x)^2), without overflow.
        correction = 2.0 * (math.log(2.0) - raw - ops.softplus(-2.0 * raw))
        return self.squash(raw), density - ops.sum(correction, axis=-1)


def gaussian_log_density(standardised: Any, log_std: Any) -> Any:
    """Log density [...] of a diagonal Gaussian at (x - mean) / std [..., A]."""
    each = -0.5 * ops.square(standardised) - log_std - 0.5 * math.log(2.0 * math.pi)
    return ops.sum(each, axis=-1)
