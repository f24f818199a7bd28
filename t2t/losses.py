"""Losses as (sum, weight) pairs, so that any sharding divides by the global weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from keras import ops

Sum = tuple[Any, Any]  # (sum of weighted values, sum of weights), float32 scalars

# Inner values of layers, [B] each, that are told beside the loss or join it.
PER_ROW = ("load_balance", "router_z", "expert_dropped", "ponder")
MOST_EXPERTS = 16  # whose shares are told one by one


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


def soft_cross_entropy(
    logits: Any, teacher: Any, weights: Any, *, temperature: float
) -> Sum:
    """T² · cross-entropy against a teacher's probabilities, both at temperature T.

    Hinton et al., arXiv:1503.02531, section 2: T² keeps the gradients' size. The
    entropy of the teacher is taken off, so that one who says the same scores 0.

    Args:
      logits, teacher: float [..., V].
      weights: float [...]; 0 where nothing counts.
    """
    said, wanted = (
        ops.log_softmax(ops.cast(x, "float32") / temperature, axis=-1)
        for x in (logits, teacher)
    )
    values = ops.sum(ops.exp(wanted) * (wanted - said), axis=-1)
    return weighted_sum(values * temperature**2, weights)


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


def number_metrics(found: Any, wanted: Any, weights: Any) -> dict[str, Sum]:
    """Errors of numbers [B, X] in their own units, with weights [B].

    'normalised_deviation' is the sum of absolute errors over the sum of absolute
    values (the ND of arXiv:1704.04110).
    """
    away, weights = ops.abs(found - wanted), ops.cast(weights, "float32")
    size = ops.sum(ops.mean(ops.abs(wanted), axis=-1) * weights)
    absolute = weighted_sum(ops.mean(away, axis=-1), weights)
    return {
        "absolute_error": absolute,
        "squared_error": weighted_sum(ops.mean(ops.square(away), axis=-1), weights),
        "normalised_deviation": (absolute[0], size),
    }


def add_auxiliary(
    loss: Sum, inner: dict[str, Any], weights: Mapping[str, float], row_weights: Any
) -> tuple[Sum, dict[str, Sum]]:
    """The loss with the auxiliary losses of all layers, and their means to be told.

    A layer's auxiliary loss is a number for each row, of its own tokens; it joins the
    loss as often as the row's targets count, so that sharding changes nothing.

    Args:
      loss: of the outputs.
      inner: holds '.../NAME' [B] for names in `PER_ROW`, and '.../expert_share'
        [B, E].
      weights: by NAME.
      row_weights: float [B], the targets of each row.
    """
    total, weight = loss
    row_weights = ops.cast(row_weights, "float32")
    told: dict[str, Sum] = {}
    for name in PER_ROW:
        found = _of_layers(inner, name)
        if found:
            total = total + ops.sum(sum(found) * row_weights) * weights.get(name, 0.0)
            told[name] = weighted_sum(sum(found) / len(found), row_weights)
    shares = _of_layers(inner, "expert_share")
    if shares and shares[0].shape[-1] <= MOST_EXPERTS:
        mean: Any = sum(shares) / len(shares)
        for i in range(mean.shape[-1]):
            told[f"expert_{i}"] = weighted_sum(mean[:, i], row_weights)
    return (total, weight), told


def _of_layers(inner: dict[str, Any], name: str) -> list[Any]:
    """The inner values '.../name' of all layers."""
    return [v for path, v in inner.items() if path.rsplit("/", 1)[-1] == name]


def of_tokens(
    logits: Any,
    targets: Any,
    segments: Any,
    inner: dict[str, Any],
    *,
    label_smoothing: float,
    training: bool,
    auxiliary: Mapping[str, float] | None = None,
) -> tuple[dict[str, Sum], dict[str, Any]]:
    """What a text model's `losses` returns: one group, and metrics when evaluating.

    Args:
      auxiliary: weights of the layers' own losses, see `add_auxiliary`.
    """
    present = ops.cast(segments > 0, "float32")
    loss = cross_entropy(logits, targets, present, label_smoothing=label_smoothing)
    inner = {**inner, "logits": logits, "counted": present}
    loss, told = add_auxiliary(loss, inner, auxiliary or {}, ops.sum(present, axis=1))
    if not training:
        told.update(token_metrics(logits, targets, segments))
    return {"all": loss}, {**inner, "metrics": told} if told else inner


def of_labels(
    logits: Any,
    labels: Any,
    weights: Any,
    inner: dict[str, Any],
    *,
    label_smoothing: float,
    training: bool,
    auxiliary: Mapping[str, float] | None = None,
) -> tuple[dict[str, Sum], dict[str, Any]]:
    """What a classifier's `losses` returns; logits [B, V], labels int [B]."""
    loss = cross_entropy(logits, labels, weights, label_smoothing=label_smoothing)
    inner = {**inner, "logits": logits, "counted": weights}
    loss, told = add_auxiliary(loss, inner, auxiliary or {}, weights)
    if not training:
        told.update(label_metrics(logits, labels, weights))
    return {"all": loss}, {**inner, "metrics": told} if told else inner


def of_numbers(
    found: Any,
    targets: Any,
    weights: Any,
    inner: dict[str, Any],
    *,
    standard: Any,
    training: bool,
    auxiliary: Mapping[str, float] | None = None,
) -> tuple[dict[str, Sum], dict[str, Any]]:
    """What a regressor's `losses` returns; numbers [B, X], of the targets' own units.

    Args:
      inner: holds 'standardised' [B, X], the numbers as `standard` has them.
      standard: a `t2t.layers.standard.Standard` of the targets.
    """
    wanted = ops.cast(targets, "float32")
    error = inner["standardised"] - standard(wanted)
    loss = weighted_sum(ops.mean(ops.square(error), axis=-1), weights)
    loss, told = add_auxiliary(loss, inner, auxiliary or {}, weights)
    if not training:
        told.update(number_metrics(found, wanted, weights))
    statistics = standard.sums(wanted, weights)
    return {"all": loss}, {**inner, "metrics": told, "statistics": statistics}
