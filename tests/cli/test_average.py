"""t2t-avg-all: the mean of the last checkpoints, decoded with as any run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from commands import call

from t2t.run import checkpoints


def test_the_mean_of_the_last(copy_run: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    answer = call(f"t2t-avg-all --model_dir={copy_run} --output_dir={made} --n=2")
    assert answer.status == 0, answer.err
    (written,) = answer.out.splitlines()
    assert written.endswith("checkpoint-00000004.npz")
    two, four = (
        checkpoints.read(copy_run / "checkpoints" / f"checkpoint-{step:08d}.npz")[0]
        for step in (2, 4)
    )
    found, _ = checkpoints.read(made / "checkpoints" / "checkpoint-00000004.npz")
    assert found and all(name.startswith("model/") for name in found)
    for name, array in found.items():
        np.testing.assert_allclose(array, (two[name] + four[name]) / 2, atol=1e-6)
    answer = call(f"t2t-decoder --output_dir={made}", stdin=b"3 1 4\n")
    assert answer.status == 0 and answer.out.count("\n") == 1, answer.err
    goes_on = call(f"t2t-trainer --output_dir={made} --train_steps=5 --strategy=none")
    assert goes_on.status == 2 and "--warm_start_from" in goes_on.err


def test_mistakes(copy_run: Path, tmp_path: Path) -> None:
    made, once = tmp_path / "made", shutil.copytree(copy_run, tmp_path / "once")
    (once / "checkpoints" / "checkpoint-00000002.npz").unlink()
    for flags, told in (
        (f"--output_dir={made}", "--model_dir"),
        (f"--model_dir={copy_run}", "--output_dir"),
        (f"--model_dir={tmp_path} --output_dir={made}", "no run"),
        (f"--model_dir={once} --output_dir={made}", "nothing to average"),
        (f"--model_dir={copy_run} --output_dir={copy_run}", "is there"),
        (f"--model_dir={copy_run} --output_dir={made} --n=1", "at least 2"),
    ):
        answer = call(f"t2t-avg-all {flags}")
        assert answer.status == 2 and told in answer.err, answer
    assert not made.exists()
