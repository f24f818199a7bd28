"""Sampling: what may be drawn, how often, and that a row is its seed's alone."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest
import toy_decoding as toy
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.decode.search import gumbel, restrict, sample
from t2t.features import EOS


def _allowed(logits: np.ndarray, **kept: Any) -> np.ndarray:
    return kit.array(restrict(logits[None], **kept))[0] > -1e8


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


@settings(max_examples=30)
@given(
    size=st.integers(2, 20),
    keep_k=st.integers(0, 25),
    keep_p=st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.1, 0.9]),
    seed=st.integers(0, 100),
)
def test_restrict_is_numpy(
    size: int, keep_k: int, keep_p: float, min_p: float, seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(size=size).astype("float32") * 2
    found = _allowed(logits, keep_k=keep_k, keep_p=keep_p, min_p=min_p)
    order = np.argsort(-logits)
    allowed = set(order[:keep_k] if keep_k else order)
    left = np.where([i in allowed for i in range(size)], logits, -1e9)
    if keep_p < 1:
        before = np.cumsum(_softmax(left)[order]) - _softmax(left)[order]
        allowed &= set(order[before < keep_p])
        left = np.where([i in allowed for i in range(size)], logits, -1e9)
    if min_p:
        shares = _softmax(left)
        allowed &= set(np.flatnonzero(shares >= min_p * shares.max()))
    assert set(np.flatnonzero(found)) == allowed
    assert found[order[0]], "the likeliest is always left"


def _sample(seeds: list[int], which: list[int], **kept: Any) -> tuple[Any, Any]:
    model = toy.TableModel(6, 8, seed=3)
    tokens, scores = sample(
        model, toy.batch(which), np.array(seeds, np.int32), length=8, **kept
    )
    return kit.array(tokens)[:, 0], kit.array(scores)[:, 0]


def test_a_row_depends_on_its_seed_and_input_alone() -> None:
    together, scores = _sample([5, 6, 7, 5], [0, 1, 2, 0])
    np.testing.assert_array_equal(together[0], together[3])
    for i, (seed, which) in enumerate(((5, 0), (6, 1), (7, 2))):
        alone, score = _sample([seed], [which])
        np.testing.assert_array_equal(alone[0], together[i])
        assert score[0] == pytest.approx(float(scores[i]), abs=1e-4)
    other, _ = _sample([15, 16, 17], [0, 1, 2])
    assert not np.array_equal(other, together[:3])


def test_scores_are_the_models_log_chances() -> None:
    model = toy.TableModel(6, 8, seed=3)
    tokens, scores = _sample(list(range(20)), [1] * 20, temperature=2.0)
    for row, score in zip(tokens, scores, strict=True):
        output = toy.tokens_of(row)
        assert score == pytest.approx(model.score(1, output), abs=1e-3)
        assert not row[len(output) :].any()
        assert EOS in output or len(output) == 8


def test_keep_one_is_greedy() -> None:
    model = toy.TableModel(6, 8, seed=3)
    tokens, _ = _sample([1, 2, 3], [0, 0, 0], keep_k=1)
    first = int(model.log_chances(0, ()).argmax())
    assert (tokens[:, 0] == first).all() and (tokens == tokens[0]).all()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_frequencies_are_the_chances(temperature: float) -> None:
    count = 4000
    model = toy.TableModel(6, 8, seed=3)
    tokens, _ = _sample(list(range(count)), [2] * count, temperature=temperature)
    found = np.bincount(tokens[:, 0], minlength=6) / count
    expected = _softmax(model.log_chances(2, ()) / temperature)
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_gumbel_noise_has_its_mean_and_variance() -> None:
    noise = kit.array(gumbel(20_000, kit.keras.ops.convert_to_tensor([3, 4], "uint32")))
    np.testing.assert_allclose(noise.mean(axis=1), 0.5772, atol=0.03)
    np.testing.assert_allclose(noise.var(axis=1), np.pi**2 / 6, atol=0.06)
    assert abs(np.corrcoef(noise)[0, 1]) < 0.03
