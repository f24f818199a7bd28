"""Returns, advantages and targets of reinforcement learning: pure functions.

Axis letters: B batch, T steps of a sequence, Z atoms of a distribution, H horizon,
N samples. Time runs along axis 1. `going` is 1 where the episode goes on after a
step and 0 where it *terminated*; a truncated step goes on, its return is unknown
and taken from the value of the next observation.
"""

from __future__ import annotations

from typing import Any

from keras import ops


def discounted_product(going: Any, discount: float) -> Any:
    """What a reward of step t counts at step 0: prod of discount·going before t.

    Args:
      going: float [B, T].

    Returns:
      [B, T+1]: 1 first; the last is what the value after all T steps counts.
    """
    factors = ops.cast(going, "float32") * discount
    ones = ops.ones_like(factors[:, :1])
    return ops.cumprod(ops.concatenate([ones, factors], axis=1), axis=1)


def n_step(reward: Any, going: Any, steps: Any, discount: float) -> tuple[Any, Any]:
    """The return of up to T steps and what the value after them counts.

    Args:
      reward, going: float [B, T]; what lies beyond `steps` is not looked at.
      steps: int [B], steps of each row, 1 to T.

    Returns:
      (sum of discounted rewards [B], discount of the value after them [B]).
    """
    counts = discounted_product(going, discount)
    there = ops.arange(reward.shape[1])[None, :] < steps[:, None]
    total = ops.sum(ops.where(there, counts[:, :-1] * reward, 0.0), axis=1)
    after = ops.take_along_axis(counts, ops.cast(steps, "int32")[:, None], axis=1)
    return total, after[:, 0]


def backward(delta: Any, factor: Any) -> Any:
    """x_t = delta_t + factor_t · x_{t+1}, with x = 0 after the end; all [B, T].

    By doubling: after each turn an element sums up twice as many steps.
    """
    length, span = delta.shape[1], 1
    while span < length:
        later = [(0, 0), (0, span)]
        delta = delta + factor * ops.pad(delta[:, span:], later)
        factor = factor * ops.pad(factor[:, span:], later)
        span *= 2
    return delta


def advantages(
    reward: Any, value: Any, going: Any, linked: Any, discount: float, trace: float
) -> Any:
    """Generalised advantage estimates (Schulman et al., arXiv:1506.02438, eq. 16).

    Args:
      reward, going: float [B, T].
      value: float [B, T+1], of the observation before each step and after the last.
      linked: float [B, T]: 1 where step t+1 belongs to the same episode as step t.
      trace: λ.

    Returns:
      [B, T]; advantage + value[:, :-1] is the λ-return.
    """
    delta = reward + discount * going * value[:, 1:] - value[:, :-1]
    return backward(delta, discount * trace * going * linked)


def v_trace(
    log_ratio: Any,
    reward: Any,
    value: Any,
    going: Any,
    linked: Any,
    discount: float,
    *,
    clip_rho: float = 1.0,
    clip_c: float = 1.0,
) -> tuple[Any, Any]:
    """V-trace targets and advantages (Espeholt et al., arXiv:1802.01561, eq. 1).

    Args:
      log_ratio: float [B, T], log of target over behaviour probability.
      reward, value, going, linked: as in `advantages`.

    Returns:
      (targets of the value [B, T], policy gradient advantages [B, T]).
    """
    ratio = ops.exp(log_ratio)
    rho, c = ops.minimum(ratio, clip_rho), ops.minimum(ratio, clip_c)
    delta = rho * (reward + discount * going * value[:, 1:] - value[:, :-1])
    excess = backward(delta, discount * going * linked * c)
    targets = value[:, :-1] + excess
    later = ops.concatenate([targets[:, 1:], value[:, -1:]], axis=1)
    # Where the next step is of another episode, its target is no one's bootstrap.
    later = ops.where(linked > 0, later, value[:, 1:])
    return targets, rho * (reward + discount * going * later - value[:, :-1])


def project(atoms: Any, probabilities: Any, support: Any) -> Any:
    """A distribution over moved atoms, on the support (Bellemare et al., C51).

    arXiv:1707.06887, algorithm 1, as a product: each atom's mass goes to the two
    nearest points of the support in proportion to its nearness.

    Args:
      atoms: float [B, Z], where the mass now lies.
      probabilities: float [B, Z].
      support: float [Z], evenly spaced.

    Returns:
      float [B, Z] over the support.
    """
    low, high = support[0], support[-1]
    gap = (high - low) / (support.shape[0] - 1)
    atoms = ops.clip(atoms, low, high)
    distance = ops.abs(atoms[:, None, :] - support[None, :, None]) / gap
    share = ops.clip(1.0 - distance, 0.0, 1.0)
    return ops.einsum("bzm,bm->bz", share, probabilities)


def inverse_variance_weights(candidates: Any, *, epsilon: float = 1e-8) -> Any:
    """How much each horizon counts (STEVE, arXiv:1807.01675, eq. 5).

    Args:
      candidates: float [B, H+1, N], N estimates of each horizon's target.

    Returns:
      float [B, H+1], summing to 1.
    """
    precision = 1.0 / (ops.var(candidates, axis=-1) + epsilon)
    return precision / ops.sum(precision, axis=-1, keepdims=True)


def covariance_weights(candidates: Any, *, ridge: float = 1e-3) -> Any:
    """As `inverse_variance_weights`, heeding that horizons err together.

    The weights that minimise the variance of the mixture, w ∝ C⁻¹·1, with C the
    covariance of the horizons over the N estimates plus a ridge.
    """
    centred = candidates - ops.mean(candidates, axis=-1, keepdims=True)
    size = candidates.shape[-1]
    covariance = ops.einsum("bhn,bgn->bhg", centred, centred) / size
    covariance = covariance + ridge * ops.eye(candidates.shape[1])
    ones = ops.ones_like(covariance[:, :, :1])
    solved = ops.solve(covariance, ones)[..., 0]
    return solved / ops.sum(solved, axis=-1, keepdims=True)
