"""Blocks and stacks: remat, precision, knobs, embeddings, feed-forward kinds."""

from __future__ import annotations

from typing import Any

import keras
import kit
import numpy as np
import pytest
import tensorflow as tf

from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.embedding import Embedding, shift_right
from t2t.layers.feed_forward import ACTIVATIONS, GATED, FeedForward
from t2t.layers.norm import make_norm
from t2t.layers.seeds import random_seed
from t2t.run.build import dtype_policy

BATCH = kit.batch(kit.features("transformer"))


def _gradients(*, remat: bool, jit: bool) -> list[np.ndarray]:
    """Of the loss of one and the same model, with dropout, remat or not."""
    keras.utils.set_random_seed(3)
    blocks = {"remat": remat, "dropout": 0.2, "position": "relative"}
    model = kit.make("transformer", blocks=blocks, num_layers=1)

    def run(batch: Any) -> Any:
        with tf.GradientTape() as tape, random_seed(tf.constant(5)):
            loss = model.losses(batch, training=True)[0]["all"][0]
        variables = [v.value for v in model.trainable_variables]
        return loss, tape.gradient(loss, variables)

    arrays = {name: tf.constant(value) for name, value in BATCH.items()}
    loss, gradients = tf.function(run, jit_compile=jit, autograph=False)(arrays)
    assert all(g is not None for g in gradients)
    return [kit.array(loss), *(kit.array(tf.convert_to_tensor(g)) for g in gradients)]


@pytest.mark.parametrize("jit", [False, True])
def test_remat_changes_nothing(jit: bool) -> None:
    kept, again = _gradients(remat=False, jit=jit), _gradients(remat=True, jit=jit)
    for a, b in zip(kept, again, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("name", kit.models())
def test_low_precision_is_finite_and_near(name: str) -> None:
    batch = kit.batch(kit.features(name))
    keras.utils.set_random_seed(0)
    full = kit.make(name)
    with dtype_policy("mixed_bfloat16"):
        keras.utils.set_random_seed(0)
        low = kit.make(name)
    assert all(v.dtype == "float32" for v in low.variables)
    logits, inner = low(batch)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    np.testing.assert_allclose(kit.array(logits), kit.array(full(batch)[0]), atol=0.15)
    for value in inner.values():
        assert np.isfinite(kit.array(keras.ops.cast(value, "float32"))).all()


@pytest.mark.parametrize("activation", [*ACTIVATIONS, *GATED])
def test_feed_forward(activation: str) -> None:
    layer = FeedForward(4, filter_size=6, activation=activation)
    x = np.random.default_rng(0).normal(size=(1, 2, 4)).astype("float32")
    found = kit.array(layer(x)[0])
    act: Any = ACTIVATIONS[GATED.get(activation, activation)]
    weights = {v.path.split("/", 1)[1]: np.asarray(v) for v in layer.weights}
    hidden = x @ weights["input/kernel"]
    if activation in GATED:
        hidden = kit.array(act(x @ weights["gate/kernel"])) * hidden
        assert not any("bias" in name for name in weights)
        expected = hidden @ weights["output/kernel"]
    else:
        hidden = kit.array(act(hidden + weights["input/bias"]))
        expected = hidden @ weights["output/kernel"] + weights["output/bias"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: FeedForward(4, filter_size=4, activation="rely"), "'rely'.*swiglu"),
        (lambda: make_norm("batch", name="n"), "'batch'"),
        (lambda: BlockShape(4, 4, 2, norm_position="mid"), "'mid'"),
        (lambda: BlockShape(4, 4, 2, position="rotery"), "'rotery'.*rotary"),
    ],
)
def test_knobs_that_do_not_exist(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_inner_values_are_named() -> None:
    stack = Stack(
        BlockShape(**kit.BLOCKS), num_layers=2, causal=True, cross=False, name="s"
    )
    x = np.zeros((1, 3, 16), "float32")
    segments, positions = np.ones((1, 3), int), np.arange(3)[None]
    _, inner, _ = stack(x, segments=segments, positions=positions)
    assert set(inner) == {
        f"block_{i}/{name}" for i in (0, 1) for name in ("self_attention", "output")
    }
    assert inner["block_0/self_attention"].shape == (1, 2, 3, 3)


def test_embedding_scales_and_zeroes_padding() -> None:
    layer = Embedding(5, 4, name="e")
    found = kit.array(layer(np.array([[0, 2]])))[0]
    table = np.asarray(layer.table)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_allclose(found[1], table[2] * 2, rtol=1e-6)
    x = np.ones((1, 1, 4), "float32")
    np.testing.assert_allclose(
        kit.array(layer.logits(x))[0, 0], table.sum(1), rtol=1e-5
    )


def test_shift_right_starts_each_packed_example_anew() -> None:
    ids = np.array([[5, 6, 1, 7, 1, 0]])
    positions = np.array([[0, 1, 2, 0, 1, 0]])
    shifted = kit.array(shift_right(ids, positions))
    np.testing.assert_array_equal(shifted, [[0, 5, 6, 0, 7, 0]])
