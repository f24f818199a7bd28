"""LLVM's passes as actions: the real opt on toys."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import compiler_toys as toys
import numpy as np
import pytest

from t2t.problems.compiler.phases import LIMIT, OPCODES, PASSES, count
from t2t.problems.compiler_phase_order import CompilerPhaseOrder

CLEAN = ("function(sroa)", "function(instcombine)", "function(simplifycfg)")


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> CompilerPhaseOrder:
    folder = toys.corpus(tmp_path_factory.mktemp("corpus"), ("zlib",))
    return CompilerPhaseOrder(corpus=str(folder))


def test_instructions_are_counted_as_opt_counts_them(problem: Any) -> None:
    """Against the sum that LLVM's own printer of properties gives, block by block."""
    module = problem.corpus.modules[0]
    state = problem.states.begin(problem.corpus.bitcode(module))
    path = Path(problem.states._path(state))
    words = [problem.states.opt, "-passes=print<func-properties>", "-disable-output"]
    told = subprocess.run([*words, path], capture_output=True, text=True).stderr
    lines = [line.split(":") for line in told.splitlines() if ":" in line]
    loads = sum(int(value) for name, value in lines if name == "LoadInstCount")
    stores = sum(int(value) for name, value in lines if name == "StoreInstCount")
    found = problem.states.counts(state)
    assert found[OPCODES.index("load")] == loads > 0
    assert found[OPCODES.index("store")] == stores > 0
    assert found[-1] == found[: len(OPCODES)].sum()


def test_every_instruction_has_a_place() -> None:
    text = "define i32 @f() {\n  %1 = tail call i32 @g()\n  ret i32 %1\n}\n"
    found = count(text)
    assert found[OPCODES.index("call")] == found[OPCODES.index("ret")] == 1
    assert found[-2] == 1 and found[-1] == 2


def test_rewards_are_shares_of_what_oz_removes(problem: Any) -> None:
    environments = problem.environments("train", 2, seed=0)
    environments.reset()
    turns = [environments.step(np.full(2, PASSES.index(name))) for name in CLEAN]
    turns.append(environments.step(np.zeros(2, np.int64)))
    assert turns[-1].terminated.all() and not turns[-2].terminated.any()
    total = np.sum([turn.reward for turn in turns], axis=0)
    assert (total > 0.3).all() and (total < 1.5).all()
    runs = problem.states.runs
    again = problem.environments("train", 2, seed=0)
    again.reset()
    for name, turn in zip(CLEAN, turns, strict=False):
        same = again.step(np.full(2, PASSES.index(name)))
        np.testing.assert_array_equal(same.reward, turn.reward)
    assert problem.states.runs == runs  # known


def test_an_episode_ends_at_its_limit(problem: Any) -> None:
    environments = problem.environments("train", 1, seed=1)
    environments.reset()
    ends = [environments.step(np.array([1])).terminated[0] for _ in range(LIMIT)]
    assert ends == [False] * (LIMIT - 1) + [True]


def test_every_pass_is_one_of_opts(problem: Any) -> None:
    path = problem.corpus.bitcode(problem.corpus.modules[0])
    passes = ",".join(PASSES[1:])
    words = [problem.states.opt, f"-passes={passes}", "-disable-output", path]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
