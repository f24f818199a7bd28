"""STEVE's targets against the paper's equations, member by member in numpy.

Buckman et al., arXiv:1807.01675, equations 3 to 5: nothing of `t2t` is used but the
weights of the towers.
"""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest

from t2t.features import Feature
from t2t.models.ddpg import DDPG
from t2t.models.steve import RULES, STEVE
from t2t.run.build import blank_batch

FEATURES = {
    "observation": Feature("real", (3,), "float32", "X"),
    "action": Feature("real", (2,), "float32", "X", low=(-2.0, 0.0), high=(1.0, 4.0)),
}
MIDDLE, REACH = np.array([-0.5, 2.0]), np.array([1.5, 2.0])
B, H, M, R, E, GAMMA, TRACE = 8, 3, 2, 4, 2, 0.9, 0.3


def _model(rule: str) -> STEVE:
    keras.utils.set_random_seed(1)
    model = STEVE(
        FEATURES, hidden_size=8, num_layers=2, model_size=8, model_layers=2,
        values=E, dynamics=M, rewards=R, horizon=H, target_rule=rule,
        trace=TRACE, discount=GAMMA, decay=0.01,
    )  # fmt: skip
    model(blank_batch(FEATURES))
    rng = np.random.default_rng(2)
    for variable in model.variables:
        variable.assign(rng.normal(size=variable.shape) * 0.5)
    return model


def _batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    going = np.ones((B, 1))
    going[2] = 0
    return {
        "observation": rng.normal(size=(B, 3)),
        "next_observation": rng.normal(size=(B, 3)),
        "action": rng.uniform(0.1, 0.9, size=(B, 2)),
        "reward": rng.normal(size=(B, 1)),
        "going": going,
        "steps": np.ones(B, np.int32),
        "weights": np.ones(B),
    }  # fmt: skip


def _tower(tower: Any, x: np.ndarray, member: int | None = None) -> np.ndarray:
    for i, (kernel, bias) in enumerate(zip(tower.kernels, tower.biases, strict=True)):
        w, b = np.array(kernel, np.float64), np.array(bias, np.float64)
        x = x @ w + b if member is None else x @ w[member] + b[member]
        if i < len(tower.kernels) - 1:
            x = np.maximum(x, 0)
    return x


def _policy(model: STEVE, s: np.ndarray) -> np.ndarray:
    return MIDDLE + REACH * np.tanh(_tower(model.policy, s))


def _pair(s: np.ndarray, a: np.ndarray) -> np.ndarray:
    return np.concatenate([s, (a - MIDDLE) / REACH], -1)


def _candidates(model: STEVE, batch: dict[str, np.ndarray]) -> np.ndarray:
    """[B, H+1, M·R·E], one trajectory after another."""
    found = np.zeros((B, H + 1, M * R * E))
    members = itertools.product(range(M), range(R), range(E))
    for sample, (m, r, e) in enumerate(members):
        for i in range(H + 1):
            s = batch["next_observation"]
            total = batch["reward"][:, 0].copy()
            alive = batch["going"][:, 0].copy()  # D: observed, then imagined
            for j in range(1, i + 1):
                pair = _pair(s, _policy(model, s))
                later = s + _tower(model.transition, pair, m)
                three = np.concatenate([later, pair], -1)
                reward = _tower(model.reward, three, r)[:, 0]
                total += alive * GAMMA**j * reward
                ends = 1 / (1 + np.exp(-_tower(model.termination, three, m)[:, 0]))
                alive *= 1 - ends
                s = later
            pair = _pair(s, _policy(model, s))
            value = _tower(model.target_value, pair, e)[:, 0]
            found[:, i, sample] = total + alive * GAMMA ** (i + 1) * value
    return found


def _expected(rule: str, candidates: np.ndarray) -> np.ndarray:
    means = candidates.mean(-1)
    if rule == "ddpg":
        return means[:, 0]
    if rule in ("mve", "mve_tdk"):
        return means[:, H]
    if rule == "mean":
        return means.mean(1)
    if rule == "lambda":
        shares = [(1 - TRACE) * TRACE**i for i in range(H)] + [TRACE**H]
        return means @ np.array(shares)
    if rule == "steve":
        precision = 1 / (candidates.var(-1) + 1e-8)
        return (means * precision).sum(1) / precision.sum(1)
    found = np.zeros(B)
    for b in range(B):
        covariance = np.cov(candidates[b], ddof=0) + 1e-3 * np.eye(H + 1)
        weights = np.linalg.solve(covariance, np.ones(H + 1))
        found[b] = means[b] @ weights / weights.sum()
    return found


@pytest.mark.parametrize("rule", RULES)
def test_targets(rule: str) -> None:
    model, batch = _model(rule), _batch()
    arrays = {n: np.asarray(v, np.float32) for n, v in batch.items()}
    arrays["steps"] = batch["steps"]
    expected = _expected(rule, _candidates(model, batch))
    np.testing.assert_allclose(model.target(arrays), expected, rtol=1e-5, atol=1e-5)


def test_no_horizon_is_ddpg() -> None:
    """With the same weights, and DDPG's target policy where STEVE has its policy."""
    model, batch = _model("ddpg"), _batch()
    arrays = {n: np.asarray(v, np.float32) for n, v in batch.items()}
    arrays["steps"] = batch["steps"]
    plain = DDPG(FEATURES, hidden_size=8, num_layers=2, values=E, discount=GAMMA)
    plain(blank_batch(FEATURES))
    for ours, theirs in (
        (model.policy, plain.target_policy),
        (model.target_value, plain.target_value),
    ):
        for source, target in zip(ours.variables, theirs.variables, strict=True):
            target.assign(source)
    np.testing.assert_allclose(model.target(arrays), plain.target(arrays), atol=1e-5)


def test_what_the_model_learns_from() -> None:
    """Each member on rows of its own: squares, squares, cross-entropy."""
    model, batch = _model("steve"), _batch()
    arrays = {n: np.asarray(v, np.float32) for n, v in batch.items()}
    (total, weight), _ = model.dynamics_loss(arrays)
    pair = _pair(batch["observation"], batch["action"])
    three = np.concatenate([batch["next_observation"], pair], -1)
    expected = 0.0
    for row in range(B):
        m, r = row // (B // M), row // (B // R)
        moved = batch["observation"][row] + _tower(model.transition, pair[row], m)[-1]
        expected += 0.5 * ((moved - batch["next_observation"][row]) ** 2).sum()
        reward = _tower(model.reward, three[row], r).ravel()[0]
        expected += 0.5 * (reward - batch["reward"][row, 0]) ** 2
        chance = 1 / (1 + np.exp(-_tower(model.termination, three[row], m).ravel()[0]))
        ended = 1 - batch["going"][row, 0]
        expected -= ended * np.log(chance) + (1 - ended) * np.log(1 - chance)
    squares = sum(
        float((np.array(k) ** 2).sum())
        for tower in (model.transition, model.reward, model.termination)
        for k in tower.kernels
    )
    expected += B * 0.01 * squares
    assert float(total) == pytest.approx(expected, rel=1e-4) and float(weight) == B
    with pytest.raises(ValueError, match="cannot be shared by 2 members"):
        model.dynamics_loss({n: v[:3] for n, v in arrays.items()})


def test_a_variance_needs_members() -> None:
    with pytest.raises(ValueError, match="at least 2 members"):
        STEVE(FEATURES, values=1)
    with pytest.raises(ValueError, match="no target_rule 'stev'. Did you mean"):
        STEVE(FEATURES, target_rule="stev")
