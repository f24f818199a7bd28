"""Low-rank adapters: the function they start from, what they add, what learns."""

from __future__ import annotations

import kit
import numpy as np
import pytest

from t2t.layers import adapters
from t2t.layers.adapters import Adapters


def test_they_add_their_product() -> None:
    """Equation 3: h = W x + α/r · B A x, and nothing at first."""
    features = kit.features("transformer")
    model, batch = kit.make("transformer"), kit.batch(features)
    kit.randomise(model)
    before = kit.array(model(batch)[0])
    own = {v.path for v in model.variables}
    Adapters(2, alpha=3.0).add(model)
    added = [v.path for v in model.variables if v.path not in own]
    assert all(map(adapters.own, added))
    # Query and value of two encoder blocks, and twice so many of two decoder blocks.
    assert len(added) == 2 * 2 * (2 + 2 * 2)
    np.testing.assert_allclose(kit.array(model(batch)[0]), before, atol=1e-6)

    rng = np.random.default_rng(0)
    kernels = {}
    for layer in adapters.projections(model):
        if layer.name in ("query", "value"):
            a, b = layer.lora_kernel_a, layer.lora_kernel_b
            a.assign(rng.normal(size=a.shape))
            b.assign(rng.normal(size=b.shape))
            product = np.array(a) @ np.array(b) * 3.0 / 2
            kernels[layer.path] = np.array(layer._kernel) + product
    changed = kit.array(model(batch)[0])
    assert np.abs(changed - before).max() > 0.01
    adapters.merge(model)
    np.testing.assert_allclose(kit.array(model(batch)[0]), changed, atol=1e-4)
    for layer in adapters.projections(model):
        if layer.path in kernels:
            np.testing.assert_allclose(layer._kernel, kernels[layer.path], atol=1e-5)


def test_only_they_and_what_is_new_learn() -> None:
    model = kit.make("transformer_encoder")
    held = {v.path: np.array(v) for v in model.variables if "classes" not in v.path}
    Adapters(1).add(model)
    learns = adapters.freeze(model, held)
    assert learns == [v.path for v in model.trainable_variables]
    assert {p.split("/")[-2] for p in learns} == {"query", "value", "classes"}


def test_no_such_projection() -> None:
    with pytest.raises(ValueError, match="'qery'.*'query'.*key"):
        Adapters(1, layers="qery").add(kit.make("transformer_lm"))
