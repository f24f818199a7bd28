"""What the shells are told may come next."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import call, environment

CASES = {
    "t2t-trainer --problem=algorithmic_rev": ["algorithmic_reverse"],
    "t2t-trainer --output_dir=r --hparams_set=transformer_small": [
        "transformer_small", "transformer_small_modern",
    ],
    "t2t-trainer --dry": ["--dry_run"],
    "/usr/bin/t2t-eval --quest": ["--questions="],
    "t2t-zoo sh": ["show"],
    "t2t-zoo show algorithmic_rev": ["algorithmic_reverse"],
    "t2t-zoo list mo": ["models"],
    "t2t-replay br": ["browse"],
    "t2t-trainer x": [],
    "ls --pro": [],
    "": [],
}  # fmt: skip


@pytest.mark.parametrize("line", CASES)
def test_what_may_come_next(line: str) -> None:
    answer = call(f"t2t-zoo complete '{line}'")
    assert answer.status == 0
    assert answer.out.split() == CASES[line]


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_completes(tmp_path: Path) -> None:
    script = call("t2t-zoo completion bash").out
    zoo = tmp_path / "t2t-zoo"
    zoo.write_text(f'#!/bin/sh\nexec {sys.executable} -m t2t.bin.zoo "$@"\n')
    zoo.chmod(0o755)
    line = "t2t-trainer --model=transformer_e"
    asked = (
        f"{script}\nCOMP_LINE={line!r}; COMP_POINT={len(line)}; "
        'compopt() { echo option $2; }; _t2t; echo "${COMPREPLY[@]}"; complete -p'
    )
    path = f"{tmp_path}:{environment()['PATH']}"
    done = subprocess.run(
        ["bash", "-c", asked], capture_output=True, text=True, check=True,
        env=environment(PATH=path),
    )  # fmt: skip
    first, *rest = done.stdout.splitlines()
    assert first == "transformer_encoder" and not done.stderr
    assert any(line.endswith("_t2t t2t-trainer") for line in rest)


def test_another_shell_is_named() -> None:
    answer = call("t2t-zoo completion bsh")
    assert answer.status == 2 and "bash" in answer.err
