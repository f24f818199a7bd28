"""What tests of models need: tiny features, models by name, random batches.

No TensorFlow here: the JAX subprocess of the conformance tests uses it too.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

from t2t import features as features_lib
from t2t import registry
from t2t.features import Feature
from t2t.knobs import CHOICES
from t2t.layers.blocks import BlockShape
from t2t.optimizers.optimizers import make_optimizer
from t2t.optimizers.schedules import LearningRate
from t2t.problems.problem import DataUnavailable
from t2t.run.build import blank_batch
from t2t.sources import Batch
from t2t.text import ClassLabels, Pixels, Symbols
from t2t.training.backend import backend
from t2t.training.step import Step, StepOptions

DIGITS = Symbols("digits", "0123456789")  # ids 2 to 11
LABELS = ClassLabels("labels", ("a", "b", "c"))
LENGTH, ROWS = 8, 4
STEPS = 2  # of a training

# A model takes those of these that its constructor names.
KNOBS: dict[str, Any] = {
    "hidden_size": 16,
    "num_layers": 2,
    "channels": (4, 8),
    "blocks_per_stage": 1,
    "wave_size": 16,
    "encoder_blocks": 1,
    "decoder_blocks": 1,
    "wave_blocks": 1,
    "depth_size": 16,
    "num_decoder_layers": None,
    "num_rec_steps": 2,
    "patch_size": 4,
    "num_filters": 4,
    "num_blocks": 2,
    "act_max_steps": 2,
}
BLOCKS: dict[str, Any] = {"hidden_size": 16, "filter_size": 32, "num_heads": 2}

EXPERTS = {"experts": 4, "expert_every": 1, "experts_per_token": 2}
# Every knob of the blocks that changes what a token sees.
SEEING: list[dict[str, Any]] = [
    *({"position": position} for position in CHOICES["blocks.position"]),
    *(
        {"position": position, "window": 3, "num_kv_heads": 1}
        for position in ("rotary", "relative", "relative_vectors", "relative_keys")
    ),
    {"position": "relative_vectors", "max_relative_position": 2},
    {"position": "relative_keys", "max_relative_position": 2},
    {"window": 2, "dilation": 2, "position": "alibi"},
    {"block_length": 3, "memory_length": 1},
    {"block_length": 2, "memory_gradient": False, "position": "relative_sinusoid"},
    {"logit_softcap": 1.0, "qk_norm": True, "norm_position": "post"},
    {"filter_width": 3, "window": 2},
    {**EXPERTS, "activation": "swiglu"},
]

_OFFERS = {
    "real": Feature("real", (3,), "float32", "X", low=(-2.0,) * 3, high=(1.0,) * 3),
    "text": features_lib.text(DIGITS),
    "pixels": features_lib.pixels(Pixels((2, 1, 3))),
    "label": features_lib.label(LABELS),
    "image": features_lib.image(8, 8, 1),
    "audio": Feature("audio", (2560,), "int16", "N"),
}
# Of two columns of a table, with 3 and 4 ids.
_CATEGORIES = Feature("label", (2,), "int32", "K", classes=7)
# Features beside a text, by name.
_SLOTS: dict[str, dict[str, Any]] = {
    "audio": {"shape": (None, 3), "axes": "TK", "classes": 5},
    "places": {"shape": (None, 3), "axes": "TX", "classes": LENGTH},
    "learned": {"shape": (None,), "axes": "T", "classes": 2},
}


def models(*, method: str | None = None) -> list[str]:
    """Names of the models that learn from examples, or of all that have a method."""
    zoo = registry.current()
    found = {name: zoo.load("model", name) for name in zoo.names("model")}
    if method is None:
        return [name for name, model in found.items() if not hasattr(model, "act")]
    return [name for name, model in found.items() if hasattr(model, method)]


def problems(*, interactive: bool = False) -> list[str]:
    """Names of the problems that offer examples, or of those that answer back."""
    zoo = registry.current()
    return [
        name
        for name in zoo.names("problem")
        if zoo.load("problem", name).interactive is interactive
    ]


def simulator(name: str, **options: Any) -> Any:
    """An interactive problem; the test is skipped where its simulator is missing."""
    problem = registry.current().load("problem", name)(**options)
    problem.name = name
    try:
        problem.environment("train").close()
    except DataUnavailable as error:
        pytest.skip(str(error))
    return problem


def features(model: str) -> dict[str, Feature]:
    """Tiny features that the model accepts."""
    zoo = registry.current()
    wanted = zoo.features(zoo.declaration("model", model))
    if "categories" in wanted:
        return {**_offers(wanted), "categories": _CATEGORIES}
    return _offers(wanted)


def _offers(wanted: dict[str, str]) -> dict[str, Feature]:
    return {
        name: Feature("slots", dtype="int32", along="targets", **_SLOTS[name])
        if kinds == "slots"
        else _OFFERS[kinds.split("|")[0]]
        for name, kinds in wanted.items()
    }


def make(
    name: str,
    *,
    blocks: dict[str, Any] | None = None,
    shallow: bool = False,
    offered: dict[str, Feature] | None = None,
    **knobs: Any,
) -> Any:
    """A tiny built model.

    Args:
      offered: features in place of the usual ones.
      blocks, knobs: replace the usual ones, where the model has them.
      shallow: one layer, for tests that compile it many times.
    """
    cls = registry.current().load("model", name)
    known = inspect.signature(cls).parameters
    usual = {**KNOBS, **({"num_layers": 1} if shallow else {})}
    given = {k: v for k, v in usual.items() if k in known} | knobs
    if "blocks" in known:
        given["blocks"] = BlockShape(**{**BLOCKS, **(blocks or {})})
    elif "dropout" in known and blocks and "dropout" in blocks:
        given.setdefault("dropout", blocks["dropout"])
    offered = offered or features(name)
    model = cls(offered, **given)
    model(blank_batch(offered))
    return model


def packs(offered: dict[str, Feature]) -> bool:
    """Whether several examples share a row: where all is text, or goes along one."""
    return all(f.sequence or f.along for f in offered.values())


def step(
    name: str,
    *,
    strategy: str = "none",
    dropout: float = 0.0,
    blocks: dict[str, Any] | None = None,
    jit: bool = False,
    **options: Any,
) -> Step:
    """The step of a tiny model, on what Keras runs on; all that is not asked for is
    the same."""
    keras.utils.set_random_seed(0)
    on = backend()
    devices = on.devices.make_strategy(strategy)
    with devices.scope():
        model = make(name, blocks={"dropout": dropout, **(blocks or {})}, shallow=True)

    def optimizer() -> keras.optimizers.Optimizer:
        return make_optimizer("sgd", learning_rate=LearningRate(constant=0.1))

    return on.step(
        model, optimizer, options=StepOptions(**options), strategy=devices, jit=jit
    )


def trained(
    step: Step, name: str, *, steps: range = range(STEPS)
) -> dict[str, np.ndarray]:
    """All variables after some steps on random batches."""
    for i in steps:
        metrics = step(i, batch(features(name), seed=i))
        assert bool(metrics["finite"])
    return {n: np.array(v) for n, v in step.variables().items()}


def batch(
    offered: dict[str, Feature],
    *,
    rows: int = ROWS,
    length: int = LENGTH,
    seed: int = 0,
    packed: bool | None = None,
) -> Batch:
    """A random batch; text rows hold two packed examples and some padding.

    packed: False for one example a row; None for packed where all is text.
    """
    rng = np.random.default_rng(seed)
    if "action" in offered:
        return _transitions(offered, rng, rows)
    packed = packs(offered) if packed is None else packed
    made: Batch = {}
    if not packed:
        made["weights"] = np.ones(rows, np.float32)
        made["weights"][-1] = 0.0
    for name, feature in offered.items():
        if feature.sequence:
            made.update(_text(name, feature, rng, (rows, length), packed))
        elif feature.kind == "label":
            shape = (rows, *(size or length for size in feature.shape))
            made[name] = rng.integers(0, feature.size, shape).astype(np.int32)
        elif feature.kind == "image":
            shape = (rows, *(size or length for size in feature.shape))
            made[name] = rng.integers(0, 256, shape).astype(np.uint8)
        elif feature.kind == "audio":
            shape = (rows, *(size or length for size in feature.shape))
            made[name] = rng.integers(-9000, 9000, shape).astype(np.int16)
        elif feature.kind == "slots":
            shape = (rows, length, *(size or 1 for size in feature.shape[1:]))
            made[name] = rng.integers(0, feature.classes or 2, shape).astype(np.int32)
        elif feature.kind == "real":
            shape = (rows, *(size or length for size in feature.shape))
            made[name] = rng.normal(size=shape).astype(np.float32)
        else:
            raise NotImplementedError(f"no random {feature.kind!r} feature yet")
    return made


def _transitions(
    offered: dict[str, Feature], rng: np.random.Generator, rows: int
) -> Batch:
    """What `t2t.rl.experience` gives, of two steps each."""

    def drawn(feature: Feature) -> Any:
        if feature.kind == "label":
            return rng.integers(0, feature.size, rows).astype(np.int32)
        return rng.uniform(-1, 1, (rows, *feature.shape)).astype(np.float32)  # type: ignore

    seen = offered["observation"]
    return {
        "observation": drawn(seen),
        "next_observation": drawn(seen),
        "action": drawn(offered["action"]),
        "reward": rng.normal(size=(rows, 2)).astype(np.float32),
        "going": (rng.random((rows, 2)) > 0.2).astype(np.float32),
        "steps": rng.integers(1, 3, rows).astype(np.int32),
        "weights": np.ones(rows, np.float32),
        "key": np.arange(rows),
    }


def _text(
    name: str,
    feature: Feature,
    rng: np.random.Generator,
    shape: tuple[int, int],
    packed: bool,
) -> Batch:
    rows, length = shape
    ids = rng.integers(2, feature.size, shape).astype(np.int32)
    segments, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for row in range(rows):
        first = int(rng.integers(2, length // 2 + 1))
        second = int(rng.integers(2, length - first + 1)) if packed else 0
        for segment, (start, size) in enumerate(((0, first), (first, second)), 1):
            place = (row, slice(start, start + size))
            segments[place], positions[place] = segment, np.arange(size)
            if size:
                ids[row, start + size - 1] = features_lib.EOS
    return {
        name: np.where(segments > 0, ids, 0),
        f"{name}_segments": segments,
        f"{name}_positions": positions,
    }


def randomise(model: Any, *, scale: float = 0.3, seed: int = 0) -> None:
    """Gives all weights, zeros and ones among them, something random of their own."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        noise = rng.normal(size=variable.shape) * scale
        variable.assign(np.asarray(variable) * 0.5 + noise.astype("float32"))


def array(value: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(value)
