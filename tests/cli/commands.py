"""Commands called as a user calls them: within this process for speed, or outside.

A line is written as in a shell: `t2t-trainer --problem=algorithmic_copy`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import io
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gin
import pytest

from t2t import registry

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = {
    "t2t-trainer": "trainer",
    "t2t-decoder": "decoder",
    "t2t-datagen": "datagen",
    "t2t-eval": "evaluator",
    "t2t-avg-all": "average",
    "t2t-exporter": "exporter",
    "t2t-serve": "serve",
    "t2t-zoo": "zoo",
}
# The smallest run there is, and the knobs that keep it so.
TINY = "--problem=algorithmic_copy --hparams_set=transformer_test --strategy=none"
KNOBS = "--eval_steps=1 --hparams=decode_examples=2,tokens_per_batch=64,log_frequency=1"

FILE_KNOBS = (
    "--train_steps=3 --strategy=none --eval_steps=1 "
    "--hparams=decode_examples=2,tokens_per_batch=128,max_length=32,log_frequency=1"
)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return (self.out + self.err).splitlines()


def call(line: str, *, stdin: bytes = b"") -> Answer:
    """The command within this process, from a fresh registry and a fresh gin."""
    name, *arguments = shlex.split(line)
    module = importlib.import_module(f"t2t.bin.{MODULES[name]}")
    gin.clear_config()
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(registry, "_registry", None)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        # One core: data are encoded here, no processes are started.
        patch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
        patch.setattr(os, "cpu_count", lambda: 1)
        patch.delenv("T2T_TRACEBACK", raising=False)
        status = module.command.call(module._main, arguments)
    return Answer(status, out.getvalue(), err.getvalue())


def trained(answer: Answer, run: Path) -> Path:
    """The folder of a run that this command made, as it should be."""
    assert answer.status == 0, answer.err
    assert (run / "config.gin").is_file()
    assert list((run / "checkpoints").glob("*.npz"))
    return run


def arguments_of(line: str) -> list[str]:
    """The same command as a process of this interpreter."""
    name, *arguments = shlex.split(line)
    return [sys.executable, "-m", f"t2t.bin.{MODULES[name]}", *arguments]


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process that sees this checkout from any folder."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("TF_", "T2T_"))}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **changes}


def start(line: str, **options: Any) -> subprocess.Popen[str]:
    """The command as a process that runs on."""
    options = {"env": environment(), "text": True, **options}
    return subprocess.Popen(
        arguments_of(line), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def process(line: str, *, cwd: Path | None = None, stdin: str = "") -> Answer:
    """The command as a process, waited for."""
    done = subprocess.run(
        arguments_of(line),
        cwd=cwd,
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def contents(folder: Path) -> dict[str, str]:
    """{relative path: SHA-256} of all that lies in a folder, but for bytecode."""
    return dict(_contents(folder))


def _contents(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if "__pycache__" in path.parts:
            continue
        content = path.read_bytes() if path.is_file() else b"a folder"
        yield str(path.relative_to(folder)), hashlib.sha256(content).hexdigest()
