"""Losses against numpy: sums, weights, smoothing, metrics."""

from __future__ import annotations

import kit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t import losses


def _case(size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(3, 4, size)).astype("float32") * 3
    targets = rng.integers(0, size, (3, 4)).astype("int32")
    return logits, targets, rng.integers(0, 2, (3, 4)).astype("float32")


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@given(
    size=st.integers(2, 30),
    smoothing=st.sampled_from([0.0, 0.1, 0.3]),
    seed=st.integers(0, 50),
)
def test_cross_entropy(size: int, smoothing: float, seed: int) -> None:
    logits, targets, weights = _case(size, seed)
    total, weight = losses.cross_entropy(
        logits, targets, weights, label_smoothing=smoothing
    )
    wanted = np.full(logits.shape, smoothing / (size - 1))
    np.put_along_axis(wanted, targets[..., None], 1 - smoothing, axis=-1)
    entropy = -np.sum(wanted * np.log(np.maximum(wanted, 1e-20)), axis=-1)
    values = -(wanted * _log_softmax(logits)).sum(-1) - entropy
    assert float(total) == pytest.approx(float((values * weights).sum()), abs=1e-3)
    assert float(weight) == weights.sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_perfect_prediction_scores_zero(smoothing: float) -> None:
    targets = np.array([2, 0])
    wanted = np.full((2, 5), smoothing / 4 + 1e-12)
    wanted[[0, 1], targets] = 1 - smoothing
    logits = np.log(wanted).astype("float32")
    total, _ = losses.cross_entropy(
        logits, targets, np.ones(2), label_smoothing=smoothing
    )
    assert float(total) == pytest.approx(0.0, abs=1e-5)


def test_token_metrics_leave_out_padding() -> None:
    logits, targets, _ = _case(6, 0)
    segments = np.array([[1, 1, 2, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    found = losses.token_metrics(logits, targets, segments)
    correct = (logits.argmax(-1) == targets)[segments > 0]
    assert float(found["accuracy"][0]) == correct.sum()
    assert float(found["accuracy"][1]) == 4
    picked = np.take_along_axis(_log_softmax(logits), targets[..., None], -1)[..., 0]
    assert float(found["cross_entropy"][0]) == pytest.approx(
        -picked[segments > 0].sum(), rel=1e-5
    )


def test_label_metrics_leave_out_filler() -> None:
    logits = np.eye(3, dtype="float32") * 5
    found = losses.label_metrics(logits, np.array([0, 1, 0]), np.array([1.0, 1, 0]))
    assert [float(v) for v in found["accuracy"]] == [2.0, 2.0]


@pytest.mark.parametrize("training", [False, True])
def test_metrics_come_with_evaluation_only(training: bool) -> None:
    logits, targets, weights = _case(5, 1)
    of_tokens, inner = losses.of_tokens(
        logits, targets, weights, {"x": 1}, label_smoothing=0.1, training=training
    )
    assert set(of_tokens) == {"all"} and inner["x"] == 1
    assert ("metrics" in inner) is not training


def test_low_precision_logits_are_summed_in_float32() -> None:
    logits = kit.keras.ops.cast(_case(5, 2)[0], "bfloat16")
    total, _ = losses.cross_entropy(logits, _case(5, 2)[1], np.ones((3, 4)))
    assert kit.keras.backend.standardize_dtype(total.dtype) == "float32"


def test_a_teacher_is_followed_as_in_hinton() -> None:
    """T² · KL(teacher || student), both softmaxes at temperature T."""
    rng = np.random.default_rng(0)
    logits, teacher = rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3, 5))
    weights = np.array([[1, 1, 0], [1, 0, 0]], np.float32)

    def softmax(x: np.ndarray) -> np.ndarray:
        shares = np.exp(x / 2.5)
        return shares / shares.sum(axis=-1, keepdims=True)

    p, q = softmax(teacher), softmax(logits)
    expected = ((p * np.log(p / q)).sum(-1) * weights).sum() * 2.5**2
    total, weight = losses.soft_cross_entropy(logits, teacher, weights, temperature=2.5)
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    assert float(weight) == 3
