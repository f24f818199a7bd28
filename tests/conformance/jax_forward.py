"""Run with KERAS_BACKEND=jax: the logits of all models in a file, by their weights.

    python jax_forward.py WEIGHTS.npz LOGITS.npz

The weights are named 'model|variable path', the logits 'model'.
"""

from __future__ import annotations

import sys

import jax
import keras
import numpy as np

import kit  # isort: skip

assert keras.backend.backend() == "jax"

weights = np.load(sys.argv[1])
logits = {}
for name in sorted({key.split("|")[0] for key in weights.files}):
    model = kit.make(name, shallow=True)
    for variable in model.variables:
        variable.assign(weights[f"{name}|{variable.path}"])
    forward = jax.jit(lambda batch, model=model: model(batch)[0])
    logits[name] = kit.array(forward(kit.batch(kit.features(name))))
np.savez(sys.argv[2], **logits)
assert "tensorflow" not in sys.modules, "models import no TensorFlow"
