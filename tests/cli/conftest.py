"""Runs that the tests of the commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import FILE_KNOBS, KNOBS, TINY, call, trained


@pytest.fixture(scope="session")
def copy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 4 steps, saved twice, of a generated problem; tests leave it as is."""
    run = tmp_path_factory.mktemp("runs") / "copy"
    knobs = f"{KNOBS},save_frequency=2"
    answer = call(f"t2t-trainer {TINY} {knobs} --train_steps=4 --output_dir={run}")
    assert answer.status == 0, answer.err
    return run


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two line-aligned files: a sentence, and its words the other way round."""
    folder = tmp_path_factory.mktemp("pairs")
    words = ["ask", "big", "cat", "dog", "eat", "far", "get", "hat", "ink", "jam"]
    lines = [f"{a} {b} {c}" for a in words for b in words for c in words[:3]]
    inputs, targets = folder / "a.en", folder / "a.de"
    inputs.write_text("".join(f"{line}\n" for line in lines))
    targets.write_text("".join(f"{' '.join(line.split()[::-1])}\n" for line in lines))
    return inputs, targets


@pytest.fixture(scope="session")
def files_run(
    pairs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run on the user's own files, with a small set."""
    run = tmp_path_factory.mktemp("files") / "run"
    answer = call(
        f"t2t-trainer --problem=text2text_files --inputs={pairs[0]} "
        f"--targets={pairs[1]} --hparams_set=transformer_test {FILE_KNOBS} "
        f"--gin_param=text2text_files.vocabulary_size=300 --output_dir={run}"
    )
    return trained(answer, run)
