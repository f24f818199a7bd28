"""The same model files run on JAX, the living road to TPUs, and give the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import kit
import numpy as np
import pytest

pytest.importorskip("jax")

HERE = Path(__file__).parent


def test_jax_is_tensorflow(tmp_path: Path) -> None:
    weights, expected = {}, {}
    for name in kit.models():
        model = kit.make(name, shallow=True)
        kit.randomise(model)
        weights.update({f"{name}|{v.path}": np.asarray(v) for v in model.variables})
        expected[name] = kit.array(model(kit.batch(kit.features(name)))[0])
    np.savez(tmp_path / "weights.npz", **weights)
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE.parents[1])]),
    }
    done = subprocess.run(
        [sys.executable, HERE / "jax_forward.py", "weights.npz", "logits.npz"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "logits.npz")
    assert set(found.files) == set(expected)
    for name in expected:
        np.testing.assert_allclose(
            found[name], expected[name], atol=1e-4, rtol=1e-4, err_msg=name
        )
