"""Where numbers stop being finite: the first layer, and the first gradient.

Layers are watched as the model runs them, one operation after another and without
XLA, which is slow and therefore done when something has blown up, or on request.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from t2t.layers.seeds import random_seed
from t2t.training.backend import backend


class _Stop(Exception):
    """Ends the run of a model at the layer that is looked for."""


def first_not_finite(
    model: Any, batch: dict[str, Any], *, seed: int = 0, gradients: bool = True
) -> str:
    """What was not finite first: 'the layer PATH (Class) …'; '' when all is finite.

    Args:
      model: with the weights of the step.
      batch: of the step.
      seed: of its dropout.
      gradients: whether they are looked at, too.
    """
    for variable in model.variables:
        if told := _told(variable.value):
            return f"the weights {variable.path} have {told}"
    arrays = {name: ops.convert_to_tensor(value) for name, value in batch.items()}
    for name, value in arrays.items():
        if told := _told(value):
            return f"the batch's {name} has {told}"
    order: list[str] = []  # of paths, as they are run
    found: list[str] = []
    with random_seed(seed):
        try:
            with _watched(model, order, found):
                losses, inner = model.losses(arrays, training=True)
        except _Stop:
            return found[0]
    for name, (loss, weight) in losses.items():
        if told := _told(loss / ops.maximum(weight, 1e-6)):
            return (
                f"the loss {name!r} has {told}, though all layers' outputs are finite"
            )
    for name, value in inner.items():
        if told := _told(value):
            return f"the inner value {name} has {told}"

    def total() -> Any:
        with random_seed(seed):
            losses, _ = model.losses(arrays, training=True)
        return sum(loss for loss, _ in losses.values())

    return _gradient(model, total, order) if gradients else ""


def _gradient(model: Any, total: Callable[[], Any], order: list[str]) -> str:
    """Of the layer that is nearest to the loss: there it began."""
    variables = model.trainable_variables
    found = backend().devices.gradients(total, variables)
    bad = {
        variable.path: told
        for variable, gradient in zip(variables, found, strict=True)
        if gradient is not None and (told := _told(gradient))
    }
    if not bad:
        return ""
    place = {path: i for i, path in enumerate(order)}
    last = max(bad, key=lambda path: place.get(path.rsplit("/", 1)[0], -1))
    return f"the gradient of {last} has {bad[last]}, though all outputs are finite"


@contextmanager
def _watched(model: keras.Model, order: list[str], found: list[str]) -> Iterator[None]:
    """Each layer of the model looks at what it gives.

    Raises:
      _Stop: from within the first layer whose output is not finite, `found`.
    """
    watched = list(model._flatten_layers(include_self=False))
    for layer in watched:
        object.__setattr__(layer, "call", _looking(layer, order, found))
    try:
        yield
    finally:
        for layer in watched:
            object.__delattr__(layer, "call")


def _looking(layer: Any, order: list[str], found: list[str]) -> Any:
    call = layer.call

    @functools.wraps(call)
    def looking(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        order.append(layer.path)
        for value in keras.tree.flatten(result):
            if told := _told(value):
                name = type(layer).__name__
                found.append(  # Keras changes what an error says on its way
                    f"the layer {layer.path} ({name}) gives {told}; it was given "
                    f"{_range(keras.tree.flatten((args, kwargs)))}"
                )
                raise _Stop
        return result

    return looking


def _told(value: Any) -> str:
    """'3 NaN and 1 infinite of 64 values', or '' where all are finite."""
    if not _floats(value):
        return ""
    array = np.asarray(ops.cast(value, "float32"))
    nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    if not nan + infinite:
        return ""
    parts = [f"{n} {kind}" for n, kind in ((nan, "NaN"), (infinite, "infinite")) if n]
    return f"{' and '.join(parts)} of {array.size} values"


def _range(values: list[Any]) -> str:
    """The numbers that go into a layer, as far as they are floats."""
    arrays = [np.asarray(ops.cast(v, "float32")) for v in values if _floats(v)]
    arrays = [array for array in arrays if array.size]
    if not arrays:
        return "no real numbers"
    low, high = min(a.min() for a in arrays), max(a.max() for a in arrays)
    return f"numbers from {low:.4g} to {high:.4g}"


def _floats(value: Any) -> bool:
    """Whether it is a tensor of floats."""
    return ops.is_tensor(value) and keras.backend.is_float_dtype(value.dtype)
