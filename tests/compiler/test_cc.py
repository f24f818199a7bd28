"""t2t-cc: with a policy, without one, as a recorder; never in a build's way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import compiler_toys as toys
import numpy as np
import pytest

from t2t.bin import cc
from t2t.bridge import flat, llvm, plugins
from t2t.bridge.host import Host
from t2t.problems.compiler import elf
from t2t.problems.compiler.corpus import Corpus


def _policy(path: Path, bias: float) -> Path:
    """Inlines always where bias is above 0, never below."""
    header = llvm.probe(toys.clang()).header
    assert header.advice
    features = [s for s in header.features if s.name != header.default]
    kernel = np.zeros((len(features), 2), "f4")
    layers = [(kernel, np.array([0.0, bias], "f4"))]
    return flat.mlp(features, header.advice, layers).save(path)


def _cc(*words: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "t2t.bin.cc", *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}
    )


@pytest.mark.parametrize("way", ["plug-in", "channel"])
def test_the_policy_decides(tmp_path: Path, way: str) -> None:
    compiler, cache = toys.clang(), {}
    if way == "channel":
        # A folder in which no plug-in can be built: there is no llvm-config.
        tools = tmp_path / "bin"
        tools.mkdir()
        (tools / "clang").symlink_to(Path(str(compiler.path)).resolve())
        cache = {"PATH": str(tools)}
    else:
        try:
            plugins.build(compiler.name)
        except plugins.CannotBuild as error:
            pytest.skip(str(error))
    (unit,) = toys.units(tmp_path, "any", 1)
    name = "clang" if way == "channel" else compiler.name
    sizes = {}
    for bias in (-1.0, 1.0):
        policy, output = _policy(tmp_path / "p.bin", bias), tmp_path / "a.o"
        words = (f"--policy={policy}", "--", name, "-Oz", "-c", unit.path.name)
        done = _cc(*words, "-o", "a.o", cwd=tmp_path, **cache)
        assert done.returncode == 0, done.stderr
        sizes[bias] = elf.read(output).text
        other = tmp_path / "b.o"
        job = compiler.job(unit.path, other, task="inline")
        with Host(flat.load(policy), parallel=1) as host:
            list(host.run([job]))
        assert elf.read(other).text == sizes[bias]
    assert sizes[-1.0] != sizes[1.0]


def test_other_commands_go_through_untouched(tmp_path: Path) -> None:
    (unit,) = toys.units(tmp_path, "any", 1)
    policy, name = _policy(tmp_path / "p.bin", 1.0), toys.clang().name
    for words, status in (
        (("-E", unit.path.name, "-Oz"), 0),
        (("-O2", "-c", unit.path.name), 0),
        (("--version",), 0),
        (("-Oz", "-c", "missing.c"), 1),
    ):
        done = _cc(f"--policy={policy}", "--", name, *words, cwd=tmp_path)
        assert done.returncode == status, (words, done.stderr)
        assert "Traceback" not in done.stderr
        if "-E" in words:
            assert "square" in done.stdout
        if status:
            assert "missing.c" in done.stderr


def test_mistakes_are_told(tmp_path: Path) -> None:
    for words, says in (
        (("--polcy=x", "--", "cc"), "polcy"),
        (("--policy=x",), "no compiler"),
        (("--policy=gone", "--", toys.clang().name, "-Oz", "-c", "a.c"), "gone"),
        (("--policy=x", "--", "no-such-compiler", "-c", "a.c"), "no-such-compiler"),
    ):
        done = _cc(*words, cwd=tmp_path)
        assert done.returncode == 2 and says in done.stderr, done
        assert "Traceback" not in done.stderr


def test_what_is_built_is_recorded(tmp_path: Path) -> None:
    unit, broken = toys.units(tmp_path, "any", 2)
    broken.path.write_text("no C")
    words = ("--record=corpus", "--package=mine", "--", toys.clang().name, "-Os")
    for path, status in ((unit.path, 0), (broken.path, 1), (unit.path, 0)):
        done = _cc(*words, "-DX=1", "-c", path.name, cwd=tmp_path)
        assert done.returncode == status
    (module,) = Corpus(tmp_path / "corpus").modules
    assert (module.key, module.decisions > 0) == (f"mine/{unit.path.name}", True)


def test_the_magic_is_that_of_flat_weights() -> None:
    assert cc.MAGIC == flat.MAGIC


def test_which_commands_are_for_size() -> None:
    assert cc._sources(["cc", "-O2", "-Oz", "-c", "a.c"]) == ["a.c"]
    for words in (
        ["-c", "a.c"], ["-Oz", "-O2", "a.c"], ["-Oz", "-flto", "a.c"], ["-Oz", "a.o"],
    ):  # fmt: skip
        assert cc._sources(["cc", *words]) == []


def test_a_search_makes_smaller_code_of_the_same_behaviour(tmp_path: Path) -> None:
    """zlib-like: the object is never larger, and what it computes is the same."""
    compiler = toys.clang()
    try:
        plugins.build(compiler.name)
    except plugins.CannotBuild as error:
        pytest.skip(str(error))
    (unit,) = toys.units(tmp_path, "anyone", 1)
    main = "int first_1(int); int printf(const char *, ...);\n"
    main += 'int main(void) { printf("%d\\n", first_1(9)); return 0; }\n'
    (tmp_path / "main.c").write_text(main)
    sizes, printed = {}, set()
    for tries in (1, 30):
        words = (f"--tries={tries}", "--", compiler.name, "-Oz", "-MD", "-c")
        done = _cc(*words, unit.path.name, "-o", "a.o", cwd=tmp_path)
        assert done.returncode == 0 and not done.stderr, done.stderr
        sizes[tries] = elf.read(tmp_path / "a.o").text
        assert (tmp_path / "a.d").exists()
        link = [str(compiler.path), "main.c", "a.o", "-o", "program"]
        subprocess.run(link, cwd=tmp_path, check=True)
        run = subprocess.run([tmp_path / "program"], capture_output=True, check=True)
        printed.add(run.stdout)
    assert sizes[30] < sizes[1] and len(printed) == 1 and printed.pop().strip()


def test_a_search_of_what_it_cannot_is_a_plain_compilation(tmp_path: Path) -> None:
    compiler = toys.clang()
    (unit,) = toys.units(tmp_path, "any", 1)
    words = ("--tries=9", "--", compiler.name, "-Oz", unit.path.name, "main.c")
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    done = _cc(*words, "-o", "program", cwd=tmp_path)
    assert done.returncode == 0 and "plain" in done.stderr
    assert (tmp_path / "program").exists()
    done = _cc("--tries=few", "--", compiler.name, "-Oz", cwd=tmp_path)
    assert done.returncode == 2 and "--tries=few" in done.stderr
    (tmp_path / "bad.c").write_text("int f( {")
    words = ("--tries=9", "--", compiler.name, "-Oz", "-c", "bad.c")
    assert _cc(*words, cwd=tmp_path).returncode == 1
