"""Compilers stepped as environments: the real clang, on a corpus of toys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import compiler_toys as toys
import numpy as np
import pytest

from t2t.bridge import llvm
from t2t.bridge.desk import Desk
from t2t.bridge.episodes import Episode, Failure, Job
from t2t.bridge.specs import Header, TensorSpec
from t2t.problems.compiler import corpus as corpus_lib
from t2t.problems.compiler import credit, measure
from t2t.problems.compiler.measure import Outcome
from t2t.problems.compiler_inline import CompilerInline
from t2t.problems.problem import DataUnavailable


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> CompilerInline:
    folder = toys.corpus(tmp_path_factory.mktemp("corpus"))
    return CompilerInline(corpus=str(folder))


def _play(environments: Any, choose: Any, episodes: int) -> list[tuple[float, Any]]:
    """(reward, hindsight) of each episode that ends."""
    seen, found = environments.reset(), []
    while len(found) < episodes:
        turn = environments.step(choose(seen))
        for reward, worth in zip(turn.reward, turn.hindsight, strict=True):
            if worth is not None:
                found.append((float(reward), worth))
        seen = turn.observation
    return found


def test_the_default_is_known_without_a_compiler(problem: CompilerInline) -> None:
    environments: Any = problem.environments("train", 2, seed=0)
    for reward, worth in _play(environments, lambda seen: seen["default"], 6):
        assert reward == 0.0 and not worth.any()
    assert environments.compiles == 0
    environments.close()


def test_other_decisions_are_compiled_once(problem: CompilerInline) -> None:
    found = []
    for compiles in (3, 0):
        environments: Any = problem.environments("dev", 1, seed=0)
        played = _play(environments, lambda seen: 0 * seen["default"], 3)
        found.append([reward for reward, _ in played])
        assert environments.compiles == compiles == environments.report()["compiles"]
        environments.close()
    assert found[0] == found[1] and any(found[0])


def test_what_is_asked_is_what_the_compiler_asks(problem: CompilerInline) -> None:
    """A walk's questions and code against a host that gives the same answers."""
    from t2t.bridge.host import Host

    environments: Any = problem.environments("train", 1, seed=1)
    rng, taken, seen = np.random.default_rng(0), [], []
    observation = environments.reset()
    module = environments._walks[0].tree.module
    ended = False
    while not ended:
        seen.append(observation["observation"][0])
        taken.append(int(rng.integers(2)))
        turn = environments.step(np.array(taken[-1:]))
        observation, ended = turn.observation, turn.terminated[0]
    environments.close()
    answers = iter(taken)
    with Host(lambda q: np.array([next(answers)], np.int64), parallel=1) as host:
        path, output = problem.corpus.bitcode(module), Path(f"{problem.folder}/x.o")
        (result,) = host.run([measure.job(problem.compiler, path, output)])
    assert isinstance(result, Episode) and result.decisions == len(taken)
    records = result.trajectories[0].observations
    for column, name in enumerate(problem.corpus.header.names[:-1]):
        np.testing.assert_array_equal(records[name][:, 0], np.stack(seen)[:, column])
    text = measure.outcome(result, output).text
    assert turn.reward[0] == pytest.approx(1 - (text + 0.01) / (module.text + 0.01))


def test_restored_in_the_middle(problem: CompilerInline) -> None:
    def walk(environments: Any, rng: np.random.Generator, steps: int) -> list[Any]:
        turns = [environments.step(rng.integers(2, size=2)) for _ in range(steps)]
        return [(t.observation["observation"], t.reward) for t in turns]

    one: Any = problem.environments("train", 2, seed=3)
    one.reset()
    walk(one, np.random.default_rng(1), 13)
    state = one.state()
    rest = walk(one, np.random.default_rng(2), 20)
    one.close()
    problem.forest = type(problem.forest)()  # nothing is known any more
    two: Any = problem.environments("train", 2, seed=3)
    two.restore(state)
    for a, b in zip(rest, walk(two, np.random.default_rng(2), 20), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    two.close()


def test_credit_goes_to_the_neighbourhood_that_changed() -> None:
    pairs = [("f", "g"), ("h", "i"), ("h", "g")]
    default = Outcome(100, {"f": 40, "g": 10, "h": 40, "i": 10}, pairs)
    found = Outcome(84, {"f": 40, "g": 10, "h": 34}, pairs)
    none, taken = np.zeros(3, np.int8), np.array([0, 1, 0], np.int8)
    worth = credit.shares("functions", found, taken, none, default, none)
    np.testing.assert_allclose(worth, [0.0, 1.0, 0.0])
    two = credit.shares("functions", found, taken, np.array([0, 0, 1]), default, none)
    np.testing.assert_allclose(two, [0.0, 0.5, 0.5])
    shared = credit.shares("module", found, taken, none, default, none)
    np.testing.assert_allclose(shared, [1 - 84.01 / 100.01] * 3, rtol=1e-6)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="t2t-datagen"):
        _ = CompilerInline().features
    with pytest.raises(DataUnavailable, match="no corpus"):
        _ = CompilerInline(corpus=str(tmp_path)).features
    with pytest.raises(ValueError, match="module"):
        CompilerInline(reward="modul")


def test_without_a_clang_what_to_install_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llvmlite can be asked, and compiles no C."""
    lite = llvm.Compiler("llvmlite", None, (22, 1, 0))
    monkeypatch.setattr(llvm, "found", lambda: (lite,))
    with pytest.raises(DataUnavailable, match="apt-get install clang"):
        CompilerInline().gather(tmp_path, tmp_path)
    monkeypatch.setattr(llvm, "found", tuple)
    with pytest.raises(DataUnavailable, match="no clang .* and no llvmlite"):
        CompilerInline().gather(tmp_path, tmp_path)


def test_a_run_without_its_corpus_finds_a_compiler_that_asks_the_same(
    problem: CompilerInline, tmp_path: Path
) -> None:
    problem.save_vocabularies(tmp_path)
    alone = CompilerInline(corpus=str(tmp_path / "gone"))
    alone.load_vocabularies(tmp_path)
    assert alone.features == problem.features
    assert llvm.probe(alone.compiler).header == problem.header
    header = problem.header
    more = TensorSpec("of_another_version", "int64_t")
    alone = CompilerInline(corpus=str(tmp_path / "gone"))
    corpus_lib.write_header(
        tmp_path / "inline_header.json", Header((more, *header.features), header.advice)
    )
    alone.load_vocabularies(tmp_path)
    with pytest.raises(DataUnavailable, match="no feature of_another_version"):
        _ = alone.compiler


def test_a_compiler_that_fails_ends_its_episode(
    problem: CompilerInline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is kept, and the next module is taken."""
    environments: Any = problem.environments("train", 1, seed=5)
    seen = environments.reset()
    real = measure.job

    def dies(*words: Any, **options: Any) -> Job:
        job = real(*words, **options)
        return Job((*job.argv, "--no-such-flag"))

    monkeypatch.setattr(measure, "job", dies)
    tree = environments._walks[0].tree
    turn = environments.step(1 - seen["default"])
    assert turn.truncated[0] and not turn.terminated[0] and turn.reward[0] == 0.0
    assert len(turn.hindsight[0]) == 0
    assert environments.failures == 1 and len(tree.root.after) == 1
    monkeypatch.undo()
    turn = environments.step(np.zeros(1, np.int64))
    assert environments._walks[0].tree is not tree and not turn.truncated[0]
    environments.close()


def test_a_desk_tells_of_compilers_that_die_while_it_thinks(tmp_path: Path) -> None:
    (unit,) = toys.units(tmp_path, "zlib", 1)
    job = toys.clang().job(unit.path, tmp_path / "a.o", task="inline")
    with Desk() as desk:
        short = desk.begin(Job(job.argv, deadline=1.0))
        fails = desk.begin(Job(("false",)))
        told = desk.wait()
        assert isinstance(told[fails], Failure)
        assert isinstance(told[short], np.ndarray)
        other = desk.begin(Job(("sleep", "2"), deadline=9.0))
        assert isinstance(desk.wait()[other], Episode)
        desk.answer(short, 1)
        ended = desk.wait()[short]
        assert isinstance(ended, Failure) and ended.reason == "deadline"
