"""A module compiled with a policy: whose decisions there were, and the code's size."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from t2t.bridge.episodes import Episode, Job
from t2t.bridge.llvm import Compiler
from t2t.problems.compiler import elf

# A remark of the inliner's: who calls whom, in the order of the questions.
_REMARK = re.compile(
    rb"^Function: +(?P<caller>.*)\nArgs:\n  - Callee: +(?P<callee>.*)$", re.MULTILINE
)
_REMARKS = ("-fsave-optimization-record", "-foptimization-record-passes=inline-ml")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a module's decisions.

    Args:
      text: bytes of code.
      functions: bytes of each function.
      pairs: (caller, callee) of each decision; empty where the compiler told none.
    """

    text: int
    functions: dict[str, int]
    pairs: list[tuple[str, str]]


def job(compiler: Compiler, module: Path, output: Path, *, level: str = "-Oz") -> Job:
    """A compilation that asks for its inlining decisions and says whose they were.

    Args:
      output: of the object; the remarks go beside it.
    """
    flags: tuple[str, ...] = ()
    if compiler.path is not None:
        remarks = output.with_suffix(".yaml")
        flags = (*_REMARKS, f"-foptimization-record-file={remarks}")
    return compiler.job(module, output, task="inline", level=level, flags=flags)


def outcome(episode: Episode, output: Path) -> Outcome:
    """What a job made; its files are removed.

    Raises:
      NotAnObject, OSError: when there is none.
    """
    code = elf.read(output)
    remarks = output.with_suffix(".yaml")
    pairs = _pairs(remarks.read_bytes()) if remarks.exists() else []
    for path in (output, remarks):
        path.unlink(missing_ok=True)
    if len(pairs) != episode.decisions:  # another version, other remarks
        pairs = []
    return Outcome(code.text, code.functions, pairs)


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    return [
        (_symbol(match["caller"]), _symbol(match["callee"]))
        for match in _REMARK.finditer(raw)
    ]


def _symbol(raw: bytes) -> str:
    """A name as YAML has it, which may be in quotes."""
    return raw.decode(errors="replace").strip().strip("'\"")
