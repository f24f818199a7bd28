"""t2t-cc: a compiler with a learned policy inside, or one that records what it builds.

    CC="t2t-cc --policy=RUN -- clang" make     # smaller code at -Os and -Oz
    CC="t2t-cc --tries=24 -- clang++" make     # the smallest of 24 compilations of each
    CC="t2t-cc --record=CORPUS -- clang" make  # a corpus of your project
    t2t-cc --policy=RUN -- clang -Oz -c a.c -o a.o

What is not a compilation for size by a clang that can be asked goes to the compiler
untouched: links, preprocessing, other levels. The policy answers within the compiler
where its plug-in can be built (llvm-N-dev), else from here over LLVM's channel; without
an answer LLVM decides for itself. A search of each file's own decisions (--tries) needs
the plug-in; with a policy it begins with its decisions, too.

Started once a file, so what is not needed is not imported.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

USAGE = (
    "t2t-cc [--policy=RUN|FILE] [--tries=N] [--record=FOLDER] [--package=NAME] "
    "-- clang …"
)
FLAGS = ("policy", "tries", "record", "package")
SOURCES = (".c", ".cc", ".cpp", ".cxx", ".C", ".c++")
SMALL = ("-Os", "-Oz")
# Words by which a command does something else than make an object.
OTHERS = {"-E", "-M", "-MM", "-fsyntax-only", "--version", "-###", "-v", "-"}
MAGIC = b"t2tflat1"  # as t2t.bridge.flat has it
MOST_SIZE = "-ml-advisor-size-increase-threshold=1000000.0"


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Exit status; does not return where the compiler takes over."""
    ours, dashes, command = _split(words)
    given: dict[str, str] = {}
    for word in ours:
        name, equals, value = word.removeprefix("--").partition("=")
        if word in ("--help", "-h"):
            print(__doc__)
            return 0
        if not word.startswith("--") or name not in FLAGS or not (equals and value):
            return _mistake(f"what is {word!r}? {USAGE}")
        given[name] = value
    if not dashes or not command:
        return _mistake(f"no compiler: {USAGE}")
    sources = _sources(command)
    if sources and "record" in given:
        _record(command, sources, Path(given["record"]), given.get("package", ""))
    if not given.get("tries", "1").isdigit():
        return _mistake(f"--tries={given['tries']}: how many compilations of a file?")
    if sources and "tries" in given:
        return _searched(command, sources, int(given["tries"]), given.get("policy", ""))
    if sources and "policy" in given:
        try:
            return _learned(command, sources, given["policy"])
        except (ValueError, OSError) as error:
            return _mistake(str(error))
    return _plain(command)


def _split(words: Sequence[str]) -> tuple[Sequence[str], bool, Sequence[str]]:
    if "--" not in words:
        return words, False, ()
    at = list(words).index("--")
    return words[:at], True, words[at + 1 :]


def _mistake(line: str) -> int:
    print(f"t2t-cc: {line}", file=sys.stderr)
    return 2


def _sources(command: Sequence[str]) -> list[str]:
    """The files that are compiled for size; none for another kind of command."""
    levels = [word for word in command if word.startswith("-O")]
    other = OTHERS & {*command} or any(w.startswith("-flto") for w in command)
    if other or not levels or levels[-1] not in SMALL:
        return []
    return [w for w in command[1:] if w.endswith(SOURCES) and not w.startswith("-")]


def _plain(command: Sequence[str]) -> int:
    sys.stdout.flush()
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        return _mistake(f"{command[0]}: {error.strerror}")


def _learned(command: Sequence[str], sources: Sequence[str], policy: str) -> int:
    """Compiles with the policy: by the plug-in, or over the channel."""
    from t2t.bridge import plugins

    weights = _weights(policy)
    try:
        plugin = plugins.build(command[0])
    except plugins.CannotBuild as error:
        return _asked(command, sources, weights, str(error))
    if not plugin.name.startswith("llvm"):
        print(f"t2t-cc: {command[0]} has no policy: plain", file=sys.stderr)
        return _plain(command)
    more = [f"-fpass-plugin={plugin}", "-mllvm", MOST_SIZE]
    os.environ["T2T_BRIDGE"] = f"model:{weights}"
    return _plain([*command, *more])


def _searched(
    command: Sequence[str], sources: Sequence[str], tries: int, policy: str
) -> int:
    """Compiles plainly, then looks for smaller code and puts it in its place."""
    import subprocess

    from t2t.bridge import flat, plugins
    from t2t.problems.compiler.search import STARTS, Search

    try:
        starts = STARTS
        if policy:
            starts = (STARTS[0], flat.load(_weights(policy)), *STARTS[1:])
        plugin = plugins.build(command[0])
        if len(sources) > 1 or "-c" not in command:
            raise ValueError("one file and -c at a time")
        if not plugin.name.startswith("llvm"):
            raise ValueError(f"{command[0]} is no clang")
    except (ValueError, OSError) as error:
        print(f"t2t-cc: no search: {error}: plain", file=sys.stderr)
        return _plain(command)
    try:
        status = subprocess.run(command).returncode
    except OSError as error:
        return _mistake(f"{command[0]}: {error.strerror}")
    output = _output(command, sources[0])
    if status or not output.exists():
        return status
    with Search(_job_of(command, plugin)) as search:
        found = search.smallest(tries, starts)
    if found is None:
        print(f"t2t-cc: no search: {search.failure}", file=sys.stderr)
    elif found[1].code.text < found[0].code.text:
        temporary = output.with_name(f".{output.name}.tmp")
        temporary.write_bytes(found[1].content)
        temporary.replace(output)
    return 0


def _job_of(command: Sequence[str], plugin: Path) -> Callable[[Path], Any]:
    """The same compilation into another file, whose decisions are asked for."""
    from t2t.bridge.episodes import Job

    words = list(command)
    if "-o" in words[:-1]:
        at = words.index("-o")
        del words[at : at + 2]
    # Dependencies were written by the compilation that came before.
    kept = [word for word in words if word not in ("-MD", "-MMD")]
    more = ("-w", "-Qunused-arguments", f"-fpass-plugin={plugin}", "-mllvm", MOST_SIZE)
    address = {"T2T_BRIDGE": "{channel}", "T2T_BRIDGE_SITES": "1"}
    return lambda output: Job(
        (*kept, *more, "-o", str(output)), address, "unix", "frames"
    )


def _output(command: Sequence[str], source: str) -> Path:
    if "-o" in command[:-1]:
        return Path(command[list(command).index("-o") + 1])
    return Path(Path(source).stem + ".o")


def _asked(
    command: Sequence[str], sources: Sequence[str], weights: Path, why: str
) -> int:
    from t2t.bridge import flat, llvm
    from t2t.bridge.episodes import Episode, Job
    from t2t.bridge.host import Host

    try:
        header = llvm.probe(llvm.find(command[0])).header
    except llvm.NoCompiler as error:
        print(f"t2t-cc: {error}: plain", file=sys.stderr)
        return _plain(command)
    if len(sources) > 1:
        print(f"t2t-cc: several files, no plug-in ({why}): plain", file=sys.stderr)
        return _plain(command)
    policy = flat.load(weights)
    policy.check(header)
    flags = [*llvm.TASKS["inline"], MOST_SIZE]
    words = [*command, *(word for flag in flags for word in ("-mllvm", flag))]
    with Host(policy, parallel=1) as host:
        (result,) = host.run([Job(tuple(words), deadline=3600.0, cpu=3600)])
    sys.stderr.write(result.log)
    if isinstance(result, Episode) or result.status > 0:
        return result.status
    print(f"t2t-cc: {result.reason}: its own decisions", file=sys.stderr)
    return _plain(command)


def _weights(policy: str) -> Path:
    """The flat weights in a file, or of a run.

    Raises:
      ValueError: when there are none; RunError and CheckpointError are such.
    """
    path = Path(policy)
    if path.is_dir():
        kept = path / "advice.bin"
        if kept.exists():
            return kept.resolve()
        from t2t.export.advice import kept as export

        with _lock(path / ".advice.lock"):
            path = export(path)
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{policy} is no run and holds no flat weights")
    return path.resolve()


def _record(
    command: Sequence[str], sources: Sequence[str], folder: Path, package: str
) -> None:
    """Adds the files to a corpus; a build never fails for that."""
    from t2t.bridge import llvm
    from t2t.problems.compiler.gather import Gatherer
    from t2t.problems.compiler.sources import of_command, plain

    here = Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    name = plain(package or here.name)
    units = [of_command(command[1:], here / s, here, name) for s in sources]
    try:
        with _lock(folder / ".lock"):
            Gatherer(folder, llvm.find(command[0]), parallel=1).add(units, title=name)
    except (ValueError, OSError) as error:
        print(f"t2t-cc: not recorded: {error}", file=sys.stderr)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Of one process at a time; `make -j` starts many."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main()
