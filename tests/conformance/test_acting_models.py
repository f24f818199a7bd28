"""Every model that acts: compiled = eager, save and load, resumed exactly, groups."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras
import kit
import numpy as np
import pytest
import tensorflow as tf

from t2t import registry
from t2t.environments import FakeEnvironment, Several
from t2t.export.policy import save_policy
from t2t.features import Feature
from t2t.layers.seeds import random_seed
from t2t.optimizers.optimizers import make_optimizer
from t2t.optimizers.schedules import LearningRate
from t2t.rl.acting import ActingOptions, Policy
from t2t.rl.experience import Experience
from t2t.rl.local import Acting
from t2t.run import checkpoints
from t2t.run.build import blank_batch
from t2t.run.checkpoints import Checkpoints
from t2t.training.tensorflow_step import TensorFlowStep

NAMES = kit.models(method="act")
EVERY = pytest.mark.parametrize("name", NAMES)
SMALL = {
    "hidden_size": 16,
    "num_layers": 1,
    "model_size": 16,
    "atoms": 11,
    "standardise": True,
}
ACTIONS = {
    "label": Feature("label", (), "int32", "", classes=3),
    "real": Feature("real", (2,), "float32", "X", low=(-2.0, 0.0), high=(1.0, 4.0)),
}
SEEN = Feature("real", (3,), "float32", "X")
CANDIDATES = {  # three, and what is told of each
    "observation": Feature("real", (3, 4), "float32", "XY"),
    "allowed": SEEN,
}


def _features(name: str, action: str = "") -> dict[str, Feature]:
    kinds = registry.current().load("model", name).FEATURES["action"].split("|")
    features = {"observation": SEEN, "action": ACTIONS[action or kinds[0]]}
    if "default" in registry.current().load("model", name).FEATURES:
        features["default"] = ACTIONS["label"]  # what another does
    if "allowed" in registry.current().load("model", name).FEATURES:
        features |= CANDIDATES
    return features


def _seen(name: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Observations [N, 3] as the model has them."""
    if "default" in _features(name):
        return {"observation": rows, "default": np.zeros(len(rows), np.int32)}
    if "allowed" in _features(name):
        told = rows[..., None] * np.arange(1, 5, dtype=np.float32)
        return {"observation": told, "allowed": np.ones_like(rows)}
    return {"observation": rows}


def _make(name: str, action: str = "") -> Any:
    keras.utils.set_random_seed(0)
    cls = registry.current().load("model", name)
    known = inspect.signature(cls).parameters
    offered = _features(name, action)
    model = cls(offered, **{k: v for k, v in SMALL.items() if k in known})
    model(blank_batch(offered))
    return model


class Spaces:
    """What `FakeEnvironment` looks at."""

    def __init__(self, features: dict[str, Feature]) -> None:
        from gymnasium import spaces

        action = features["action"]
        parts: dict[str, Any] = {
            name: spaces.Box(-1.0, 1.0, feature.shape, np.float32)  # type: ignore
            for name, feature in features.items()
            if feature.kind == "real" and name != "action"
        }
        self.observation_space: Any = parts["observation"]
        if "allowed" in features:
            self.observation_space = spaces.Dict(parts)
        if "default" in features:
            default = spaces.Discrete(features["default"].size)
            self.observation_space = spaces.Dict({**parts, "default": default})
        self.action_space: Any = spaces.Discrete(3)
        if action.kind == "real":
            self.action_space = spaces.Box(*action.bounds, dtype=np.float32)


def _source(name: str, model: Any, folder: Path, count: int = 4) -> Acting:
    features = _features(name)
    like: Any = Spaces(features)
    experience = Experience(
        items=model.ITEMS, length=6, min_size=20, samples_per_insert=4.0
    )
    return Acting(
        Several(lambda: FakeEnvironment(like), count, seed=0),
        features,
        model,
        experience,
        ActingOptions(environments=count, batch_size=8, random_steps=10),
        seed=0,
        folder=folder,
    )


def _step(model: Any) -> TensorFlowStep:
    def optimizer() -> keras.optimizers.Optimizer:
        return make_optimizer("adam", learning_rate=LearningRate(constant=0.01))

    return TensorFlowStep(model, optimizer, jit=False, seed=1)


def _train(step: TensorFlowStep, source: Acting, numbers: range) -> dict[str, Any]:
    for number in numbers:
        batch = next(source)
        metrics = step(number, batch)
        assert bool(metrics["finite"])
        if "priority" in metrics:
            source.feedback(batch, metrics["priority"].numpy())
    return {n: np.array(v) for n, v in step.variables().items()}


@EVERY
def test_resumed_in_the_middle_is_bit_identical(name: str, tmp_path: Path) -> None:
    """Weights, optimizer, environments, table and everything random."""
    step = _step(_make(name))
    source = _source(name, step.model, tmp_path / "a")
    _train(step, source, range(6))
    store = Checkpoints(tmp_path / "checkpoints")
    store.save(6, step.variables(), source.state(), block=True)
    whole = _train(step, source, range(6, 12))

    again = _step(_make(name))
    found = store.restore(again.variables())
    assert found is not None and found[0] == 6
    resumed = _source(name, again.model, tmp_path / "a")
    resumed.restore(found[1])
    for variable, value in _train(again, resumed, range(6, 12)).items():
        np.testing.assert_array_equal(value, whole[variable], err_msg=variable)


@EVERY
def test_compiled_is_eager(name: str, tmp_path: Path) -> None:
    model = _make(name)
    batch = next(_source(name, model, tmp_path))
    arrays = {n: tf.constant(v) for n, v in batch.items()}

    def losses(arrays: Any) -> Any:
        with random_seed(7):
            return model.losses(arrays, training=True)[0]

    eager = losses(arrays)
    for jit in (False, True):
        found = tf.function(losses, jit_compile=jit, autograph=False)(arrays)
        for group, pair in eager.items():
            np.testing.assert_allclose(found[group], pair, rtol=1e-4, atol=1e-5)


@EVERY
def test_saved_is_loaded(name: str, tmp_path: Path) -> None:
    model = _make(name)
    kit.randomise(model)
    variables = {f"model/{v.path}": v for v in model.variables}
    assert len(variables) == len(model.variables)
    Checkpoints(tmp_path).save(1, variables, {}, block=True)
    other = _make(name)
    arrays, _ = checkpoints.read(checkpoints.path_of(tmp_path, 1))
    checkpoints.assign({f"model/{v.path}": v for v in other.variables}, arrays)
    seen = _seen(name, np.ones((3, 3), np.float32))
    policies = [Policy(m, seed=0) for m in (model, other)]
    one, two = (p(seen, p.start(3), turn=3, explore=1.0)[0] for p in policies)
    np.testing.assert_array_equal(one, two)


@EVERY
def test_the_exported_policy_acts_the_same(name: str, tmp_path: Path) -> None:
    model = _make(name)
    if hasattr(model, "start"):
        pytest.skip("what remembers an episode is not exported yet")
    kit.randomise(model)
    exported = tf.saved_model.load(
        save_policy(model, _features(name), tmp_path / "policy")
    )
    for count in (1, 5):
        seen = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
        observation = _seen(name, seen)
        own = Policy(model, seed=0)(observation, (), turn=0, explore=0.0)[0]
        np.testing.assert_allclose(exported.act(**observation)["action"], own, 1e-5)


@EVERY
def test_groups_share_out_what_is_trained(name: str) -> None:
    step = _step(_make(name))
    named = [v.path for group in step.groups.values() for v in group]
    assert sorted(named) == sorted({v.path for v in step.model.trainable_variables})
    for follower in step.followers:
        assert not follower.target.trainable
        if not isinstance(follower.source, str):
            np.testing.assert_array_equal(follower.target, follower.source)


@EVERY
def test_what_is_observed_is_standardised_by_what_was_seen(
    name: str, tmp_path: Path
) -> None:
    """The plain average of the first batches, on one device."""
    step = _step(_make(name))
    followed = [f for f in step.followers if isinstance(f.source, str)]
    if not followed:
        pytest.skip("this model takes observations as they are")
    source, seen = _source(name, step.model, tmp_path), []
    for number in range(3):
        batch = next(source)
        rows = batch["observation"]
        if rows.ndim == 3:  # sequences, whose last row is no step
            seen.append(rows[:, :-1][batch["taken"][:, :-1] > 0].mean(axis=0))
        else:
            seen.append(np.average(rows, axis=0, weights=batch["weights"]))
        step(number, batch)
    mean, variance = (f.target for f in followed)
    np.testing.assert_allclose(mean, np.mean(seen, axis=0), rtol=1e-4, atol=1e-5)
    assert (np.array(variance) > 0).all() and not np.allclose(variance, 1.0)


@pytest.mark.parametrize(
    ("name", "action"),
    [
        (name, kind)
        for name in NAMES
        for kind in registry.current().load("model", name).FEATURES["action"].split("|")
    ],
)
def test_actions_are_within_bounds_and_one_by_one_the_same(
    name: str, action: str
) -> None:
    model, feature = _make(name, action), ACTIONS[action]
    policy = Policy(model, seed=0)
    rows = np.random.default_rng(0).normal(size=(5, 3))
    seen = _seen(name, rows.astype(np.float32))
    best = policy(seen, policy.start(5), turn=0, explore=0.0)[0]
    for i in range(5):
        alone = {n: v[i : i + 1] for n, v in seen.items()}
        single = policy(alone, policy.start(1), turn=9, explore=0.0)[0]
        np.testing.assert_allclose(single[0], best[i], rtol=1e-5, atol=1e-6)
    assert best.shape == (5, *feature.shape)
    if action == "label":
        assert ((best >= 0) & (best < feature.size)).all()
        return
    explored = policy(seen, policy.start(5), turn=1, explore=1.0)[0]
    assert not np.array_equal(best, explored)
    low, high = feature.bounds
    if name != "ppo":  # whose environment clips
        assert ((explored >= low) & (explored <= high)).all()
