"""Dropout: the rate, and a mask that is a function of seed and name alone."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest
import tensorflow as tf

from t2t.layers.dropout import Dropout
from t2t.layers.seeds import random_bits, random_seed, uint32

ONES = np.ones((64, 128), "float32")


def _mask(layer: Dropout, seed: Any, *, jit: bool | None = None) -> np.ndarray:
    def run(seed: Any) -> Any:
        with random_seed(seed):
            return layer(ONES, training=True)

    if jit is not None:
        run = tf.function(run, jit_compile=jit, autograph=False)
    return kit.array(run(tf.constant(seed, tf.int32)))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_and_scale(rate: float) -> None:
    out = _mask(Dropout(rate, name="d"), 3)
    assert np.mean(out == 0) == pytest.approx(rate, abs=0.02)
    np.testing.assert_allclose(out[out != 0], 1 / (1 - rate), rtol=1e-5)


def test_the_mask_is_a_function_of_seed_and_layer() -> None:
    first, other = Dropout(0.5, name="first"), Dropout(0.5, name="other")
    mask = _mask(first, 7)
    np.testing.assert_array_equal(mask, _mask(first, 7))
    np.testing.assert_array_equal(mask, _mask(Dropout(0.5, name="first"), 7))
    for another in (_mask(first, 8), _mask(other, 7)):
        # Independent masks of one half agree in one half.
        assert np.mean((mask == 0) == (another == 0)) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_is_eager(jit: bool) -> None:
    layer = Dropout(0.3, name="d")
    np.testing.assert_array_equal(_mask(layer, 5), _mask(layer, 5, jit=jit))


def test_no_dropout_outside_of_training() -> None:
    layer = Dropout(0.5)
    np.testing.assert_array_equal(kit.array(layer(ONES)), ONES)
    np.testing.assert_array_equal(kit.array(Dropout(0.0)(ONES, training=True)), ONES)


def test_training_without_a_seed_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="random_seed"):
        Dropout(0.5)(ONES, training=True)
    with random_seed(1), pytest.raises(RuntimeError):
        with random_seed(None):
            Dropout(0.5)(ONES, training=True)


def test_rate_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        Dropout(1.0)


def test_bits_are_uniform() -> None:
    bits = kit.array(random_bits((1 << 16,), uint32(9)))
    counts = np.bincount(bits >> 24, minlength=256)
    assert ((counts - 256) ** 2 / 256).sum() < 350  # chi-square, 255 degrees
    ones = [(bits >> shift & 1).mean() for shift in range(32)]
    np.testing.assert_allclose(ones, 0.5, atol=0.02)
