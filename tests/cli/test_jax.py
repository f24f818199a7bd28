"""A run goes on with KERAS_BACKEND=jax, from the same configuration and checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import TINY, Answer, arguments_of, call, environment

pytest.importorskip("jax")


def on_jax(line: str, *, stdin: str = "") -> Answer:
    done = subprocess.run(
        arguments_of(line),
        env=environment(KERAS_BACKEND="jax", JAX_PLATFORMS="cpu"),
        input=stdin,
        capture_output=True,
        text=True,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def losses(run: Path) -> dict[tuple[str, int], float]:
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {(r["split"], r["step"]): r["loss"] for r in records}


def test_a_run_goes_on(copy_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(copy_run, tmp_path / "run")
    answer = on_jax(f"t2t-trainer --output_dir={run} --train_steps=6")
    assert answer.status == 0, answer.err
    assert "going on from step 4" in answer.err
    assert {("train", 6), ("dev", 6)} <= set(losses(run))
    decoded = call(f"t2t-decoder --output_dir={run}", stdin=b"3 1 4\n")
    assert decoded.status == 0 and decoded.out.count("\n") == 1, decoded.err


def test_what_is_tensorflows_is_told(copy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for line in (
        f"t2t-decoder --output_dir={copy_run}",
        f"t2t-trainer {TINY.replace('none', 'multiworker')} --output_dir={run}",
        f"t2t-trainer --problem=catch --hparams_set=rainbow_small --output_dir={run}",
    ):
        answer = on_jax(line, stdin="3 1 4\n")
        assert answer.status == 2 and "unset KERAS_BACKEND" in answer.err, answer
        assert "Traceback" not in answer.err and not run.exists()


def test_a_missing_jax_is_told(tmp_path: Path) -> None:
    (tmp_path / "jax.py").write_text("raise ImportError('absent')")
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    done = subprocess.run(
        arguments_of(f"t2t-trainer {TINY} --output_dir={tmp_path / 'run'}"),
        env=environment(KERAS_BACKEND="jax", PYTHONPATH=path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "pip install -e '.[jax]'" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_fifty_steps_have_the_same_losses(tmp_path: Path) -> None:
    """With dropout, clipping and a moving average, at rates that change weights."""
    knobs = (
        "tokens_per_batch=256,log_frequency=1,dropout=0.1,ema_decay=0.9,clip_norm=1.0,"
        "learning_rate_constant=500.0,decode_examples=0"
    )
    line = f"t2t-trainer {TINY} --eval_steps=2 --hparams={knobs}"
    run, other = tmp_path / "run", tmp_path / "other"
    assert call(f"{line} --train_steps=2 --output_dir={run}").status == 0
    shutil.copytree(run, other)
    assert call(f"t2t-trainer --train_steps=50 --output_dir={run}").status == 0
    answer = on_jax(f"t2t-trainer --train_steps=50 --output_dir={other}")
    assert answer.status == 0, answer.err
    expected = losses(run)
    assert expected["train", 50] < expected["train", 3] - 0.5
    assert losses(other) == pytest.approx(expected, abs=1e-4)
