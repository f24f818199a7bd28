"""Starting costs no TensorFlow where none is needed, and nothing says too much."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import MODULES, REPOSITORY, arguments_of, environment, process

PROGRAMS = [
    path
    for path in sorted((REPOSITORY / "scripts").iterdir())
    if path.is_file()
    and os.access(path, os.X_OK)
    and path.name not in ("check", "sizes")
]
HEAVY = {"tensorflow", "keras", "jax", "torch", "sentencepiece", "matplotlib"}


def first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").split("\n", 1)[0]


def imported(line: str) -> tuple[set[str], int]:
    """Top-level packages that a command imports, and its exit status."""
    python, *rest = arguments_of(line)
    done = subprocess.run(
        [python, "-X", "importtime", *rest],
        env=environment(),
        capture_output=True,
        text=True,
    )
    named = (
        line.rsplit("|", 1)[-1] for line in done.stderr.splitlines() if "|" in line
    )
    return {name.strip().split(".")[0] for name in named}, done.returncode


@pytest.mark.parametrize(
    "line",
    [
        *(f"{name} --help" for name in MODULES),
        "t2t-trainer --registry_help",
        "t2t-zoo list",
        "t2t-zoo show transformer",
        "t2t-zoo show transformer_base",
        "t2t-zoo show translate_ende_interface",
    ],
)
def test_what_only_prints_imports_nothing_heavy(line: str) -> None:
    modules, status = imported(line)
    assert status == 0
    assert "absl" in modules  # so that an empty set means nothing
    assert not modules & HEAVY


@pytest.mark.parametrize("script", PROGRAMS, ids=lambda path: path.name)
def test_a_program_answers_help_at_once(script: Path) -> None:
    python = [sys.executable, "-X", "importtime"]
    done = subprocess.run(
        [*(python if "python" in first_line(script) else []), script, "--help"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "usage" in done.stdout.lower() and script.name in done.stdout
    heavy = [line for line in done.stderr.splitlines() if line.endswith("| tensorflow")]
    assert not heavy


@pytest.mark.parametrize(
    "line",
    [
        "t2t-trainer --problem=algorithmic_cpy --output_dir=nowhere",
        "t2t-trainer --problem=algorithmic_copy --hparams_set=mlp_small "
        "--output_dir=nowhere",
        "t2t-decoder --output_dir=nowhere",
        "t2t-eval --output_dir=nowhere",
        "t2t-datagen --problem=text2text_file --data_dir=nowhere",
    ],
)
def test_a_wrong_name_is_told_before_anything_heavy(line: str) -> None:
    modules, status = imported(line)
    assert status == 2
    assert not modules & HEAVY


@pytest.mark.parametrize("name", MODULES)
def test_a_bare_command_says_how_it_is_used(name: str) -> None:
    modules, status = imported(name)
    assert status == 2
    assert not modules & HEAVY
    answer = process(name)
    assert answer.out == ""
    usage, *examples = answer.err.splitlines()
    assert usage.startswith(f"usage: {name} ")
    assert len(examples) == 3
    assert all(line.startswith("  t2t-") for line in examples)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, t2t; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True
    )
    modules = {name.split(".")[0] for name in done.stdout.split()}
    assert "t2t" in modules
    assert not modules & HEAVY
