"""The search of one module's decisions: the real clang, on toys."""

from __future__ import annotations

import itertools
from dataclasses import astuple
from pathlib import Path
from typing import Any

import compiler_toys as toys
import numpy as np
import pytest

from t2t.bridge import plugins
from t2t.bridge.episodes import Job, echo
from t2t.problems.compiler.explain import explain
from t2t.problems.compiler.page import body
from t2t.problems.compiler.search import STARTS, Search, Site, _above, below
from t2t.problems.compiler.weigh import Weight

SOURCE = """
static int tiny(int x) { return x + 1; }
static int big(int x) {
  for (int i = 0; i < x; i++) x ^= (x << 3) + i * 7 + tiny(x);
  return x * x - 5;
}
int a(int x) { return big(x) + tiny(x); }
int b(int x) { return big(x + 2) - tiny(x); }
"""


@pytest.fixture(scope="module")
def make(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Any:
    clang, folder = toys.clang(), tmp_path_factory.mktemp("search")
    kept = Path(pytestconfig.cache.mkdir("plugins"))  # type: ignore[union-attr]
    try:
        plugin = plugins.build(clang.name, folder=kept)
    except plugins.CannotBuild as error:
        pytest.skip(str(error))
    (folder / "a.c").write_text(SOURCE)

    def job(output: Path) -> Job:
        return clang.job(folder / "a.c", output, plugin=plugin, sites=True)

    return job


def test_it_finds_what_trying_everything_finds(make: Any) -> None:
    """All 2^T ways of deciding, against a search that may compile far less."""
    with Search(make) as every:
        first = every.compiled(echo)
        assert first is not None and 4 <= len(first.sites) <= 10
        sizes = []
        for choice in itertools.product((0, 1), repeat=len(first.sites)):
            plan: dict[Site, int] = dict(zip(first.sites, choice, strict=True))
            found = every.compiled(below(-30), plan)
            assert found is not None
            sizes.append(found.code.text)
    with Search(make) as search:
        ends = search.smallest(30)
        assert ends is not None
        assert ends[0].content == first.content
        assert ends[1].code.text == min(sizes) <= ends[0].code.text
        assert search.compiles <= 30 < len(sizes)


def test_a_plan_is_kept_to_and_the_rest_is_the_policys(make: Any) -> None:
    with Search(make) as search:
        never = search.compiled(below(-1_000_000))
        assert never is not None and not never.taken.any() and never.own.any()
        site = never.sites[-1]
        found = search.compiled(below(-1_000_000), {site: 1})
        assert found is not None and found.plan[site] == 1 == found.taken.sum()
        again = search.compiled(below(-1_000_000), never.plan)
        assert again is not None and again.content == never.content


def test_flips_are_noted_with_what_was_seen(make: Any) -> None:
    with Search(make, seed=3) as search:
        ends = search.smallest(20)
        assert ends is not None and search.flips
        for flip in search.flips:
            assert flip.taken in (0, 1) and flip.site[2] >= 0
            assert np.ravel(flip.record["cost_estimate"]).shape == (1,)
        assert any(flip.bytes for flip in search.flips)
        assert len(STARTS) < search.compiles <= 20


def test_what_a_change_touches() -> None:
    into = {"leaf": {"mid"}, "mid": {"top", "other"}, "top": {"mid"}}
    assert _above("leaf", into) == {"leaf", "mid", "top", "other"}
    assert _above("other", into) == {"other"}


def test_a_module_that_does_not_compile_says_why(make: Any, tmp_path: Path) -> None:
    clang = toys.clang()
    (tmp_path / "bad.c").write_text("int f( {")
    with Search(lambda o: clang.job(tmp_path / "bad.c", o, task="inline")) as search:
        assert search.smallest(5) is None and "bad.c" in search.failure


def test_what_each_decision_saves_is_told(make: Any) -> None:
    found = explain("a.c", make, below(-1_000_000))
    assert found.decisions and found.saved < 0  # toys are smaller inlined
    assert all(d.taken == 0 for d in found.decisions)
    with Search(make) as search:
        plain = search.compiled(echo)
        for decision in found.decisions:
            alone = search.compiled(echo, {decision.site: 0})
            assert plain is not None and alone is not None
            assert decision.saved == plain.code.text - alone.code.text
    assert "tiny" in {callee for (_, callee, _), *_ in map(astuple, found.decisions)}
    few = explain("a.c", make, below(-1_000_000), most=1)
    assert [d.saved is None for d in few.decisions].count(False) == 1
    shown = body("run", [Weight("a.c", "a", 100, 90, 1, 1, "", ((-5.0, 1, 0),))], found)
    assert "a.c, call by call" in shown and "by LLVM alone: 1" in shown
    assert "-10.00%" in shown and shown.count("<circle") == 1
