"""Run with KERAS_BACKEND=jax: what models say and learn there, with no TensorFlow.

    python jax_side.py WEIGHTS.npz FOUND.npz

WEIGHTS names its arrays 'model|variable path' for the logits of a model and
'JSON|variable' for a training that the JSON describes; FOUND has 'model' and
'JSON|variable'.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import jax
import keras
import numpy as np

import kit  # isort: skip

from t2t.run import checkpoints

assert keras.backend.backend() == "jax"


def logits(name: str, weights: dict[str, Any]) -> np.ndarray:
    model = kit.make(name, shallow=True)
    for variable in model.variables:
        variable.assign(weights[variable.path])
    forward = jax.jit(lambda batch: model(batch)[0])
    return kit.array(forward(kit.batch(kit.features(name))))


def trained(given: dict[str, Any], weights: dict[str, Any]) -> dict[str, np.ndarray]:
    step = kit.step(**given, jit=True)
    checkpoints.assign(step.variables(), weights)
    return kit.trained(step, given["name"])


def main(given: str, found: str) -> None:
    assert "tensorflow" not in sys.modules, "models and the step import no TensorFlow"
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # as if it were absent
    grouped: dict[str, dict[str, Any]] = {}
    for name, value in np.load(given).items():
        group, variable = name.split("|")
        grouped.setdefault(group, {})[variable] = value
    answers: dict[str, Any] = {}
    for group, weights in grouped.items():
        if group.startswith("{"):
            after = trained(json.loads(group), weights)
            answers.update({f"{group}|{name}": value for name, value in after.items()})
        else:
            answers[group] = logits(group, weights)
    np.savez(found, **answers)


main(*sys.argv[1:])
