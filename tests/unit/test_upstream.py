"""Canaries: a test here fails when upstream mends what this house works around.

Then the workaround named beside it can go.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf


class Listed(keras.Model):
    """A model whose layer is held in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = [keras.layers.Dense(1)]

    def call(self, x: Any) -> Any:
        return self.parts[0](x)


def test_tf_checkpoints_leave_out_layers_in_lists(tmp_path: Path) -> None:
    """t2t.run.checkpoints maps variables by name."""
    model = Listed()
    model(np.ones((1, 2), np.float32))
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "c"))
    saved = [name for name, _ in tf.train.list_variables(path)]
    assert not any("kernel" in name for name in saved)


def test_keras_scan_wants_outputs_like_the_state() -> None:
    """t2t.layers.recurrence runs Keras's RNN in place of `ops.scan`."""
    zero = np.zeros(2, np.float32)

    def step(state: Any, x: Any) -> Any:
        a, b = state
        return (a + x, b), a

    with pytest.raises(ValueError, match="structure"):
        keras.ops.scan(step, (zero, zero), np.ones((3, 2), np.float32))


def test_keras_scan_has_no_gradient_under_xla() -> None:
    """The same."""

    @tf.function(jit_compile=True)
    def run(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            last, _ = keras.ops.scan(lambda s, x: (s * x, s), x[0], x)
        return tape.gradient(last, x)

    with pytest.raises(tf.errors.InvalidArgumentError, match="maximum_iteration"):
        run(tf.ones((3, 2)))


def test_remat_gives_what_it_closes_over_no_gradient() -> None:
    """t2t.layers.blocks passes bias and memory as arguments."""
    x, closed = tf.constant(2.0), tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch([x, closed])
        y = keras.remat(lambda x: x * closed)(x)
    gradients: Any = tape.gradient(y, [x, closed])
    assert float(gradients[0]) == 3.0 and gradients[1] is None


def test_a_distributed_iterator_cannot_be_saved(tmp_path: Path) -> None:
    """t2t.training.devices shares out the batches of one host iterator."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    data = strategy.experimental_distribute_dataset(tf.data.Dataset.range(4).batch(2))
    with pytest.raises((ValueError, NotImplementedError, AttributeError)):
        tf.train.Checkpoint(iterator=iter(data)).save(str(tmp_path / "c"))


def test_gin_accepts_a_mistyped_knob() -> None:
    """t2t.config merges and checks the statements itself."""
    gin.parse_config("hiden_size = 3")


def test_gin_breaks_keras_classes() -> None:
    """t2t.registry uses `gin.register`."""

    class Broken(keras.layers.Layer):
        def __init__(self, units: int = 1) -> None:
            super().__init__()

    with pytest.raises(IndexError):
        gin.configurable("BrokenByGin", module="canary")(Broken)(units=2)
