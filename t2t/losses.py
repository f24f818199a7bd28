"""Losses as (sum, weight) pairs, so that any sharding divides by the global weight."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

Sum = tuple[Any, Any]  # (sum of weighted values, sum of weights), float32 scalars


def cross_entropy(
    logits: Any, targets: Any, weights: Any, *, label_smoothing: float = 0.0
) -> Sum:
    """Softmax cross-entropy against smoothed targets, in nats.

    As in Tensor2Tensor (`padded_cross_entropy`): the smoothing mass is spread over
    the other V-1 classes, and the entropy of the smoothed target is taken off, so
    a perfect prediction scores 0.

    Args:
      logits: float [..., V].
      targets: int [...].
      weights: float [...]; 0 where nothing counts.
      label_smoothing: probability moved from the target to the other classes.
    """
    logits = ops.cast(logits, "float32")
    size = logits.shape[-1]
    log_normaliser = ops.logsumexp(logits, axis=-1)
    # A comparison with iota fuses in XLA, forward and backward; a gather does not.
    hit = ops.equal(ops.arange(size, dtype="int32"), targets[..., None])
    target_logit = ops.sum(ops.where(hit, logits, 0.0), axis=-1)
    values = log_normaliser - target_logit
    if label_smoothing:
        low = label_smoothing / (size - 1)
        high = 1.0 - label_smoothing
        mean_logit = ops.sum(logits, axis=-1)
        values = log_normaliser - (high - low) * target_logit - low * mean_logit
        values += high * math.log(high) + (size - 1) * low * math.log(low + 1e-20)
    return weighted_sum(values, weights)


def weighted_sum(values: Any, weights: Any) -> Sum:
    weights = ops.cast(weights, "float32")
    return ops.sum(ops.cast(values, "float32") * weights), ops.sum(weights)


def token_metrics(logits: Any, targets: Any, segments: Any) -> dict[str, Sum]:
    """Accuracy by token, and the cross-entropy without smoothing, in nats.

    Args:
      logits: [B, T, V].
      targets, segments: int [B, T]; segment 0 is padding.
    """
    weights = ops.cast(segments > 0, "float32")
    correct = ops.equal(ops.argmax(logits, axis=-1), ops.cast(targets, "int32"))
    return {
        "accuracy": weighted_sum(correct, weights),
        "cross_entropy": cross_entropy(logits, targets, weights),
    }


def label_metrics(logits: Any, labels: Any, weights: Any) -> dict[str, Sum]:
    """Accuracy and cross-entropy of classes; logits [B, V], labels int [B]."""
    correct = ops.equal(ops.argmax(logits, axis=-1), ops.cast(labels, "int64"))
    return {
        "accuracy": weighted_sum(correct, weights),
        "cross_entropy": cross_entropy(logits, labels, weights),
    }


def of_tokens(
    logits: Any,
    targets: Any,
    segments: Any,
    inner: dict[str, Any],
    *,
    label_smoothing: float,
    training: bool,
) -> tuple[dict[str, Sum], dict[str, Any]]:
    """What a text model's `losses` returns: one group, and metrics when evaluating."""
    loss = cross_entropy(logits, targets, segments > 0, label_smoothing=label_smoothing)
    if not training:
        inner = {**inner, "metrics": token_metrics(logits, targets, segments)}
    return {"all": loss}, inner


def of_labels(
    logits: Any,
    labels: Any,
    weights: Any,
    inner: dict[str, Any],
    *,
    label_smoothing: float,
    training: bool,
) -> tuple[dict[str, Sum], dict[str, Any]]:
    """What a classifier's `losses` returns; logits [B, V], labels int [B]."""
    loss = cross_entropy(logits, labels, weights, label_smoothing=label_smoothing)
    if not training:
        inner = {**inner, "metrics": label_metrics(logits, labels, weights)}
    return {"all": loss}, inner
