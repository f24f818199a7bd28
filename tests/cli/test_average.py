"""t2t-avg-all: the mean of the last checkpoints, decoded with as any run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from commands import TINY, call, trained

from t2t.run import checkpoints


def test_the_mean_of_the_last(tmp_path: Path) -> None:
    run, made = tmp_path / "run", tmp_path / "made"
    answer = call(
        f"t2t-trainer {TINY} --train_steps=3 --eval_steps=1 --output_dir={run} "
        "--hparams=decode_examples=0,tokens_per_batch=64,save_frequency=1"
    )
    trained(answer, run)
    answer = call(f"t2t-avg-all --model_dir={run} --output_dir={made} --n=2")
    assert answer.status == 0, answer.err
    assert [Path(line).name for line in answer.out.splitlines()] == [
        "checkpoint-00000002.npz",
        "checkpoint-00000003.npz",
    ]
    two, three = (
        checkpoints.read(run / "checkpoints" / f"checkpoint-{step:08d}.npz")[0]
        for step in (2, 3)
    )
    found, _ = checkpoints.read(made / "checkpoints" / "checkpoint-00000003.npz")
    assert found and all(name.startswith("model/") for name in found)
    for name, array in found.items():
        np.testing.assert_allclose(array, (two[name] + three[name]) / 2, atol=1e-6)
    answer = call(f"t2t-decoder --output_dir={made}", stdin=b"3 1 4\n")
    assert answer.status == 0 and answer.out.count("\n") == 1, answer.err
    goes_on = call(f"t2t-trainer --output_dir={made} --train_steps=5 --strategy=none")
    assert goes_on.status == 2 and "--warm_start_from" in goes_on.err


def test_mistakes(copy_run: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for flags, told in (
        (f"--output_dir={made}", "--model_dir"),
        (f"--model_dir={copy_run}", "--output_dir"),
        (f"--model_dir={tmp_path} --output_dir={made}", "no run"),
        (f"--model_dir={copy_run} --output_dir={made}", "nothing to average"),
        (f"--model_dir={copy_run} --output_dir={copy_run}", "is there"),
        (f"--model_dir={copy_run} --output_dir={made} --n=1", "at least 2"),
    ):
        answer = call(f"t2t-avg-all {flags}")
        assert answer.status == 2 and told in answer.err, answer
    assert not made.exists()
