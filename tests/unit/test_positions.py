"""Positions: formulas in numpy, and what each kind promises."""

from __future__ import annotations

import math

import kit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t.layers.position import LearnedPositions, RelativeBias, rotate, sinusoids


@pytest.mark.parametrize("size", [8, 7])
def test_sinusoids_are_the_formula(size: int) -> None:
    positions = np.array([[0, 1, 5, 300]])
    found = kit.array(sinusoids(positions, size))[0]
    half = size // 2
    for row, position in zip(found, positions[0], strict=True):
        for i in range(half):
            angle = position / 10_000 ** (i / (half - 1))
            assert row[i] == pytest.approx(math.sin(angle), abs=1e-4)
            assert row[half + i] == pytest.approx(math.cos(angle), abs=1e-4)
    if size % 2:
        assert not found[:, -1].any()


@given(shift=st.integers(0, 500), distance=st.integers(0, 30))
def test_rotary_products_depend_on_the_distance_alone(
    shift: int, distance: int
) -> None:
    rng = np.random.default_rng(distance)
    query, key = (rng.normal(size=(1, 1, 2, 8)).astype("float32") for _ in range(2))

    def product(at: int) -> np.ndarray:
        turned = kit.array(rotate(query, np.array([[at + distance]])))
        other = kit.array(rotate(key, np.array([[at]])))
        return (turned * other).sum(-1)

    np.testing.assert_allclose(product(shift), product(0), atol=2e-3)
    turned = kit.array(rotate(query, np.array([[shift]])))
    np.testing.assert_allclose(np.linalg.norm(turned), np.linalg.norm(query), rtol=1e-5)


def test_rotary_is_a_rotation_of_pairs() -> None:
    x = np.arange(1, 5, dtype="float32").reshape(1, 1, 1, 4)
    turned = kit.array(rotate(x, np.array([[3]])))[0, 0, 0]
    for i, rate in enumerate((1.0, 0.01)):
        a, b = complex(x[0, 0, 0, i], x[0, 0, 0, i + 2]), 3 * rate
        expected = a * complex(math.cos(b), math.sin(b))
        assert turned[i] == pytest.approx(expected.real, abs=1e-5)
        assert turned[i + 2] == pytest.approx(expected.imag, abs=1e-5)


def _t5_bucket(relative: int, bidirectional: bool, buckets: int, furthest: int) -> int:
    """`_relative_position_bucket` of T5, for one key minus query position."""
    bucket = 0
    if bidirectional:
        buckets //= 2
        bucket += buckets if relative > 0 else 0
        distance = abs(relative)
    else:
        distance = max(-relative, 0)
    exact = buckets // 2
    if distance < exact:
        return bucket + distance
    far = math.log(distance / exact) / math.log(furthest / exact) * (buckets - exact)
    return bucket + min(exact + int(far + 1e-6), buckets - 1)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_relative_buckets_are_those_of_t5(bidirectional: bool) -> None:
    layer = RelativeBias(2, bidirectional=bidirectional)
    distances = np.array([d for d in range(-200, 201)], np.int32)
    found = kit.array(layer.bucket(distances))
    expected = [_t5_bucket(int(d), bidirectional, 32, 128) for d in distances]
    np.testing.assert_array_equal(found, expected)
    # As in T5, no distance falls into the first bucket of those ahead.
    assert set(found) == set(range(32)) - ({16} if bidirectional else set())


def test_relative_bias_reads_positions_not_places() -> None:
    layer = RelativeBias(2, bidirectional=True)
    positions = np.array([[0, 1, 2, 0, 1]])
    bias = kit.array(layer(positions, positions))  # [B, H, T, S]
    assert bias.shape == (1, 2, 5, 5)
    np.testing.assert_array_equal(bias[0, :, 3:, 3:], bias[0, :, :2, :2])
    assert not np.allclose(bias[0, :, 0, 1], bias[0, :, 1, 0])


def test_learned_positions_share_the_last_vector() -> None:
    layer = LearnedPositions(4, 3)
    found = kit.array(layer(np.array([[0, 3, 4, 99]])))[0]
    np.testing.assert_array_equal(found[1], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    assert not np.allclose(found[0], found[1])
