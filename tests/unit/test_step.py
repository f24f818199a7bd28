"""The step: clipping after the sum, nothing applied that is not finite, averages,
groups, seeds of replicas. (That devices and micro-batches agree, for every model,
is in tests/conformance.)"""

from __future__ import annotations

from typing import Any

import keras
import kit
import numpy as np
import pytest

from t2t.layers.dropout import Dropout
from t2t.optimizers.optimizers import make_optimizer
from t2t.optimizers.schedules import LearningRate
from t2t.training.step import StepOptions, averaged_weights
from t2t.training.tensorflow_devices import make_strategy, split_rows
from t2t.training.tensorflow_step import TensorFlowStep


class Line(keras.Model):
    """sum over rows of w · x, with weight 1 a row: gradients known by hand."""

    JIT = True

    def __init__(self, size: int = 3, *, rate: float = 0.0) -> None:
        super().__init__(name="line")
        self.dropout = Dropout(rate, name="dropout")
        self.w = self.add_weight(shape=(size,), initializer="zeros", name="w")
        self.built = True

    def losses(self, batch: Any, *, training: bool) -> Any:  # type: ignore[override]
        values = self.dropout(batch["x"], training=training) @ self.w[:, None]
        total = keras.ops.sum(values[:, 0] * batch["weights"])
        return {"all": (total, keras.ops.sum(batch["weights"]))}, {}


class TwoLines(keras.Model):
    """Two groups, each with a loss and an optimizer of its own."""

    JIT = False

    def __init__(self) -> None:
        super().__init__(name="two_lines")
        self.a = self.add_weight(shape=(1,), initializer="zeros", name="a")
        self.b = self.add_weight(shape=(1,), initializer="zeros", name="b")
        self.built = True

    def groups(self) -> dict[str, list[keras.Variable]]:
        return {"first": [self.a], "second": [self.b]}

    def losses(self, batch: Any, *, training: bool) -> Any:  # type: ignore[override]
        rows = batch["x"].shape[0]
        both = keras.ops.sum(batch["x"]) * (self.a[0] + 3 * self.b[0])
        return {"first": (both, rows * 1.0), "second": (both, rows * 1.0)}, {}


class Centred(keras.Model):
    """Keeps an average of what it has seen, as `layers.standard` does."""

    JIT = True

    def __init__(self) -> None:
        super().__init__(name="centred")
        self.w = self.add_weight(shape=(1,), initializer="ones", name="w")
        self.mean = self.add_weight(
            shape=(3,), initializer="zeros", name="mean", trainable=False
        )
        self.built = True

    def losses(self, batch: Any, *, training: bool) -> Any:  # type: ignore[override]
        weights, ops = batch["weights"], keras.ops
        total = ops.sum(weights)
        mean = ops.sum(weights[:, None] * batch["x"], axis=0), total
        return {"all": (total * self.w[0], total)}, {"statistics": {"x": mean}}

    def followers(self) -> list[tuple[keras.Variable, str, float]]:
        return [(self.mean, "x", 0.5)]


def _batch(rows: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(rows, 3)).astype("float32")
    return {"x": x, "weights": np.array([1, 1, 1, 0] * (rows // 4), np.float32)}


def _sgd(rate: float = 1.0) -> Any:
    return lambda: make_optimizer("sgd", learning_rate=LearningRate(constant=rate))


def _step(
    model: Any = None, *, strategy: str = "none", rate: float = 0.0, **knobs: Any
):
    devices = make_strategy(strategy)
    with devices.scope():
        model = model or Line(rate=rate)
    return TensorFlowStep(model, _sgd(), options=StepOptions(**knobs), strategy=devices)


SHARDINGS = [{}, {"strategy": "mirrored"}, {"accumulate": 2}]


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_the_gradient_is_divided_by_the_global_weight_and_clipped_once(
    sharding: dict[str, Any],
) -> None:
    """Row 3 weighs nothing, so the halves have weights 2 and 1: a mean of means, or
    clipping before the sum, would give something else."""
    batch = _batch()
    gradient = batch["x"][:3].mean(axis=0)
    for clip in (0.0, 0.01, 100.0):
        step = _step(clip_norm=clip, **sharding)
        metrics = step(0, batch)
        norm = np.linalg.norm(gradient)
        factor = min(1.0, clip / norm) if clip else 1.0
        np.testing.assert_allclose(step.model.w, -gradient * factor, rtol=1e-5)
        assert float(metrics["gradient_norm/all"]) == pytest.approx(norm, rel=1e-5)
        assert float(metrics["loss/all"]) == 0.0


@pytest.mark.parametrize("sharding", SHARDINGS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_not_applied(bad: float, sharding: Any) -> None:
    step = _step(clip_norm=1.0, **sharding)
    step(0, _batch())
    before = np.array(step.model.w)
    batch = _batch(seed=1)
    batch["x"][1, 1] = bad
    assert not bool(step(1, batch)["finite"])
    np.testing.assert_array_equal(step.model.w, before)
    assert bool(step(2, _batch(seed=2))["finite"])
    assert not np.array_equal(step.model.w, before)


@pytest.mark.parametrize("strategy", ["none", "mirrored"])
def test_the_average_follows(strategy: str) -> None:
    step = _step(strategy=strategy, ema_decay=0.9)
    average = np.zeros(3)
    for i in range(3):
        step(i, _batch(seed=i))
        average += 0.1 * (np.array(step.model.w) - average)
    np.testing.assert_allclose(step.ema[0], average, rtol=1e-5)
    assert averaged_weights(step) == step.ema
    (path,) = [v.path for v in step.model.variables]
    assert {f"model/{path}", f"ema/{path}"} <= set(step.variables())
    plain = _step()
    assert averaged_weights(plain) == plain.model.variables


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_a_statistic_is_followed_however_the_batch_is_shared(
    sharding: dict[str, Any],
) -> None:
    """Plainly averaged at first, by its share after; never by a batch that is bad."""
    devices = make_strategy(sharding.get("strategy", "none"))
    with devices.scope():
        model = Centred()
    options = StepOptions(accumulate=sharding.get("accumulate", 1))
    step = TensorFlowStep(model, _sgd(), options=options, strategy=devices)
    expected = np.zeros(3)
    for number in range(4):
        batch = _batch(seed=number)
        mean = batch["x"][:3].mean(axis=0)  # row 3 weighs nothing
        expected += max(0.5, 1 / (number + 1)) * (mean - expected)
        assert "statistic/x" not in step(number, batch)
        np.testing.assert_allclose(model.mean, expected, rtol=1e-5)
    bad = _batch(seed=9)
    bad["x"][0, 0] = np.inf
    bad["weights"][0] = np.nan
    assert not bool(step(4, bad)["finite"])
    np.testing.assert_allclose(model.mean, expected, rtol=1e-5)


def test_groups_have_their_own_loss_and_optimizer() -> None:
    model = TwoLines()
    step = _step(model)
    metrics = step(0, {"x": np.ones((4, 1), np.float32)})
    assert set(metrics) == {
        "finite", "loss/first", "gradient_norm/first",
        "loss/second", "gradient_norm/second",
    }  # fmt: skip
    np.testing.assert_allclose([model.a[0], model.b[0]], [-1, -3])
    assert len(step.variables()) == 2 + sum(
        len(o.variables) for o in step.optimizers.values()
    )


def test_dropout_differs_by_step_replica_and_micro_batch() -> None:
    batch = {"x": np.ones((4, 3), np.float32), "weights": np.ones(4, np.float32)}
    size = 64
    wide = {"x": np.ones((4, size), np.float32), "weights": batch["weights"]}

    def kept(step: TensorFlowStep, number: int) -> np.ndarray:
        before = np.array(step.model.w)
        step(number, wide)
        return before - np.array(step.model.w)  # the mean over rows of the mask

    for sharding in SHARDINGS:
        devices = make_strategy(sharding.get("strategy", "none"))
        with devices.scope():
            model = Line(size, rate=0.5)
        options = StepOptions(accumulate=sharding.get("accumulate", 1))
        step = TensorFlowStep(model, _sgd(), options=options, strategy=devices)
        first, second, again = (kept(step, i) for i in (0, 1, 0))
        assert not np.allclose(first, second), "another step, another mask"
        np.testing.assert_allclose(first, again, atol=1e-6)
        # Four rows of independent bits: counts of 0 to 4 times 2/4, so some odd.
        # If both shares drew one mask, every count would be even.
        assert np.any(np.isclose(first % 1.0, 0.5)), sharding


def test_an_unknown_strategy_is_met_with_a_close_one() -> None:
    with pytest.raises(ValueError, match="'miror'.*Did you mean 'mirrored'"):
        make_strategy("miror")


def test_rows_are_shared_out_in_order() -> None:
    strategy = make_strategy("mirrored")
    values = strategy.experimental_local_results(
        split_rows(strategy, {"x": np.arange(6)})["x"]
    )
    assert [v.numpy().tolist() for v in values] == [[0, 1, 2], [3, 4, 5]]


class Twins(keras.Model):
    """Two layers that forgot to have names of their own."""

    def __init__(self) -> None:
        super().__init__(name="twins")
        self.parts = [keras.layers.Dense(1, name="same") for _ in range(2)]
        for part in self.parts:
            part.build((1, 1))
        self.built = True


def test_two_layers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="give every layer a name of its own"):
        TensorFlowStep(Twins(), _sgd(), jit=False).variables()


def test_the_learning_rate_is_that_of_the_next_step() -> None:
    rate = LearningRate("constant*linear_warmup", constant=1.0, warmup_steps=4)
    step = TensorFlowStep(Line(), lambda: make_optimizer("sgd", learning_rate=rate))
    assert step.learning_rate() == pytest.approx(0.25)
    step(0, _batch())
    assert step.learning_rate() == pytest.approx(0.5)
    assert step.multiple_of == 1
    assert kit.array(step.optimizers["all"].iterations) == 1
