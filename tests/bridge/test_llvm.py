"""The real LLVM, asked: every clang here, and llvmlite, which is always here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from programs import program

from t2t.bridge import llvm
from t2t.bridge.episodes import Episode, Failure, Job, Policy, Questions
from t2t.bridge.host import Host
from t2t.bridge.llvm import Compiler, NoCompiler
from t2t.bridge.specs import TensorSpec

SEEDS = range(2)
COST = "cost_estimate"
Compiled = Callable[..., tuple[Episode, bytes]]


@pytest.fixture(params=["llvmlite", "clang-22", "clang-19"])
def compiler(request: pytest.FixtureRequest) -> Compiler:
    known = {one.name: one for one in llvm.found()}
    if request.param not in known:
        assert request.param != "llvmlite", "it is in the extra [test]"
        pytest.skip(f"no {request.param} here: apt-get install {request.param}")
    return known[request.param]


def modules(folder: Path, **size: int) -> list[Path]:
    paths = [folder / f"m{seed}.ll" for seed in SEEDS]
    for seed, path in zip(SEEDS, paths, strict=True):
        path.write_text(program(seed, **{"functions": 6, **size}))
    return paths


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """One for all tests; `compiled` changes its policy."""
    with Host(never, parallel=1) as made:
        yield made


@pytest.fixture
def compiled(host: Host) -> Compiled:
    """The episode and the object; without a policy nothing is asked."""

    def compile(
        compiler: Compiler,
        path: Path,
        policy: Policy | None = None,
        task: str = "inline",
    ) -> tuple[Episode, bytes]:
        output = path.with_suffix(".o")
        command = compiler.command(path, output, task=task if policy else "")
        host.policy = policy or never
        (result,) = host.run([Job(command)])
        assert isinstance(result, Episode), result.log
        return result, output.read_bytes()

    return compile


def never(questions: Questions) -> np.ndarray:
    return np.zeros(len(questions.jobs), np.int64)


def always(questions: Questions) -> np.ndarray:
    return np.ones(len(questions.jobs), np.int64)


def cheapest(questions: Questions) -> np.ndarray:
    """The first register that may be taken."""
    return questions.observations["mask"].reshape(len(questions.jobs), -1).argmax(1)


def costliest(questions: Questions) -> np.ndarray:
    """The last one."""
    mask = questions.observations["mask"].reshape(len(questions.jobs), -1)
    return mask.shape[1] - 1 - mask[:, ::-1].argmax(1)


def test_its_own_decisions_echoed_give_the_same_objects(
    compiler: Compiler, compiled: Compiled, tmp_path: Path
):
    policy = llvm.default_policy(compiler)
    decisions = 0
    for path in modules(tmp_path):
        episode, asked = compiled(compiler, path, policy)
        _, plain = compiled(compiler, path)
        assert asked == plain
        decisions += episode.decisions
    assert decisions > 10


def test_other_decisions_give_other_objects_of_the_same_programs(
    compiler: Compiler, compiled: Compiled, tmp_path: Path
):
    path, results, objects = modules(tmp_path)[0], set(), []
    for policy in (never, always, always, None):
        objects.append(compiled(compiler, path, policy)[1])
        results.add(run(path.with_suffix(".o")))
    assert objects[0] != objects[1] == objects[2]
    assert len(results) == 1 and results.pop()


def run(path: Path) -> bytes:
    """What a program prints, linked by the machine's C compiler."""
    linker = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if linker is None:
        pytest.skip("no C compiler here to link a program with: apt-get install gcc")
    program = path.with_suffix(".program")
    subprocess.run([linker, path, "-o", program], check=True)
    return subprocess.run([program], capture_output=True, timeout=20).stdout


def test_what_the_inliner_sends(compiler: Compiler, compiled: Compiled, tmp_path: Path):
    path = modules(tmp_path)[0]
    episode, _ = compiled(compiler, path, llvm.default_policy(compiler))
    (one,) = episode.trajectories
    assert one.header.advice == TensorSpec("inlining_decision", "int64_t")
    assert one.header.default == "inlining_default"
    assert len(one.header.features) >= 39 and one.contexts == [(0, "")]
    default = "inlining_default"
    if llvm.misplaces_default(compiler):
        default = "callee_basic_block_count"
        assert llvm.misplaced(one.observations)
    # For size LLVM decides by cost alone, and its own inliner took our advice.
    np.testing.assert_array_equal(
        one.observations[default], one.observations[COST] <= 0
    )
    np.testing.assert_array_equal(one.advice, one.observations[default])


def test_llvm_19_overwrites_a_feature_and_22_does_not():
    found = {c.name: llvm.misplaces_default(c) for c in llvm.found()}
    expected = {c.name: c.version < (21,) for c in llvm.found()}
    assert found == expected and found["llvmlite"] is False


def test_one_policy_serves_all_versions(compiled: Compiled, tmp_path: Path):
    """It reads names from the header, wherever a version has put them."""
    path, decided = modules(tmp_path)[0], {}
    for compiler in llvm.found():
        episode, _ = compiled(compiler, path, lambda q: q.observations[COST] <= -20)
        (one,) = episode.trajectories
        np.testing.assert_array_equal(one.advice, one.observations[COST] <= -20)
        decided[compiler.name] = one.advice.tobytes()
    assert len(decided) == len(llvm.found()) and all(decided.values())


def test_registers_are_taken_as_the_policy_says(
    compiler: Compiler, compiled: Compiled, tmp_path: Path
):
    results, objects, decisions = set(), set(), 0
    path = modules(tmp_path, functions=3, values=40)[1]
    for policy in (cheapest, costliest, cheapest):
        episode, content = compiled(compiler, path, policy, "evict")
        for one in episode.trajectories:
            assert one.header.record["mask"].shape == (1, 33)
            chosen = np.take_along_axis(
                one.observations["mask"][:, 0], one.advice, axis=1
            )
            assert (chosen == 1).all()
            assert "main" in [name for _, name in one.contexts]
        decisions += episode.decisions
        objects.add(content)
        results.add(run(path.with_suffix(".o")))
    assert decisions > 30 and len(objects) == 2 and len(results) == 1


def test_values_get_registers_in_the_order_that_the_policy_says(
    compiler: Compiler, compiled: Compiled, tmp_path: Path
):
    def by(sign: float) -> Policy:
        return lambda q: (sign * q.observations["li_size"]).astype(np.float32)

    path = modules(tmp_path, functions=3, values=40)[1]
    results, objects = set(), set()
    for sign in (1.0, -1.0, 1.0):
        episode, content = compiled(compiler, path, by(sign), "priority")
        assert episode.decisions > 100
        assert episode.trajectories[0].advice.dtype == np.float32
        objects.add(content)
        results.add(run(path.with_suffix(".o")))
    assert len(objects) == 2 and len(results) == 1


def test_what_is_no_module_is_a_failure_that_says_so(
    compiler: Compiler, host: Host, tmp_path: Path
):
    path = tmp_path / "m.ll"
    path.write_text("define i32 @f( {")
    (result,) = host.run([Job(compiler.command(path, tmp_path / "m.o", task="inline"))])
    assert isinstance(result, Failure) and "m.ll" in result.log
    assert "exit status 1" in result.reason


def test_a_module_without_calls_is_an_episode(
    compiler: Compiler, compiled: Compiled, tmp_path: Path
):
    path = tmp_path / "m.ll"
    path.write_text("define i32 @f(i32 %x) {\n  ret i32 %x\n}\n")
    episode, _ = compiled(compiler, path, never)
    assert episode.decisions == 0


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    llvm.found.cache_clear()
    yield tmp_path
    llvm.found.cache_clear()


def executable(path: Path, says: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def test_without_clang_llvmlite_is_used_and_it_says_so(
    searching: Path, caplog: pytest.LogCaptureFixture
):
    executable(searching / "clang", "Apple clang version 17.0.0")
    executable(searching / "clang-18", "clang version 14.0.6")
    assert [c.name for c in llvm.found()] == ["llvmlite"]
    assert llvm.find().name == "llvmlite"
    assert "optimises bitcode only" in caplog.text
    with pytest.raises(ValueError, match="main.c needs clang"):
        llvm.find().command(Path("main.c"), Path("main.o"))


def test_what_cannot_be_asked_is_told_with_what_to_install(
    searching: Path, monkeypatch: pytest.MonkeyPatch
):
    executable(searching / "clang-14", "Debian clang version 14.0.6")
    with pytest.raises(NoCompiler, match=r"is LLVM 14.0.6.*17 or later.*apt-get"):
        llvm.find("clang-14")
    with pytest.raises(NoCompiler, match="no compiler 'llvmlight' here. Did you mean"):
        llvm.find("llvmlight")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    llvm.found.cache_clear()
    with pytest.raises(NoCompiler, match="no clang from 17 on and no llvmlite"):
        llvm.find()
    with pytest.raises(ValueError, match="no task 'inlin'. Did you mean 'inline'"):
        Compiler("c", "c", (22,)).command(Path("a.bc"), Path("a.o"), task="inlin")


def test_a_compiler_that_does_not_ask_is_not_used(searching: Path):
    executable(searching / "clang-21", "clang version 21.0.0")
    silent = llvm.found()[0]
    with pytest.raises(NoCompiler, match="cannot be asked .nothing was asked"):
        llvm.misplaces_default(silent)
