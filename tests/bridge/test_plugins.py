"""Compilers that ask by t2t_bridge.h: LLVM's inliner, GCC's passes, MLIR's loops."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from programs import program
from test_host import children
from test_llvm import never, run
from test_runners import addresses

from t2t.bridge import flat, llvm, plugins, recorder
from t2t.bridge.episodes import Episode, Failure, Job, Policy, Questions, echo
from t2t.bridge.host import Host
from t2t.bridge.llvm import Compiler
from t2t.bridge.specs import TensorSpec
from t2t.problems.compiler import measure

SOURCE = Path(__file__).with_name("program.c")
Build = Callable[[str], Path]


@pytest.fixture(scope="session")
def build(pytestconfig: pytest.Config) -> Build:
    """Plug-ins, kept from one run of the tests to the next."""
    folder = Path(pytestconfig.cache.mkdir("plugins"))  # type: ignore[union-attr]

    def make(compiler: str) -> Path:
        try:
            return plugins.build(compiler, folder=folder)
        except plugins.CannotBuild as error:
            pytest.skip(str(error))

    return make


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """One for all tests, which change its policy."""
    with Host(never, parallel=1) as made:
        yield made


@pytest.fixture(params=["clang-22", "clang-19"])
def clang(request: pytest.FixtureRequest) -> Compiler:
    known = {one.name: one for one in llvm.found()}
    if request.param not in known:
        pytest.skip(f"no {request.param} here: apt-get install {request.param}")
    return known[request.param]


def done(host: Host, job: Job, policy: Policy = echo) -> Episode:
    host.policy = policy
    (result,) = host.run([job])
    assert isinstance(result, Episode), (result.reason, result.log)
    return result


def module(folder: Path, seed: int = 0) -> Path:
    path = folder / f"m{seed}.ll"
    path.write_text(program(seed, functions=6))
    return path


def cheap(questions: Questions) -> np.ndarray:
    """Not LLVM's own decision."""
    return questions.observations["cost_estimate"] <= -20


# -- LLVM ----------------------------------------------------------------------------


def test_llvms_decisions_echoed_give_the_same_objects(
    host: Host, clang: Compiler, build: Build, tmp_path: Path
):
    plugin, outputs = build(clang.name), [tmp_path / "a.o", tmp_path / "b.o"]
    for seed, transport in enumerate(("fifo", "fd", "unix", "shm")):
        path = module(tmp_path, seed)
        done(host, Job(clang.command(path, outputs[0])))
        job = clang.job(path, outputs[1], plugin=plugin, transport=transport)
        assert done(host, job).decisions > 5
        assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_channel_plugin_and_llvmlite_ask_the_same(
    host: Host, clang: Compiler, build: Build, tmp_path: Path
):
    path, output, asked = module(tmp_path), tmp_path / "m.o", {}
    jobs = {
        "channel": clang.job(path, output, task="inline"),
        "plug-in": clang.job(path, output, plugin=build(clang.name)),
    }
    if clang.version[0] == 22:  # as llvmlite's LLVM
        jobs["llvmlite"] = llvm.find("llvmlite").job(path, output, task="inline")
    objects = {}
    for name, job in jobs.items():
        (asked[name],) = done(host, job, cheap).trajectories
        objects[name] = output.read_bytes()
    assert objects["channel"] == objects["plug-in"]
    for name, one in asked.items():
        features = asked["channel"].header.names[:-1]
        assert one.header.names[:-1] == features
        if name == "channel" or llvm.misplaces_default(clang):
            features = [f for f in features if f != "callee_basic_block_count"]
        for feature in features:
            np.testing.assert_array_equal(
                one.observations[feature], asked["channel"].observations[feature]
            )
        np.testing.assert_array_equal(one.advice, asked["channel"].advice)


def test_a_policy_in_the_compiler_decides_as_on_the_host(
    host: Host, clang: Compiler, build: Build, tmp_path: Path
):
    path, outputs = module(tmp_path, 1), [tmp_path / "a.o", tmp_path / "b.o"]
    plugin = build(clang.name)
    echoed = done(host, clang.job(path, outputs[0], plugin=plugin))
    costs = echoed.trajectories[0].observations["cost_estimate"]
    # Inlines what costs less than half of the others, by way of a hidden layer.
    names = ("callee_users", "cost_estimate")
    hidden = np.array([[0.0, 0.0], [1.0, -1.0]])
    policy = flat.mlp(
        [TensorSpec(name, "int64_t") for name in names],
        TensorSpec("inlining_decision", "int64_t"),
        [
            (hidden, np.array([-1.0, 1.0]) * np.median(costs)),
            (np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros(2)),
        ],
    )
    episode = done(host, clang.job(path, outputs[0], plugin=plugin), policy)
    assert 0 < episode.trajectories[0].advice.mean() < 1
    command = clang.command(path, outputs[1], plugin=plugin)
    for kind, address in addresses(policy, tmp_path).items():
        done(host, Job(command, {"T2T_BRIDGE": address}))
        assert outputs[0].read_bytes() == outputs[1].read_bytes(), kind
        outputs[1].unlink()
    log = {"T2T_BRIDGE": f"record:{tmp_path}/log"}
    done(host, Job(command, log))
    (one,) = recorder.read(tmp_path / "log")
    own = one.records["cost_estimate"] <= 0
    np.testing.assert_array_equal(one.records["inlining_decision"], own)


def test_questions_say_whose_call_they_are_about(
    host: Host, clang: Compiler, build: Build, tmp_path: Path
):
    """In the order in which LLVM's own remarks tell them; the code is the same."""
    path, outputs, told = module(tmp_path), [tmp_path / "a.o", tmp_path / "b.o"], []

    def listen(questions: Questions) -> np.ndarray:
        told.extend(questions.contexts)
        return questions.default

    done(host, clang.job(path, outputs[0], plugin=build(clang.name)), listen)
    assert told and not any(told)
    told.clear()
    job = clang.job(path, outputs[1], plugin=build(clang.name), sites=True)
    (one,) = done(host, job, listen).trajectories
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    asked = measure.job(clang, path, tmp_path / "c.o")
    episode = done(host, asked, llvm.default_policy(clang))
    pairs = measure.outcome(episode, tmp_path / "c.o").pairs
    assert [tuple(site.split("\t")) for site in told] == pairs and len(pairs) > 5
    assert one.contexts == [(0, ""), *enumerate(told)]


# -- GCC -----------------------------------------------------------------------------


@pytest.fixture
def gcc(build: Build) -> Callable[..., Job]:
    plugin = build("gcc")

    def job(output: Path, level: str, **more: object) -> Job:
        words = (
            "gcc",
            level,
            f"-fplugin={plugin}",
            "-c",
            str(SOURCE),
            "-o",
            str(output),
        )
        address = {"T2T_BRIDGE": "{channel}"}
        return Job(words, address, "unix", "frames", **more)  # type: ignore[arg-type]

    return job


@pytest.mark.parametrize("level", ["-Os", "-O2", "-O3"])
def test_gccs_passes_all_run_give_the_same_object(
    level: str, host: Host, gcc: Callable[..., Job], tmp_path: Path
):
    plain, asked = tmp_path / "a.o", tmp_path / "b.o"
    subprocess.run(["gcc", level, "-c", SOURCE, "-o", plain], check=True)
    episode = done(host, gcc(asked, level))
    assert plain.read_bytes() == asked.read_bytes() and episode.decisions > 100
    (one,) = episode.trajectories
    assert {"main", "sort"} <= {name for _, name in one.contexts} | {"sort"}
    assert (one.observations["default"] == 1).all()
    assert (one.observations["for_size"] == (level == "-Os")).all()
    assert (one.observations["blocks"] > 2).all()


def test_gcc_leaves_out_what_it_is_told_to(
    host: Host, gcc: Callable[..., Job], tmp_path: Path
):
    results, objects = set(), set()
    for seed in range(4):
        rng = np.random.default_rng(seed)

        def some(q: Questions, rng: np.random.Generator = rng) -> np.ndarray:
            return rng.random(len(q.jobs)) < 0.5

        output = tmp_path / "m.o"
        done(host, gcc(output, "-O2"), some if seed else echo)
        objects.add(output.read_bytes())
        results.add(run(output))
    assert len(objects) == 4 and len(results) == 1 and results.pop()


def test_gccs_own_children_go_with_their_deadline(
    gcc: Callable[..., Job], tmp_path: Path
):
    """The driver has a child, cc1, and it is the child that asks."""
    seen: list[psutil.Process] = []

    def slow(questions: Questions) -> np.ndarray:
        seen.extend(children(host))
        return echo(questions)

    with Host(slow, parallel=1) as host:
        (result,) = host.run([gcc(tmp_path / "m.o", "-O2", deadline=0.15)])
        assert isinstance(result, Failure) and result.reason == "deadline"
        assert len({p.pid for p in seen}) >= 2
        assert not children(host)


# -- MLIR ----------------------------------------------------------------------------

LOOPS = """
func.func @f(%a: memref<64x10xf32>, %b: memref<64x10xf32>, %n: index) {
  affine.for %i = 0 to 64 {
    affine.for %j = 0 to 10 {
      %x = affine.load %a[%i, %j] : memref<64x10xf32>
      %y = arith.mulf %x, %x : f32
      affine.store %y, %b[%i, %j] : memref<64x10xf32>
    }
  }
  affine.for %k = 0 to %n {
    %x = affine.load %a[%k, 0] : memref<64x10xf32>
    affine.store %x, %b[%k, 1] : memref<64x10xf32>
  }
  return
}
func.func @g(%a: memref<9xf32>) {
  affine.for %i = 0 to 9 {
    %x = affine.load %a[%i] : memref<9xf32>
    affine.store %x, %a[8 - %i] : memref<9xf32>
  }
  return
}
"""


def test_mlirs_loops_are_unrolled_as_advised(host: Host, build: Build, tmp_path: Path):
    tool = "mlir-opt-22"
    plugin, source, output = build(tool), tmp_path / "m.mlir", tmp_path / "o.mlir"
    source.write_text(LOOPS)

    def text(name: str, *more: str, policy: Policy = echo) -> str:
        passes = f"--pass-pipeline=builtin.module(func.func({name}))"
        words = (tool, *more, str(source), passes, "-o", str(output))
        job = Job(words, {"T2T_BRIDGE": "{channel}"}, "unix", "frames")
        episode = done(host, job, policy)
        if more:
            (one,) = episode.trajectories
            assert {name for _, name in one.contexts} == {"f", "g"}
            trips = one.observations["trip_count"].ravel().tolist()
            assert sorted(trips) == [-1, 9, 10]
        return output.read_text()

    load = f"--load-pass-plugin={plugin}"
    ours = "t2t-affine-loop-unroll"
    own = text("affine-loop-unroll")
    assert text(ours, load) == own
    kept = text(ours, load, policy=lambda q: np.ones(len(q.jobs), np.int64))
    assert kept == text("canonicalize") or kept.count("affine.for") == 4
    whole = text(ours, load, policy=lambda q: q.observations["trip_count"])
    assert len({own, kept, whole}) == 3


# -- building ------------------------------------------------------------------------


def test_what_is_missing_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(plugins.CannotBuild, match="no clang-7 here: apt-get install"):
        plugins.build("clang-7")
    shell = shutil.which("sh")
    assert shell is not None
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, says, message in (
        (
            "clang-22",
            "clang version 22.1.0",
            "LLVM 22 here: apt-get install llvm-22-dev",
        ),
        ("gcc", "12.2.0", "apt-get install gcc-12-plugin-dev"),
        ("mlir-opt", "LLVM version 19.1.7", "apt-get install libmlir-19-dev"),
        ("icc", "", "no plug-in for icc: clang, gcc and mlir-opt have one"),
    ):
        (tmp_path / name).write_text(f"#!{shell}\necho '{says}'\n")
        os.chmod(tmp_path / name, 0o755)
        with pytest.raises(plugins.CannotBuild, match=message):
            plugins.build(name)
