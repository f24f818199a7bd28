"""Optimizers by name: each takes its knobs and goes downhill."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from t2t import knobs
from t2t.optimizers.optimizers import make_optimizer
from t2t.optimizers.schedules import LearningRate


def _minimise(optimizer: keras.optimizers.Optimizer, steps: int) -> np.ndarray:
    variable = keras.Variable([1.0, -2.0, 3.0])
    optimizer.build([variable])
    for _ in range(steps):
        optimizer.apply([2 * variable], [variable])
    return np.asarray(variable)


@pytest.mark.parametrize("name", knobs.CHOICES["optimizer.name"])
def test_by_name(name: str) -> None:
    optimizer = make_optimizer(name, learning_rate=LearningRate(constant=0.02))
    end = _minimise(optimizer, 20)
    assert (np.abs(end) < [1, 2, 3]).all()
    assert float(optimizer.learning_rate) == pytest.approx(0.02)


def test_adam_is_the_paper() -> None:
    optimizer = make_optimizer(
        "adam",
        learning_rate=LearningRate(constant=0.1),
        beta_1=0.8,
        beta_2=0.9,
        epsilon=1e-9,
    )
    x, m, v = np.array([1.0, -2.0, 3.0]), np.zeros(3), np.zeros(3)
    for t in range(1, 6):
        gradient = 2 * x
        m = 0.8 * m + 0.2 * gradient
        v = 0.9 * v + 0.1 * gradient**2
        x = x - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-9)
    np.testing.assert_allclose(_minimise(optimizer, 5), x, rtol=1e-4)


def test_weight_decay_is_decoupled() -> None:
    rate = LearningRate(constant=0.1)
    plain, decayed = (
        _minimise(make_optimizer("adamw", learning_rate=rate, weight_decay=d), 1)
        for d in (0.0, 0.5)
    )
    np.testing.assert_allclose(
        plain - decayed, 0.1 * 0.5 * np.array([1, -2, 3]), rtol=1e-4
    )


def test_the_schedule_moves_the_rate() -> None:
    rate = LearningRate(schedule="constant*linear_warmup", constant=1.0, warmup_steps=4)
    optimizer = make_optimizer("sgd", learning_rate=rate)
    assert float(optimizer.learning_rate) == pytest.approx(0.25)
    _minimise(optimizer, 2)
    assert float(optimizer.learning_rate) == pytest.approx(0.75)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="'adamv'.*Did you mean 'adam'"):
        make_optimizer("adamv")


def test_muon_orthogonalises_matrices_and_leaves_embeddings_to_adam() -> None:
    """A matrix moves by the polar factor of its gradient, in steps of AdamW's size."""
    rng = np.random.default_rng(0)
    start, gradient = rng.normal(size=(2, 16, 8)).astype("f4")
    moved = {}
    for name in ("kernel", "table"):
        layer = keras.layers.Layer(name="layer")
        weight = layer.add_weight(shape=(16, 8), name=name)
        weight.assign(start)
        optimizer = make_optimizer("muon", learning_rate=LearningRate(constant=0.01))
        optimizer.build([weight])
        optimizer.apply([gradient], [weight])
        moved[name] = start - np.asarray(weight)
    np.testing.assert_allclose(moved["table"], 0.01 * np.sign(gradient), rtol=1e-3)
    u, _, v = np.linalg.svd(gradient, full_matrices=False)
    polar, step = u @ v, moved["kernel"]
    assert (polar * step).sum() > 0.98 * np.linalg.norm(polar) * np.linalg.norm(step)
    assert 0.5 < np.sqrt((step**2).mean()) / (0.2 * 0.01) < 1.5
