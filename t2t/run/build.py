"""From the name in a configuration to a built model."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from t2t import config as config_lib
from t2t import registry
from t2t.config import Config
from t2t.features import Feature, check_match
from t2t.layers import adapters  # noqa: F401  registers `adapters`
from t2t.sources import Batch


def apply(config: Config, *, strict: bool = True) -> None:
    """Imports the model and gives gin the whole configuration.

    Args:
      strict: whether a binding of something that is not imported is an error; it
        is none when decoding, which imports no trainer.
    """
    zoo = registry.current()
    name = config.knob("model")
    zoo.load("model", name)
    others = (set(zoo.names("problem")) | set(zoo.names("model"))) - {name}
    known = set(config_lib.configurables())
    config.apply(
        wanted=lambda selector: selector not in others and (strict or selector in known)
    )


def make_model(
    config: Config,
    features: dict[str, Feature],
    *,
    dtype: str = "float32",
    seed: int = 0,
) -> Any:
    """The model that the configuration names, with all its variables.

    Args:
      dtype: a Keras dtype policy, such as 'mixed_bfloat16'.
      seed: of the initial weights.

    Raises:
      FeatureMismatch: when the model cannot take these features.
      ValueError: from the model, for knobs that do not fit together.
    """
    name = config.knob("model")
    check_match(config.knob("problem"), name)
    keras.utils.set_random_seed(seed)
    with dtype_policy(dtype):
        model = config_lib.build(f"model.{name}")(features)
        model(blank_batch(features))
        config_lib.build("adapters")().add(model)
    return model


def count_parameters(config: Config, features: dict[str, Feature]) -> int:
    """Trained parameters of the model, counted without making them.

    Raises: as `make_model`.
    """

    def build() -> int:
        batch = {
            name: keras.KerasTensor(value.shape, value.dtype.name)
            for name, value in blank_batch(features).items()
        }
        with keras.StatelessScope(initialize_variables=False):
            model = config_lib.build(f"model.{config.knob('model')}")(features)
            model(batch)
        return sum(int(np.prod(v.shape)) for v in model.trainable_variables)

    # Keras keeps variables that wait for their values by thread: they go with it.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(build).result()


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers made within have this policy; the global one is as before after."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def blank_batch(
    features: dict[str, Feature], *, rows: int = 1, length: int = 8
) -> Batch:
    """A batch of the right names, dtypes and ranks, to build and measure with."""
    batch: Batch = {"weights": np.ones((rows,), np.float32)}
    for name, feature in features.items():
        shape = (rows, *(length if size is None else size for size in feature.shape))
        batch[name] = np.zeros(shape, feature.dtype)
        if feature.sequence:
            batch[name] += 2
            batch[f"{name}_segments"] = np.ones(shape, np.int32)
            batch[f"{name}_positions"] = np.broadcast_to(
                np.arange(length, dtype=np.int32), shape
            ).copy()
    return batch
