"""Learning-rate schedules: every factor against numpy, products, mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from t2t.optimizers.schedules import FACTORS, LearningRate, Schedule

KNOBS = {
    "constant": 0.7,
    "warmup_steps": 10,
    "decay_steps": 110,
    "decay_rate": 0.5,
    "hidden_size": 64,
}


def _progress(step: int) -> float:
    return min(max((step - 10) / 100, 0.0), 1.0)


EXPECTED: dict[str, Callable[[int], float]] = {
    "constant": lambda step: 0.7,
    "linear_warmup": lambda step: min(1.0, (step + 1) / 10),
    "linear_decay": lambda step: 1 - _progress(step),
    "rsqrt_decay": lambda step: max(step, 10) ** -0.5,
    "rsqrt_normalized_decay": lambda step: (max(step, 10) / 10) ** -0.5,
    "rsqrt_hidden_size": lambda step: 64**-0.5,
    "single_cycle_cos_decay": lambda step: (
        0.5 * (1 + math.cos(math.pi * _progress(step)))
    ),
    "exp_decay": lambda step: 0.5 ** (max(step - 10, 0) / 110),
    "noam": lambda step: (
        5000 * 64**-0.5 * min((step + 1) * 10**-1.5, (step + 1) ** -0.5)
    ),
}


def test_every_factor_has_its_formula_here() -> None:
    assert set(EXPECTED) == set(FACTORS)


@pytest.mark.parametrize("name", EXPECTED)
def test_factor(name: str) -> None:
    rate = LearningRate(schedule=name, **KNOBS)
    for step in (0, 1, 9, 10, 11, 60, 110, 1000):
        assert float(rate.at(step)) == pytest.approx(
            EXPECTED[name](step), rel=1e-5, abs=1e-7
        )


def test_a_schedule_is_the_product_of_its_factors() -> None:
    names = ["constant", "linear_warmup", "rsqrt_decay", "rsqrt_hidden_size"]
    schedule = Schedule(LearningRate(schedule=" * ".join(names), **KNOBS))
    for step in (0, 5, 500):
        product = math.prod(EXPECTED[name](step) for name in names)
        assert float(schedule(step)) == pytest.approx(product, rel=1e-5)
    assert schedule.get_config()["warmup_steps"] == 10


def test_no_warmup_and_no_decay_are_defined() -> None:
    everything = "*".join(FACTORS)
    rate = LearningRate(schedule=everything, warmup_steps=0, decay_steps=1)
    assert math.isfinite(float(rate.at(0))) and math.isfinite(float(rate.at(7)))


def test_unknown_factor_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="'linear_warmpu'.*'linear_warmup'"):
        LearningRate(schedule="constant*linear_warmpu")
