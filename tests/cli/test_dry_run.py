"""t2t-trainer --dry_run: what a run would be, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import TINY, call


def test_sizes_a_batch_and_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call(f"t2t-trainer {TINY} --hparams=tokens_per_batch=128 --dry_run")
    assert answer.status == 0, answer.err
    counts = [
        int(line.split()[1].replace(",", ""))
        for line in answer.out.split("parameters\n")[1].split("\n\n")[0].splitlines()
    ]
    told = int(answer.out.split(" parameters;")[0].split()[-1].replace(",", ""))
    assert sum(counts) == told
    shapes = [line for line in answer.lines if line.startswith("  targets ")]
    assert "int32" in shapes[0] and len(shapes) == 2  # in the batch, in the example
    example = dict(
        line.split(maxsplit=1)
        for line in answer.out.split("an example\n")[1].splitlines()
    )
    assert example["inputs"] == example["targets"]  # it copies
    assert not list(tmp_path.iterdir())


def test_it_makes_no_data_and_says_what_would_be_wrong(tmp_path: Path) -> None:
    run = tmp_path / "run"
    stored = "t2t-trainer --problem=image_digits --hparams_set=resnet_small --dry_run"
    for line in (stored, f"{stored} --output_dir={run}"):
        answer = call(line)
        assert answer.status == 2 and "makes no data: t2t-datagen" in answer.err
    wrong = call(f"t2t-trainer {TINY} --hparams=num_heads=3 --dry_run")
    assert wrong.status == 2 and "num_heads" in wrong.err
    assert not run.exists()
