"""Every hparams set: it parses, has no unused knob, and takes a step at tiny size."""

from __future__ import annotations

from typing import Any

import kit
import pytest
import tensorflow as tf

from t2t import config as config_lib
from t2t import features as features_lib
from t2t import registry
from t2t.config import Config
from t2t.run import build

ZOO = registry.current()


def _model_of(name: str) -> str | None:
    config = Config()
    config.add_file(ZOO.declaration("hparams_set", name).file)
    return config.knob("model")


# Those without a model are wiring that others include.
MODELS = {name: _model_of(name) for name in ZOO.names("hparams_set")}
SETS = [name for name, model in MODELS.items() if model]

# Large sets are made small by the knobs that they have.
TINY: dict[str, Any] = {
    "hidden_size": 16,
    "filter_size": 32,
    "num_heads": 4,
    "num_layers": 1,
    "num_decoder_layers": None,
    "num_rec_steps": 1,
    "act_max_steps": 2,
    "experts": 4,
    "patch_size": 4,
    "num_filters": 4,
    "num_blocks": 2,
    "channels": (4, 8),
    "blocks_per_stage": 1,
    "max_length": 8,
    "tokens_per_batch": 32,
    "examples_per_batch": 4,
}


def _problem_for(model: str) -> str:
    wanted = ZOO.features(ZOO.declaration("model", model))
    return next(
        name
        for name in ("algorithmic_copy", "image_digits", "catch", *ZOO.names("problem"))
        if features_lib.accepts(wanted, ZOO.features(ZOO.declaration("problem", name)))
    )


def _load(name: str, hparams: str = "") -> Config:
    return config_lib.load(
        hparams_set=name, problem=_problem_for(MODELS[name] or ""), hparams=hparams
    )


@pytest.mark.parametrize("name", SETS)
def test_the_heading_says_what_and_how(name: str) -> None:
    declared = ZOO.declaration("hparams_set", name)
    assert declared.summary and f"--hparams_set={name}" in declared.doc


@pytest.mark.parametrize("name", SETS)
def test_no_knob_is_unused(name: str) -> None:
    assert _load(name).unused_knobs() == set()


@pytest.mark.parametrize("name", SETS)
def test_builds_and_steps(name: str) -> None:
    if MODELS[name] in kit.models(method="act"):
        pytest.skip("see test_acting_models.py")
    import t2t.experiment  # noqa: F401  registers what the sets bind
    from t2t.training.tensorflow_step import TensorFlowStep

    knobs = _load(name).knobs
    small = ",".join(f"{k}={v!r}" for k, v in TINY.items() if knobs.get(k))
    config = _load(name, small)
    build.apply(config)
    offered = kit.features(config.knob("model"))
    model = build.make_model(config, offered)
    options = config_lib.build("step")()
    step = TensorFlowStep(
        model, config_lib.build("optimizer"), options=options, jit=False
    )
    # Once is quicker without a graph.
    tf.config.run_functions_eagerly(True)
    try:
        metrics = step(0, kit.batch(offered))
    finally:
        tf.config.run_functions_eagerly(False)
    assert bool(metrics["finite"]) and float(metrics["loss/all"]) > 0
    for part in ("train", "evaluation", "experiment", "batches"):
        assert callable(config_lib.build(part))
