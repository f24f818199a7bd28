"""Stock LLVM asked for its decisions: clang from 17 on, or llvmlite with no clang.

A compiler that was built as it is shipped takes a channel for three of its decisions,
and waits at each for an answer:

inline    whether to inline a call: 38 numbers and LLVM's own decision
evict     which register to take from others: 20 rows of 33 candidates, and progress
priority  in which order values get registers

What the numbers are is in the header that it sends. `size_increase` is how much larger
all functions may grow, by their instructions, before the inliner asks no more; LLVM's
own limit is 2, and it is counted before what is inlined is simplified.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2t.bridge.episodes import (
    Episode,
    Job,
    Policy,
    Questions,
    Trajectory,
    echo,
)
from t2t.bridge.host import Host
from t2t.names import close_to

OLDEST = 17  # the first with channels
NEWEST = 40  # to be looked for
INSTALL = "apt-get install clang-19, or pip install -e '.[compilers]'"

_EMBEDDED = Path(__file__).with_name("embedded.py")
_BLOCKS = "callee_basic_block_count"

log = logging.getLogger(__name__)

TASKS = {
    "inline": (
        "-enable-ml-inliner=release",
        "-inliner-interactive-channel-base={base}",
        "-inliner-interactive-include-default",
    ),
    "evict": (
        "-regalloc-enable-advisor=release",
        "-regalloc-evict-interactive-channel-base={base}",
    ),
    "priority": (
        "-regalloc-enable-priority-advisor=release",
        "-regalloc-priority-interactive-channel-base={base}",
    ),
}


class NoCompiler(ValueError):
    """No LLVM here that can be asked; says what to install."""


@dataclasses.dataclass(frozen=True)
class Compiler:
    """A clang, or llvmlite.

    Attributes:
      name: such as 'clang-22' or 'llvmlite'.
      path: of the clang; None for llvmlite.
      version: of its LLVM.
    """

    name: str
    path: str | None
    version: tuple[int, ...]

    def command(
        self,
        module: Path,
        output: Path,
        *,
        task: str = "",
        level: str = "-Oz",
        plugin: Path | None = None,
        size_increase: float = 1e6,
        flags: Sequence[str] = (),
    ) -> tuple[str, ...]:
        """The words that compile a module; for a `Job` with LLVM's codec if it asks.

        Args:
          module: bitcode or IR; for clang C, C++ and so on as well.
          output: of the object.
          task: one of `TASKS`; none is asked by default.
          plugin: of `plugins.build`, by which the inliner asks in place of a channel.
          level: of clang's optimisation.
          size_increase: see above.
          flags: more of clang's own, none for llvmlite.

        Raises:
          ValueError: for an unknown task, or what llvmlite cannot do.
        """
        asked = self._asked(task, plugin, size_increase)
        if self.path is None:
            if module.suffix not in (".bc", ".ll") or flags or plugin:
                raise ValueError(
                    f"llvmlite optimises bitcode only, by its channel: {module.name} "
                    f"needs clang ({INSTALL.split(',')[0]})"
                )
            script = (sys.executable, "-I", str(_EMBEDDED))
            return (*script, str(module), str(output), *asked)
        passed = [word for flag in asked for word in ("-mllvm", flag)]
        if plugin:
            passed.append(f"-fpass-plugin={plugin}")
        quiet = ("-fno-crash-diagnostics", "-Wno-override-module")
        words = (self.path, level, "-c", *quiet, *flags, *passed)
        return (*words, str(module), "-o", str(output))

    def job(
        self,
        module: Path,
        output: Path,
        *,
        plugin: Path | None = None,
        transport: str = "",
        sites: bool = False,
        **options: Any,
    ) -> Job:
        """A job for a `Host`: over LLVM's channel, or by a plug-in where one is given.

        Args:
          transport: of a plug-in; 'unix' by default.
          sites: whether a plug-in says of each question whose call it is about, as its
            context: caller, tab, callee.
          **options: of `command`.
        """
        command = self.command(module, output, plugin=plugin, **options)
        if plugin is None:
            return Job(command)
        address = {"T2T_BRIDGE": "{channel}"}
        if sites:
            address["T2T_BRIDGE_SITES"] = "1"
        return Job(command, address, transport or "unix", "frames")

    def _asked(self, task: str, plugin: Path | None, size_increase: float) -> list[str]:
        limit = f"-ml-advisor-size-increase-threshold={size_increase:.1f}"
        if plugin:
            return [limit]
        if not task:
            return []
        if task not in TASKS:
            raise ValueError(
                f"LLVM has no task {task!r}.{close_to(task, TASKS)} "
                f"Tasks: {', '.join(TASKS)}"
            )
        asked = list(TASKS[task])
        if task == "inline":
            asked.append(limit)
        return asked


@functools.cache
def found() -> tuple[Compiler, ...]:
    """All that can be asked here: clangs, the newest first, then llvmlite."""
    names = [f"clang-{n}" for n in range(NEWEST, OLDEST - 1, -1)] + ["clang"]
    there: dict[str, Compiler] = {}
    for name in names:
        if (path := shutil.which(name)) and (compiler := _clang(name, path)):
            there.setdefault(str(Path(path).resolve()), compiler)
    usable = [c for c in there.values() if c.version[0] >= OLDEST]
    usable.sort(key=lambda compiler: compiler.version, reverse=True)
    if importlib.util.find_spec("llvmlite"):
        from llvmlite import binding

        usable.append(Compiler("llvmlite", None, tuple(binding.llvm_version_info)))
    return tuple(usable)


def find(name: str = "") -> Compiler:
    """A compiler by its name or path, or the best one here.

    Raises:
      NoCompiler: when there is none, or it is too old; says what to install.
    """
    known = {compiler.name: compiler for compiler in found()}
    if name in known:
        return known[name]
    if name:
        return _named(name, list(known))
    if not known:
        raise NoCompiler(f"no clang from {OLDEST} on and no llvmlite here: {INSTALL}")
    best = next(iter(known.values()))
    if best.path is None:
        log.warning("no clang here: llvmlite is used, which optimises bitcode only")
    return best


def _named(name: str, known: list[str]) -> Compiler:
    path = shutil.which(name)
    compiler = _clang(Path(name).name, path) if path else None
    if compiler is None:
        have = ", ".join(known) or "none"
        raise NoCompiler(
            f"no compiler {name!r} here.{close_to(name, known)} There: {have} "
            f"(more: {INSTALL})"
        )
    if compiler.version[0] < OLDEST:
        version = ".".join(map(str, compiler.version))
        raise NoCompiler(
            f"{name} is LLVM {version}, which cannot be asked: expected {OLDEST} or "
            f"later ({INSTALL})"
        )
    return compiler


def _clang(name: str, path: str) -> Compiler | None:
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=30
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Apple's has other numbers, and no channels.
    match = re.search(r"(?<!Apple )clang version (\d+)\.(\d+)\.(\d+)", told)
    return Compiler(name, path, tuple(map(int, match.groups()))) if match else None


# -- LLVM's own decision --------------------------------------------------------------

# A call that is surely inlined: the only one of a function of three blocks.
PROBE = """
define internal i32 @callee(i32 %x) minsize optsize {
  %c = icmp slt i32 %x, 0
  br i1 %c, label %negative, label %other
negative:
  ret i32 0
other:
  ret i32 %x
}
define i32 @caller(i32 %x) minsize optsize {
  %r = call i32 @callee(i32 %x)
  ret i32 %r
}
"""


@functools.cache
def probe(compiler: Compiler) -> Trajectory:
    """What it asks about a call that is surely inlined, with the header it sends.

    Raises:
      NoCompiler: when it does not ask at all.
    """
    with tempfile.TemporaryDirectory(prefix="t2t-") as folder:
        module, output = Path(folder) / "probe.ll", Path(folder) / "probe.o"
        module.write_text(PROBE)
        command = compiler.command(module, output, task="inline")
        with Host(lambda questions: np.ones(len(questions.jobs), np.int64)) as host:
            (result,) = host.run([Job(command)])
    if not isinstance(result, Episode) or not result.decisions:
        why = result.log if not isinstance(result, Episode) else "nothing was asked"
        raise NoCompiler(f"{compiler.name} cannot be asked ({why.strip()}): {INSTALL}")
    return result.trajectories[0]


def misplaces_default(compiler: Compiler) -> bool:
    """Whether it writes its own decision over another feature, as LLVM 19 does.

    There `inlining_default` is always 0, and callee_basic_block_count holds the
    decision and not the blocks; mended in LLVM 21 (llvm-project, pull request 141453).

    Raises:
      NoCompiler: when it does not ask at all.
    """
    return misplaced(probe(compiler).observations)


def misplaced(observations: np.ndarray) -> bool:
    """Whether the decision may stand in place of the callee's blocks, by its looks.

    Args:
      observations: records [T] of the inliner; with many of them it is sure.
    """
    names = observations.dtype.names or ()
    if not len(observations) or not {"inlining_default", _BLOCKS} <= set(names):
        return False
    blocks = observations[_BLOCKS]
    return bool((observations["inlining_default"] == 0).all() and (blocks <= 1).all())


def default_policy(compiler: Compiler) -> Policy:
    """LLVM's own inlining decisions, from where this version puts them."""
    if not misplaces_default(compiler):
        return echo
    log.warning(
        "%s sends its own decision in place of %s, which is lost: LLVM 21 and later "
        "send both",
        compiler.name,
        _BLOCKS,
    )
    return _echo_misplaced


def _echo_misplaced(questions: Questions) -> np.ndarray:
    return questions.observations[_BLOCKS]
