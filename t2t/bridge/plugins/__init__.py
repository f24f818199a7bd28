"""Plug-ins by which compilers ask through t2t_bridge.h, and how they are built here.

llvm_inline  clang's inliner, LLVM 19 to 22          needs llvm-N-dev
gcc_passes   whether GCC runs a pass on a function   needs gcc-N-plugin-dev
mlir_unroll  how often mlir-opt unrolls a loop       needs libmlir-N-dev

Each is one file, built against the headers of the compiler that loads it, once; what
was built is kept in $XDG_CACHE_HOME/t2t, by the compiler's version and the source.

    python -m t2t.bridge.plugins clang-22 gcc mlir-opt-22

builds and prints where they are. Runners are what a plug-in loads for policies in other
forms than flat weights (runner:LIBRARY,FILE): a policy.h that `t2t.export` wrote, and
ONNX Runtime and LiteRT from their wheels.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from t2t.names import close_to

HERE = Path(__file__).resolve().parent
HEADER = HERE.parent / "t2t_bridge.h"
FLAGS = ("-std=c++17", "-O2", "-fno-rtti", "-w", "-DT2T_BRIDGE_RUNNERS")
RUNNERS = {
    "onnx": ("onnxruntime", "capi/libonnxruntime.so*"),
    "litert": ("ai_edge_litert", "libLiteRt.so"),
}
LITERT = "2.3."  # whose interface runner_litert.c knows


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


def build_runner(
    kind: str, *, policy: Path | None = None, folder: Path | None = None
) -> Path:
    """A runner's library.

    Args:
      kind: 'onnx', 'litert' or 'header'.
      policy: the policy.h, for 'header'.
      folder: where it is kept; see above.

    Raises:
      CannotBuild: when there is no such runner, or not what it needs.
    """
    flags: tuple[str, ...]
    if kind == "header":
        if policy is None:
            raise CannotBuild("a runner of a header needs the policy.h")
        mask = re.search(r"mask: (\S+)", policy.read_text(encoding="utf-8"))
        flags = ("-include", str(policy.resolve()))
        flags += (f'-DPOLICY_MASK="{mask[1]}"',) if mask else ()
        key = policy.read_bytes()
    elif kind in RUNNERS:
        flags = (f'-DLIBRARY="{_library(kind)}"',)
        key = b""
    else:
        near = close_to(kind, [*RUNNERS, "header"])
        raise CannotBuild(f"no runner {kind!r}.{near} Runners: onnx, litert, header")
    words = ("-std=gnu99", "-O2", "-w", *flags)
    return _compiled(f"runner_{kind}.c", kind, words, folder or _folder(), key)


def _library(kind: str) -> Path:
    module, pattern = RUNNERS[kind]
    spec = importlib.util.find_spec(module)
    hint = "pip install -e '.[runners]'"
    if spec is None or spec.origin is None:
        raise CannotBuild(f"no {module} here: {hint}")
    version = importlib.metadata.version(module.replace("_", "-"))
    if kind == "litert" and not version.startswith(LITERT):
        raise CannotBuild(f"LiteRT {version} has another interface: expected {LITERT}x")
    found = sorted(Path(spec.origin).parent.glob(pattern))
    if not found:
        raise CannotBuild(f"no {pattern} in {Path(spec.origin).parent}: {hint}")
    return found[-1]


def _built(source: str, version: str, includes: Sequence[Path], folder: Path) -> Path:
    system = [word for include in includes for word in ("-isystem", str(include))]
    return _compiled(f"{source}.cc", version, (*FLAGS, *system), folder)


def _compiled(
    source: str, version: str, flags: Sequence[str], folder: Path, more: bytes = b""
) -> Path:
    path = HERE / source
    content = path.read_bytes() + HEADER.read_bytes() + repr(flags).encode() + more
    key = hashlib.sha256(content).hexdigest()[:12]
    # GCC knows a plug-in's arguments by its file's name.
    output = folder / f"{version}-{key}" / f"{path.stem}.so"
    if output.exists():
        return output
    names = ("cc", "gcc", "clang") if path.suffix == ".c" else ("c++", "g++", "clang++")
    compiler = next(filter(None, map(shutil.which, names)), None)
    if compiler is None:
        raise CannotBuild(f"no {names[0]} here: apt-get install g++")
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{path.stem}-{os.getpid()}.so")
    done = subprocess.run(
        [compiler, *flags, "-fPIC", "-shared", f"-I{HEADER.parent}", path]
        + ["-o", temporary, "-ldl"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CannotBuild(f"{path.name} does not compile:\n{done.stderr[-2000:]}")
    os.replace(temporary, output)
    return output
