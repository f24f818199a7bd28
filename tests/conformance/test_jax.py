"""Model files run and learn on JAX, the living road to TPUs, as on TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kit
import numpy as np
import pytest

pytest.importorskip("jax")

HERE = Path(__file__).parent
# With everything that the step can do.
ALL: dict[str, Any] = {
    "name": "transformer", "dropout": 0.3, "accumulate": 2, "clip_norm": 0.5,
    "ema_decay": 0.9,
}  # fmt: skip


def on_jax(folder: Path, arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """What `jax_side` says, on two devices."""
    np.savez(folder / "weights.npz", **arrays)
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE.parents[1])]),
    }
    done = subprocess.run(
        [sys.executable, HERE / "jax_side.py", "weights.npz", "found.npz"],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "found.npz"))


def test_models_say_the_same(tmp_path: Path) -> None:
    weights: dict[str, Any] = {}
    expected: dict[str, np.ndarray] = {}
    for name in kit.models():
        model = kit.make(name, shallow=True)
        kit.randomise(model)
        weights.update({f"{name}|{v.path}": np.asarray(v) for v in model.variables})
        expected[name] = kit.array(model(kit.batch(kit.features(name)))[0])
    found = on_jax(tmp_path, weights)
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_allclose(
            found[name], expected[name], atol=1e-4, rtol=1e-4, err_msg=name
        )


@pytest.mark.slow
def test_the_bench_of_steps_needs_no_tensorflow(tmp_path: Path) -> None:
    script = HERE.parents[1] / "scripts" / "bench_model_step"
    (tmp_path / "tensorflow.py").write_text("raise ImportError('absent')")
    done = subprocess.run(
        [sys.executable, script, "transformer_test", "--rows=2", "--length=8",
         "--vocabulary=32", "--steps=5"],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax",
             "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, titles, numbers = done.stdout.splitlines()
    assert titles.split()[-1] == "utilisation"
    tokens, flops = (float(n.replace(",", "")) for n in numbers.split()[1:3])
    assert tokens > 0 and flops >= 0


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([ALL], id="all"),
        pytest.param(
            [{"name": name} for name in kit.models()],
            id="every",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_models_learn_the_same(cases: list[dict[str, Any]], tmp_path: Path) -> None:
    """Two devices of JAX move each variable to where one of TensorFlow does."""
    begin: dict[str, Any] = {}
    expected: dict[str, np.ndarray] = {}
    for case in cases:
        key = json.dumps({**case, "strategy": "mirrored"})
        step = kit.step(**case)
        begin.update({f"{key}|{n}": np.array(v) for n, v in step.variables().items()})
        after = kit.trained(step, case["name"])
        expected.update({f"{key}|{n}": value for n, value in after.items()})
    found = on_jax(tmp_path, begin)
    assert set(found) == set(expected)
    moved = sum(np.abs(begin[n] - expected[n]).max() > 1e-3 for n in begin)
    assert moved > len(begin) / 4
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)
