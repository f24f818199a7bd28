"""Returns against loops over time, written from the papers' equations."""

from __future__ import annotations

import numpy as np
import pytest

from t2t import returns

RNG = np.random.default_rng(0)
B, T, GAMMA, TRACE = 5, 17, 0.9, 0.8


@pytest.fixture
def walk():
    """Random rewards and values, with ends of both kinds."""
    rng = np.random.default_rng(1)
    going = (rng.random((B, T)) > 0.1).astype("float32")
    linked = going * (rng.random((B, T)) > 0.1)
    return {
        "reward": rng.normal(size=(B, T)).astype("float32"),
        "value": rng.normal(size=(B, T + 1)).astype("float32"),
        "going": going,
        "linked": linked.astype("float32"),
    }


def test_advantages(walk):
    found = returns.advantages(**walk, discount=GAMMA, trace=TRACE)
    expected, later = np.zeros((B, T)), np.zeros(B)
    for t in reversed(range(T)):
        after = GAMMA * walk["going"][:, t] * walk["value"][:, t + 1]
        delta = walk["reward"][:, t] + after - walk["value"][:, t]
        later = delta + GAMMA * TRACE * walk["going"][:, t] * walk["linked"][:, t] * (
            later
        )
        expected[:, t] = later
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_v_trace(walk):
    log_ratio = RNG.normal(size=(B, T)).astype("float32")
    targets, policy = returns.v_trace(log_ratio, **walk, discount=GAMMA)
    value, reward = walk["value"], walk["reward"]
    rho = np.minimum(np.exp(log_ratio), 1)
    v = np.array(value[:, :-1])
    for t in reversed(range(T)):
        after = GAMMA * walk["going"][:, t]
        delta = rho[:, t] * (reward[:, t] + after * value[:, t + 1] - value[:, t])
        carried = v[:, t + 1] - value[:, t + 1] if t + 1 < T else 0
        v[:, t] = (
            value[:, t] + delta + after * walk["linked"][:, t] * rho[:, t] * (carried)
        )
    np.testing.assert_allclose(targets, v, atol=1e-5)
    later = np.concatenate([v[:, 1:], value[:, -1:]], axis=1)
    later = np.where(walk["linked"] > 0, later, value[:, 1:])
    expected = rho * (reward + GAMMA * walk["going"] * later - value[:, :-1])
    np.testing.assert_allclose(policy, expected, atol=1e-5)


def test_on_policy_v_trace_is_the_lambda_return_of_one(walk):
    targets, _ = returns.v_trace(np.zeros((B, T), "float32"), **walk, discount=GAMMA)
    found = returns.advantages(**walk, discount=GAMMA, trace=1.0)
    np.testing.assert_allclose(targets, found + walk["value"][:, :-1], atol=1e-5)


def test_n_step(walk):
    steps = np.array([1, 3, 17, 16, 2])
    total, after = returns.n_step(walk["reward"], walk["going"], steps, GAMMA)
    for b, n in enumerate(steps):
        count, expected = 1.0, 0.0
        for t in range(n):
            expected += count * walk["reward"][b, t]
            count *= GAMMA * walk["going"][b, t]
        np.testing.assert_allclose(total[b], expected, atol=1e-5)
        np.testing.assert_allclose(after[b], count, atol=1e-6)


def test_projection_as_in_c51():
    support = np.linspace(-2, 2, 9).astype("float32")
    atoms = RNG.uniform(-3, 3, size=(B, 9)).astype("float32")
    mass = RNG.dirichlet(np.ones(9), size=B).astype("float32")
    expected = np.zeros((B, 9))
    for b in range(B):
        for z in range(9):  # the paper's loop
            place = (np.clip(atoms[b, z], -2, 2) + 2) / 0.5
            low, high = int(np.floor(place)), int(np.ceil(place))
            expected[b, low] += mass[b, z] * (high - place if high > low else 1)
            expected[b, high] += mass[b, z] * (place - low)
    found = returns.project(atoms, mass, support)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.sum(found, axis=1), 1, atol=1e-5)


def test_weights_of_horizons():
    candidates = RNG.normal(size=(B, 4, 50)) * np.array([1, 2, 3, 4])[None, :, None]
    candidates = candidates.astype("float32")
    found = np.asarray(returns.inverse_variance_weights(candidates))
    precision = 1 / (candidates.var(axis=-1) + 1e-8)
    expected = precision / precision.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    same = np.repeat(candidates[:, :1], 4, axis=1)
    np.testing.assert_allclose(returns.inverse_variance_weights(same), 0.25, rtol=1e-4)

    weights = np.asarray(returns.covariance_weights(candidates))
    for b in range(B):
        matrix = np.cov(candidates[b], ddof=0) + 1e-3 * np.eye(4)
        solved = np.linalg.solve(matrix, np.ones(4))
        np.testing.assert_allclose(weights[b], solved / solved.sum(), rtol=1e-3)
