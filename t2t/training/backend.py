"""What computes: TensorFlow, or JAX where KERAS_BACKEND=jax says so.

Each has two rooms of the same shape: devices (strategies by name, number formats,
compiling) and the step.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import NamedTuple

import keras

from t2t.training.step import Step


class Backend(NamedTuple):
    """devices: `tensorflow_devices` or `jax_devices`. step: made of a model."""

    name: str
    devices: ModuleType
    step: type[Step]


@functools.cache
def backend() -> Backend:
    """The one that Keras uses.

    Raises:
      ValueError: for a third.
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        from t2t.training import tensorflow_devices
        from t2t.training.tensorflow_step import TensorFlowStep

        return Backend(name, tensorflow_devices, TensorFlowStep)
    if name == "jax":
        from t2t.training import jax_devices
        from t2t.training.jax_step import JaxStep

        return Backend(name, jax_devices, JaxStep)
    raise ValueError(f"KERAS_BACKEND={name}: t2t trains on tensorflow or jax")
