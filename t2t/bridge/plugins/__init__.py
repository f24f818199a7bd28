"""Plug-ins by which compilers ask through t2t_bridge.h, and how they are built here.

llvm_inline  clang's inliner, LLVM 19 to 22          needs llvm-N-dev
gcc_passes   whether GCC runs a pass on a function   needs gcc-N-plugin-dev
mlir_unroll  how often mlir-opt unrolls a loop       needs libmlir-N-dev

Each is one file, built against the headers of the compiler that loads it, once; what
was built is kept in $XDG_CACHE_HOME/t2t, by the compiler's version and the source.

    python -m t2t.bridge.plugins clang-22 gcc mlir-opt-22

builds and prints where they are.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADER = HERE.parent / "t2t_bridge.h"
FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-fno-rtti", "-w")


class CannotBuild(ValueError):
    """Something is missing; says what to install."""


def build(compiler: str, *, folder: Path | None = None) -> Path:
    """The plug-in for a compiler, built when it is not there yet.

    Args:
      compiler: a clang, gcc, g++ or mlir-opt, by name or path.
      folder: where it is kept; see above.

    Raises:
      CannotBuild: when there is no such compiler, or no headers for it.
    """
    path = shutil.which(compiler)
    if path is None:
        raise CannotBuild(f"no {compiler} here: apt-get install {_package(compiler)}")
    name = Path(compiler).name
    if name.startswith("clang"):
        version, includes = _llvm(path, "llvm-{}-dev")
        source = "llvm_inline"
    elif name.startswith("mlir-opt"):
        version, includes = _llvm(path, "libmlir-{}-dev", "mlir/Pass/Pass.h")
        source = "mlir_unroll"
    elif re.match(r"(gcc|g\+\+|cc|c\+\+)(-\d+)?$", name):
        version, includes = _gcc(path)
        source = "gcc_passes"
    else:
        raise CannotBuild(
            f"no plug-in for {compiler}: clang, gcc and mlir-opt have one"
        )
    return _built(source, version, includes, folder or _folder())


def _package(compiler: str) -> str:
    return Path(compiler).name.replace("mlir-opt", "mlir-tools").replace("++", "cc")


def _said(*words: str) -> str:
    return subprocess.run(
        words, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def _llvm(path: str, package: str, needs: str = "llvm/IR/Module.h"):
    match = re.search(r"version (\d+)\.(\S+)", _said(path, "--version"))
    if match is None:
        raise CannotBuild(f"{path} does not say its version")
    major = match[1]
    found = shutil.which(f"llvm-config-{major}") or shutil.which("llvm-config")
    hint = f"apt-get install {package.format(major)}"
    if found is None or not _said(found, "--version").startswith(f"{major}."):
        raise CannotBuild(f"no llvm-config of LLVM {major} here: {hint}")
    include = Path(_said(found, "--includedir"))
    if not (include / needs).exists():
        raise CannotBuild(f"no {include / needs}: {hint}")
    return f"{major}.{match[2]}", [include]


def _gcc(path: str):
    version = _said(path, "-dumpfullversion")
    include = Path(_said(path, "-print-file-name=plugin")) / "include"
    if not (include / "gcc-plugin.h").exists():
        major = version.split(".")[0]
        raise CannotBuild(
            f"no headers for plug-ins of GCC {version}: "
            f"apt-get install gcc-{major}-plugin-dev"
        )
    return version, [include]


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "t2t" / "plugins"


def _built(source: str, version: str, includes: Sequence[Path], folder: Path) -> Path:
    path = HERE / f"{source}.cc"
    content = path.read_bytes() + HEADER.read_bytes() + str(includes).encode()
    key = hashlib.sha256(content).hexdigest()[:12]
    # GCC knows a plug-in's arguments by its file's name.
    output = folder / f"{version}-{key}" / f"{source}.so"
    if output.exists():
        return output
    compiler = next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)
    if compiler is None:
        raise CannotBuild("no C++ compiler here: apt-get install g++")
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{source}-{os.getpid()}.so")
    system = [word for include in includes for word in ("-isystem", str(include))]
    done = subprocess.run(
        [compiler, *FLAGS, f"-I{HEADER.parent}", *system, path, "-o", temporary],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CannotBuild(f"{path.name} does not compile:\n{done.stderr[-2000:]}")
    os.replace(temporary, output)
    return output
