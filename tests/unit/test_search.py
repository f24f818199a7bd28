"""Beam search against exhaustive search, a plain numpy beam, and its own promises."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest
import tensorflow as tf
import toy_decoding as toy
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.decode.search import beam_search, top_k
from t2t.features import EOS

BATCH = toy.batch([0, 1, 2])


def _search(
    model: Any, *, width: int, alpha: float, length: int, which: Any = BATCH
) -> tuple[np.ndarray, np.ndarray]:
    tokens, scores = beam_search(model, which, width=width, length=length, alpha=alpha)
    return kit.array(tokens), kit.array(scores)


def _penalty(tokens: tuple[int, ...], alpha: float) -> float:
    return ((5 + len(tokens)) / 6) ** alpha


@settings(max_examples=10)
@given(
    size=st.integers(3, 5),
    length=st.integers(1, 3),
    alpha=st.sampled_from([0.0, 0.6, 1.5]),
    seed=st.integers(0, 1000),
)
def test_wide_beam_is_exhaustive_search(
    size: int, length: int, alpha: float, seed: int
) -> None:
    """With a beam as wide as the tree nothing is lost: the N best are the N best."""
    model = toy.TableModel(size, length, seed=seed)
    width = (size - 2) ** (length - 1) * (size - 1)
    tokens, scores = _search(model, width=width, alpha=alpha, length=length)
    for which in range(3):
        every = {
            output: model.score(which, output) / _penalty(output, alpha)
            for output in model.outputs()
        }
        best = sorted(every, key=lambda output: -every[output])[:width]
        kept = [
            (toy.tokens_of(row), score)
            for row, score in zip(tokens[which], scores[which], strict=True)
            if EOS in row and score > -1e3  # no output with padding in it
        ]
        assert len(kept) == len(best) and kept[0][0] == best[0]
        for (output, score), expected in zip(kept, best, strict=True):
            assert score == pytest.approx(every[output], abs=1e-3)
            assert score == pytest.approx(every[expected], abs=1e-3)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), length=st.integers(1, 20))
def test_width_one_is_greedy(seed: int, length: int) -> None:
    model = toy.TableModel(6, length, seed=seed)
    tokens, scores = _search(model, width=1, alpha=0.0, length=length)
    for which in range(3):
        greedy: tuple[int, ...] = ()
        while len(greedy) < length and EOS not in greedy:
            greedy += (int(model.log_chances(which, greedy).argmax()),)
        assert toy.tokens_of(tokens[which, 0])[: len(greedy)] == greedy
        assert scores[which, 0] == pytest.approx(model.score(which, greedy), abs=1e-3)


def _plain_beam(
    model: toy.TableModel, which: int, *, width: int, length: int, alpha: float
) -> list[tuple[float, tuple[int, ...]]]:
    """The same search with lists: the ended among the best W finish, W live on."""
    living: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    finished: list[tuple[float, tuple[int, ...]]] = []
    for _ in range(length):
        grown = sorted(
            (score + chance, (*tokens, token))
            for score, tokens in living
            for token, chance in enumerate(model.log_chances(which, tokens))
            if token
        )[::-1][: 2 * width]
        for score, tokens in grown[:width]:
            if tokens[-1] == EOS:
                finished.append((score / _penalty(tokens, alpha), tokens))
        living = [entry for entry in grown if entry[1][-1] != EOS][:width]
        finished = sorted(finished)[::-1][:width]
        bound = living[0][0] / _penalty((0,) * length, alpha) if living else -np.inf
        if len(finished) == width and finished[-1][0] >= bound:
            break
    return finished


@pytest.mark.parametrize("rows", [3, 8])
@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize("width, length", [(2, 5), (4, 40), (3, 20)])
def test_beam_is_the_plain_beam(
    width: int, length: int, alpha: float, rows: int
) -> None:
    """Across the stages at 16 and 32, under XLA, with rows that end at any time."""
    model = toy.TableModel(7, length, seed=width, sharpness=1.0)
    if length > 10:
        model.table[..., EOS] -= 1.0  # long outputs
    which = [row % 3 for row in range(rows)]
    run = tf.function(
        lambda batch: beam_search(
            model, batch, width=width, length=length, alpha=alpha
        ),
        jit_compile=True,
        autograph=False,
    )
    arrays = {n: tf.constant(v) for n, v in toy.batch(which).items()}
    tokens, scores = (kit.array(value) for value in run(arrays))
    ended = 0
    for row in range(rows):
        expected = _plain_beam(
            model, which[row], width=width, length=length, alpha=alpha
        )
        ended += bool(expected)
        for w, (score, output) in enumerate(expected):
            assert scores[row, w] == pytest.approx(score, abs=1e-3)
            assert toy.tokens_of(tokens[row, w]) == output
            assert not tokens[row, w, len(output) :].any()
        # Best first; what was cut comes after what ended, whatever its score.
        cut = [toy.tokens_of(tokens[row, w]) for w in range(len(expected), width)]
        assert all(EOS not in output for output in cut)
    assert ended, "the case must be one in which something ends"


def test_what_never_ends_is_cut_and_comes_last() -> None:
    model = toy.TableModel(5, 4, seed=1)
    model.table[..., EOS] = -1e4
    model.table[:, 0, :, :, EOS] = 1.0  # only the empty output can end
    tokens, scores = _search(model, width=3, alpha=0.6, length=4)
    for which in range(3):
        outputs = [toy.tokens_of(row) for row in tokens[which]]
        assert outputs[0] == (EOS,) and [len(o) for o in outputs] == [1, 4, 4]
        for output, score in zip(outputs, scores[which], strict=True):
            expected = model.score(which, output) / _penalty(output, 0.6)
            assert score == pytest.approx(expected, abs=1e-2)


def test_alpha_lengthens() -> None:
    model = toy.TableModel(5, 8, seed=2, sharpness=0.5)
    lengths = []
    for alpha in (0.0, 3.0):
        tokens, _ = _search(model, width=4, alpha=alpha, length=8)
        lengths.append(sum(len(toy.tokens_of(row)) for row in tokens[:, 0]))
    assert lengths[0] < lengths[1]


@settings(max_examples=20)
@given(
    rows=st.integers(1, 3),
    size=st.sampled_from([5, 40, 700, 1500, 2100]),
    k=st.integers(1, 5),
    ties=st.booleans(),
    seed=st.integers(0, 100),
)
def test_top_k_is_exact(rows: int, size: int, k: int, ties: bool, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(rows, size)).astype("float32")
    if ties:
        values = np.round(values)
    top, index = (kit.array(v) for v in top_k(values, k))
    order = np.argsort(-values, axis=-1, kind="stable")[:, :k]
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(top, np.take_along_axis(values, order, axis=-1))
