"""Runs that the tests of the commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import KNOBS, TINY, call


@pytest.fixture(scope="session")
def copy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 4 steps on a generated problem; tests leave it as it is."""
    run = tmp_path_factory.mktemp("runs") / "copy"
    answer = call(f"t2t-trainer {TINY} {KNOBS} --train_steps=4 --output_dir={run}")
    assert answer.status == 0, answer.err
    return run
