"""Every registered model: save and load, devices, accumulation, XLA, resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import kit
import numpy as np
import pytest
import tensorflow as tf

from t2t.run import checkpoints
from t2t.run.checkpoints import Checkpoints

EVERY = pytest.mark.parametrize("name", kit.models())


def _same(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_allclose(
            one[name], other[name], atol=tolerance, rtol=0, err_msg=name
        )


def _packs(name: str) -> bool:
    return kit.packs(kit.features(name))


# With experts that drop and losses of their own, with dropout recomputed.
LAYERS: list[dict[str, Any]] = [
    {**kit.EXPERTS, "capacity_factor": 0.5, "router_z_weight": 0.1, "remat": True},
    {"block_length": 2, "memory_gradient": False, "position": "relative_sinusoid"},
]


# Compiled for half a minute each; what they are made of is in others, too.
LONG = ("evolved_transformer", "universal_transformer")


@pytest.mark.parametrize(
    "name, blocks",
    [
        *(
            pytest.param(name, {}, marks=[pytest.mark.slow] if name in LONG else [])
            for name in kit.models()
        ),
        *(("transformer_lm", blocks) for blocks in LAYERS),
    ],
)
def test_sharding_and_compiling_change_nothing(
    name: str, blocks: dict[str, Any]
) -> None:
    """One device, two replicas under XLA and four micro-batches: the same weights."""
    clipped: dict[str, Any] = {"clip_norm": 0.5, "blocks": blocks}
    plain = kit.trained(kit.step(name, **clipped), name)
    replicas = kit.step(name, strategy="mirrored", jit=True, **clipped)
    _same(plain, kit.trained(replicas, name), 1e-6)
    parts = kit.step(name, accumulate=4, **clipped)
    _same(plain, kit.trained(parts, name), 1e-6)


@EVERY
def test_xla_and_graph_are_eager(name: str) -> None:
    model, batch = kit.make(name), kit.batch(kit.features(name))
    kit.randomise(model)
    eager, _ = model.losses(batch, training=False)
    arrays = {n: tf.constant(v) for n, v in batch.items()}
    for jit in (False, True):
        run = tf.function(
            lambda b: model.losses(b, training=False), jit_compile=jit, autograph=False
        )
        found, inner = run(arrays)
        for group, (total, weight) in eager.items():
            assert float(found[group][0]) == pytest.approx(float(total), rel=1e-5)
            assert float(found[group][1]) == float(weight)
        named = getattr(model, "METRICS", ("accuracy", "cross_entropy"))
        assert set(inner.get("metrics", {})) >= set(named)


@EVERY
def test_save_and_load(name: str, tmp_path: Path) -> None:
    model, batch = kit.make(name), kit.batch(kit.features(name))
    kit.randomise(model)
    variables = {f"model/{v.path}": v for v in model.variables}
    assert len(variables) == len(model.variables)
    Checkpoints(tmp_path).save(3, variables, {}, block=True)
    keras.utils.set_random_seed(99)
    other = kit.make(name)
    assert not np.allclose(kit.array(other(batch)[0]), kit.array(model(batch)[0]))
    arrays, meta = checkpoints.read(checkpoints.path_of(tmp_path, 3))
    assert meta["step"] == 3
    checkpoints.assign({f"model/{v.path}": v for v in other.variables}, arrays)
    np.testing.assert_array_equal(
        kit.array(other(batch)[0]), kit.array(model(batch)[0])
    )


@EVERY
def test_resumed_with_dropout_is_bit_identical(name: str, tmp_path: Path) -> None:
    step = kit.step(name, dropout=0.3, ema_decay=0.9)
    store = Checkpoints(tmp_path)
    kit.trained(step, name, steps=range(2))
    store.save(2, step.variables(), {}, block=True)
    whole = kit.trained(step, name, steps=range(2, 4))

    again = kit.step(name, dropout=0.3, ema_decay=0.9)
    assert store.restore(again.variables()) == (2, {})
    _same(whole, kit.trained(again, name, steps=range(2, 4)), 0.0)


@EVERY
def test_packed_neighbours_and_filler_do_not_count(name: str) -> None:
    """Filler rows and padding change neither the loss nor its weight."""
    model, batch = kit.make(name), kit.batch(kit.features(name), packed=False)
    kit.randomise(model)
    losses, _ = model.losses(batch, training=False)
    changed = {n: v.copy() for n, v in batch.items()}
    for text in [n for n in batch if f"{n}_segments" in batch]:
        changed[text][batch[f"{text}_segments"] == 0] = 5
    if not _packs(name):
        for feature in kit.features(name):
            changed[feature][-1] = 1
    found, _ = model.losses(changed, training=False)
    for group in losses:
        assert float(found[group][0]) == pytest.approx(
            float(losses[group][0]), rel=1e-5
        )
        assert float(found[group][1]) == float(losses[group][1])


@pytest.mark.parametrize("name", [n for n in kit.models() if _packs(n)])
def test_packed_examples_are_as_if_alone(name: str) -> None:
    offered = kit.features(name)
    model, batch = kit.make(name), kit.batch(offered, rows=1)
    kit.randomise(model)
    packed = kit.array(model(batch)[0])[0][batch["targets_segments"][0] == 2]
    alone: dict[str, Any] = {}
    for feature in offered:
        second = batch[f"{offered[feature].along or feature}_segments"][0] == 2
        for part in ("", "_segments", "_positions"):
            if feature + part in batch:
                alone[feature + part] = batch[feature + part][:, second]
    np.testing.assert_allclose(kit.array(model(alone)[0])[0], packed, atol=1e-5)
