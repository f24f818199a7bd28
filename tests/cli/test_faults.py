"""Killed at random and run again: the same end. scripts/fault_runs does it 50 times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import REPOSITORY, environment

SCRIPT = REPOSITORY / "scripts" / "fault_runs"


@pytest.mark.parametrize(
    ("kind", "kills"),
    [("datagen", 3), ("train", 1), pytest.param("train", 3, marks=pytest.mark.slow)],
)
def test_kills_change_nothing(kind: str, kills: int, tmp_path: Path) -> None:
    other = {"datagen": "train", "train": "datagen"}[kind]
    done = subprocess.run(
        [
            sys.executable, SCRIPT, f"--{kind}=1", f"--{other}=0", f"--kills={kills}",
            f"--folder={tmp_path}",
        ],
        env=environment(),
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())
    assert result["kind"] == kind
    assert result["fault"] == ""
    assert len(result["killed"]) == kills


def test_another_end_is_told(tmp_path: Path) -> None:
    result = {"kind": "datagen", "number": 0, "killed": ["x"], "fault": "y differs"}
    (tmp_path / "results.jsonl").write_text(json.dumps(result) + "\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--train=0", "--datagen=1", f"--folder={tmp_path}"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2].split() == ["datagen", "1", "1", "0", "1"]
