"""Registers as environments: the real clang, on toys that need more than there are."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import compiler_toys as toys
import numpy as np
import pytest

from t2t.problems.compiler import allocators, spills
from t2t.problems.compiler.gather import Gatherer
from t2t.problems.compiler.sources import Unit
from t2t.problems.compiler_regalloc import (
    CANDIDATES,
    CompilerRegallocEvict,
    CompilerRegallocPriority,
)
from t2t.problems.problem import DataUnavailable


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crowded")
    units = []
    for n in range(3):
        path = folder / f"crowded{n}.c"
        path.write_text(
            f"{toys.crowded(n)}\nint s{n}(int *p) {{ return crowded{n}(p, 3); }}\n"
        )
        told = ("BSD", "zlib 1.0")
        units.append(Unit("zlib", path.name, path, ("-std=gnu17",), folder, *told))
    assert Gatherer(folder / "corpus", toys.clang(), parallel=1).add(units) == 3
    return folder / "corpus"


def _play(environments: Any, choose: Any, episodes: int) -> list[tuple[float, Any]]:
    seen, found = environments.reset(), []
    while len(found) < episodes:
        turn = environments.step(choose(seen))
        for reward, worth in zip(turn.reward, turn.hindsight, strict=True):
            if worth is not None:
                found.append((float(reward), worth))
        seen = turn.observation
    return found


def _first(seen: Any) -> np.ndarray:
    return seen["allowed"].argmax(axis=1)


def _last(seen: Any) -> np.ndarray:
    return CANDIDATES - 1 - seen["allowed"][:, ::-1].argmax(axis=1)


def test_costs_are_those_of_llvms_remarks(corpus: Path, tmp_path: Path) -> None:
    """Against the sum by another reader, line by line."""
    problem = CompilerRegallocEvict(corpus=str(corpus))
    module = problem.corpus.modules[0]
    remarks = tmp_path / "a.yaml"
    words = [problem.compiler.path, "-Oz", "-c", problem.corpus.bitcode(module)]
    words += ["-o", tmp_path / "a.o", *spills.REMARKS]
    subprocess.run([*words, f"-foptimization-record-file={remarks}"], check=True)
    sums, name = {"Spills": 0.0, "Reloads": 0.0, "Copies": 0.0}, ""
    for line in remarks.read_text().splitlines():
        if line.startswith("Name:"):
            name = line.split()[1]
        for kind in sums:
            whole = name == "SpillReloadCopies"
            if whole and line.strip().startswith(
                (f"- Total{kind}", f"- TotalFolded{kind}")
            ):
                sums[kind] += float(line.split("'")[1])
    found = spills.total(spills.read(remarks).values())
    assert found.spills == pytest.approx(sums["Spills"]) and found.spills > 1
    assert found.reloads == pytest.approx(sums["Reloads"]) and found.reloads > 1
    assert found.copies == pytest.approx(sums["Copies"])
    known = spills.total(problem.costs.of(module).values())
    assert known == found and known.memory == found.spills + found.reloads


def test_each_decision_is_worth_what_its_function_became(corpus: Path) -> None:
    problem = CompilerRegallocEvict(corpus=str(corpus))
    found = {}
    for name, choose in (("first", _first), ("last", _last), ("again", _first)):
        environments: Any = problem.environments("train", 1, seed=0)
        found[name] = _play(environments, choose, 2)
        assert environments.report()["failures"] == 0
        environments.close()
    for (one, worth), (same, _) in zip(found["first"], found["again"], strict=True):
        assert one == same and len(worth) > 3
        # Of two functions, one of which is inlined into the other.
        assert 1 <= len(set(worth.tolist())) <= 2
    assert [r for r, _ in found["first"]] != [r for r, _ in found["last"]]


def test_registers_that_may_not_be_taken_are_not(corpus: Path) -> None:
    """An action outside of the mask is the last that is in it."""
    problem = CompilerRegallocEvict(corpus=str(corpus))
    rewards = []
    for choose in (_last, lambda seen: seen["allowed"].argmin(axis=1)):
        environments: Any = problem.environments("train", 1, seed=1)
        rewards.append(_play(environments, choose, 1)[0][0])
        environments.close()
    assert rewards[0] == rewards[1]


def test_a_walk_is_restored(corpus: Path) -> None:
    problem = CompilerRegallocEvict(corpus=str(corpus))
    one: Any = problem.environments("train", 2, seed=3)
    seen = one.reset()
    for _ in range(5):
        seen = one.step(_first(seen)).observation
    state = one.state()
    other: Any = problem.environments("train", 2, seed=3)
    again = other.restore(state)
    np.testing.assert_array_equal(again["observation"], seen["observation"])
    ends = [e.step(_first(s)) for e, s in ((one, seen), (other, again))]
    np.testing.assert_array_equal(ends[0].reward, ends[1].reward)
    one.close()
    other.close()


def test_priorities_order_the_values(corpus: Path) -> None:
    problem = CompilerRegallocPriority(corpus=str(corpus))
    rewards = []
    for sign in (1.0, -1.0, 1.0):
        environments: Any = problem.environments("train", 1, seed=0)

        def choose(seen: Any, sign: float = sign) -> np.ndarray:
            return 10.0 + sign * seen["observation"][:, :1]

        rewards.append(_play(environments, choose, 1)[0][0])
        environments.close()
    assert rewards[0] == rewards[2] != rewards[1]


def test_a_function_without_any_cost_divides_by_nothing() -> None:
    none, some = spills.Cost(), spills.Cost(spills=1.0, reloads=2.0, copies=5.0)
    assert some.score == 10.0 and some.memory == 3.0
    assert allocators.better(None, None) == 0.0 == allocators.better(none, none)
    assert allocators.better(None, some) == pytest.approx(1 - 1 / 11)
    assert allocators.better(some, None) == -10.0


def test_without_a_corpus_it_says_so() -> None:
    with pytest.raises(DataUnavailable, match="compiler_regalloc_evict needs a corpus"):
        _ = CompilerRegallocEvict().corpus
