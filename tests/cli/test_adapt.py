"""Adapters and teachers, as a user trains with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from commands import TINY, call, trained

SMALL = f"t2t-trainer {TINY} --eval_steps=1 "
KNOBS = "--hparams=decode_examples=2,tokens_per_batch=64,log_frequency=1"


def test_adapters_are_all_that_is_saved(copy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    line = f"{SMALL} {KNOBS},lora_rank=2 --output_dir={run} "
    answer = call(f"{line} --train_steps=2")
    assert answer.status == 2 and "--warm_start_from" in answer.err
    assert not run.exists()
    trained(call(f"{line} --train_steps=2 --warm_start_from={copy_run}"), run)
    trained(call(f"{line} --train_steps=4"), run)  # it goes on
    with np.load(run / "checkpoints" / "checkpoint-00000004.npz") as archive:
        own = [name for name in archive.files if name.startswith("model/")]
    assert own and all("lora_kernel" in name for name in own)
    answer = call(f"t2t-decoder --output_dir={run}", stdin=b"3 1 4\n")
    assert answer.status == 0 and answer.out.count("\n") == 1, answer.err

    from t2t.run import checkpoints

    # Who starts from them gets them within the kernels.
    merged, base = map(checkpoints.model_arrays, (run, copy_run))
    changed = [n for n in base if np.abs(merged[n] - base[n]).max() > 0]
    assert merged.keys() == base.keys() and changed
    assert all(name.split("/")[-2] in ("query", "value") for name in changed)

    from safetensors.numpy import load_file

    folder = tmp_path / "merged"
    answer = call(
        f"t2t-exporter --output_dir={run} --export_dir={folder} --format=safetensors "
        "--decode_hparams=beam_size=1,extra_length=2"
    )
    assert answer.status == 0, answer.err
    assert not any("lora" in n for n in load_file(f"{folder}/model.safetensors"))


def test_a_teacher_joins_the_loss(copy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    knobs = f"{KNOBS},distill_from='{copy_run}',hidden_size=8"
    trained(call(f'{SMALL} "{knobs}" --train_steps=3 --output_dir={run}'), run)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    told = [r for r in map(json.loads, lines) if r["split"] == "train"]
    assert all(r["distillation"] > 0 for r in told)
    answer = call(f"t2t-decoder --output_dir={run}", stdin=b"3 1 4\n")
    assert answer.status == 0, answer.err
