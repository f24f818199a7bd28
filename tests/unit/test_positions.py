"""Positions: formulas in numpy, and what each kind promises."""

from __future__ import annotations

import math

import kit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t.layers.distance import Aligned, Placed
from t2t.layers.position import LearnedPositions, rotate, sinusoids
from t2t.layers.relative import RelativeBias, slopes


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
    found = layer.bucket(distances)
    expected = [_t5_bucket(int(d), bidirectional, 32, 128) for d in distances]
    np.testing.assert_array_equal(found, expected)
    # As in T5, no distance falls into the first bucket of those ahead.
    assert set(found) == set(range(32)) - ({16} if bidirectional else set())


def test_relative_bias_reads_positions_not_places() -> None:
    layer = RelativeBias(2, bidirectional=True)
    positions = np.array([[0, 1, 2, 0, 1]])
    bias = kit.array(layer(between=Placed(positions, positions)))  # [B, H, T, S]
    assert bias.shape == (1, 2, 5, 5)
    np.testing.assert_array_equal(bias[0, :, 3:, 3:], bias[0, :, :2, :2])
    assert not np.allclose(bias[0, :, 0, 1], bias[0, :, 1, 0])
    aligned = kit.array(layer(between=Aligned(5, 5)))
    np.testing.assert_array_equal(aligned[0, :, :3, :3], bias[0, :, :3, :3])


@given(
    queries=st.integers(1, 5),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    causal=st.booleans(),
)
def test_values_by_distance_come_to_their_pairs(
    queries: int, before: int, after: int, causal: bool
) -> None:
    """Skewed or gathered; and what is collected is the transpose of that."""
    keys = before + queries + after
    rng = np.random.default_rng(queries)
    aligned = Aligned(queries, keys, before=before, causal=causal)
    distance = np.arange(keys)[None] - np.arange(queries)[:, None] - before
    np.testing.assert_array_equal(kit.array(aligned.distance)[0], distance)
    positions = np.arange(-before, queries + after)[None]
    placed = Placed(positions[:, before : before + queries], positions, causal=causal)
    np.testing.assert_array_equal(kit.array(placed.distance)[0], distance)
    counts = ~(causal & (distance > 0))  # of other pairs nothing is promised
    for between in (aligned, placed):
        span = between.span()
        x = rng.normal(size=(2, 3, queries, len(span))).astype("float32")
        found = kit.array(between.spread(np.repeat(x[:1], 1, 0), span))[0]
        for i, j in zip(*np.nonzero(counts), strict=True):
            at = int(distance[i, j]) - int(span[0])
            np.testing.assert_array_equal(found[:, i, j], x[0, :, i, at])
        pairs = rng.normal(size=(1, 3, queries, keys)).astype("float32") * counts
        back = kit.array(between.collect(pairs, span))
        assert (back * x[:1]).sum() == pytest.approx((pairs * found).sum(), abs=1e-3)


def test_slopes_are_those_of_the_paper() -> None:
    """ALiBi: 1/2, 1/4, … 1/256 for 8 heads; 12 heads are in the authors' code."""
    assert slopes(8) == [2.0**-i for i in range(1, 9)]
    assert slopes(12) == slopes(8) + [2.0 ** -(i - 0.5) for i in (1, 2, 3, 4)]


def test_learned_positions_share_the_last_vector() -> None:
    layer = LearnedPositions(4, 3)
    found = kit.array(layer(np.array([[0, 3, 4, 99]])))[0]
    np.testing.assert_array_equal(found[1], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    assert not np.allclose(found[0], found[1])
