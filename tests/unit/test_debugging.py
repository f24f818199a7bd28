"""What blew up is named: the layer, the loss, the gradient, the batch, the weights."""

from __future__ import annotations

from typing import Any

import keras
import kit
import numpy as np
import pytest
from keras import ops

from t2t.training.debugging import first_not_finite


class Toy(keras.Model):
    """Two layers within one another, and a loss that may be wrong in several ways."""

    def __init__(self, fault: str = "") -> None:
        super().__init__(name="toy")
        self.fault = fault
        self.parts = [keras.layers.Dense(3, name=f"part_{i}") for i in range(2)]
        self.root = Root(name="root")
        self(_batch())

    def build(self, input_shape: Any) -> None:
        for part in self.parts:
            part.build((2, 3))

    def call(self, batch: Any, training: bool = False) -> Any:
        x = batch["x"]
        for part in self.parts:
            x = part(x)
        return self.root(x) if self.fault == "gradient" else x

    def losses(self, batch: Any, *, training: bool) -> Any:
        x = self(batch)
        loss = ops.sum(ops.log(x * 0.0) if self.fault == "loss" else x)
        return {"all": (loss, ops.convert_to_tensor(2.0))}, {"x": x}


class Root(keras.layers.Layer):
    """√(x²), whose gradient at 0 is no number."""

    def call(self, x: Any) -> Any:
        return ops.sqrt(x * x)


def _batch(value: float = 1.0) -> dict[str, Any]:
    return {"x": np.full((2, 3), value, np.float32)}


def test_all_is_finite() -> None:
    model = Toy()
    assert first_not_finite(model, _batch()) == ""
    assert "call" not in vars(model.parts[0]), "the layers are as they were"


def test_the_layer_is_named() -> None:
    model = Toy()
    kernel = model.parts[1].kernel
    kernel.assign(np.full(kernel.shape, 3e38, np.float32))
    model.parts[0].kernel.assign(np.eye(3, dtype=np.float32))
    found = first_not_finite(model, _batch())
    assert found == (
        "the layer toy/part_1 (Dense) gives 6 infinite of 6 values; it was given "
        "numbers from 1 to 1"
    )
    assert "call" not in vars(model.parts[1])


def test_loss_gradient_batch_and_weights_are_named() -> None:
    assert first_not_finite(Toy("loss"), _batch()) == (
        "the loss 'all' has 1 infinite of 1 values, though all layers' outputs are "
        "finite"
    )
    model = Toy("gradient")
    model.parts[1].kernel.assign(np.zeros((3, 3), np.float32))
    found = first_not_finite(model, _batch())
    assert found.startswith("the gradient of toy/part_1/") and "NaN" in found
    assert first_not_finite(model, _batch(), gradients=False) == ""
    assert first_not_finite(Toy(), _batch(np.nan)).startswith("the batch's x has 6 NaN")
    model.parts[0].bias.assign(np.array([0, np.inf, 0], np.float32))
    found = first_not_finite(model, _batch())
    assert found == "the weights toy/part_0/bias have 1 infinite of 3 values"


@pytest.mark.parametrize("name", ["transformer", "resnet", "nbeats"])
def test_models_of_the_house(name: str) -> None:
    model = kit.make(name)
    kit.randomise(model)
    batch = kit.batch(kit.features(name))
    assert first_not_finite(model, batch) == ""
    wide = max(model.trainable_variables, key=lambda v: len(v.path.split("/")))
    wide.assign(np.full(wide.shape, 3e38, np.float32))
    found = first_not_finite(model, batch)
    assert found.startswith(("the layer ", "the loss ", "the gradient of "))
