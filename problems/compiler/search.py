"""The smallest code that a search of inlining decisions finds for one module.

It begins with the best of some policies. Then it turns decisions round, many in each
compilation: as many as touch other functions, so that each is judged by the bytes of
its own. What made its functions smaller is kept, if all of it together does. LLVM's
plug-in says whose call each question is about; by that a decision is known again when
others have changed what is asked before it.

What is found is fitted to the module: no policy can be expected to do it on others.
"""

from __future__ import annotations

import collections
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from t2t.bridge.episodes import Episode, Job, Policy, Questions, echo
from t2t.bridge.host import Host
from t2t.problems.compiler import elf
from t2t.problems.compiler.elf import Code, NotAnObject

Site = tuple[str, str, int]  # caller, callee, which of their calls
Make = Callable[[Path], Job]  # a job that writes this object and tells its sites


def below(cost: int) -> Policy:
    """Inlines what costs at most so much."""
    return lambda questions: questions.observations["cost_estimate"] <= cost


# LLVM's own first; -100 000 is for functions whose last call it is.
STARTS: tuple[Policy, ...] = (echo, *(below(cost) for cost in (-30, -15, 15, -50_000)))


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compilation's code and decisions.

    Args:
      code, content: of the object.
      sites: in the order in which they were asked about.
      taken, own: 1 where inlined, and where LLVM itself would have, [T].
      observations: records [T].
    """

    code: Code
    content: bytes
    sites: list[Site]
    taken: np.ndarray
    own: np.ndarray
    observations: np.ndarray

    @property
    def plan(self) -> dict[Site, int]:
        return dict(zip(self.sites, self.taken.tolist(), strict=True))


@dataclasses.dataclass(frozen=True)
class Flip:
    """A decision turned round, and what that changed.

    Args:
      site: whose it was.
      record: what was observed there.
      taken: what it became.
      bytes: by which its functions grew.
    """

    site: Site
    record: np.ndarray
    taken: int
    bytes: int


class Search:
    """Compiles a module again and again.

    Args:
      make: of its jobs.
      seed: of the order in which decisions are turned round.
    """

    def __init__(self, make: Make, *, seed: int = 0) -> None:
        self.compiles, self.flips = 0, list[Flip]()
        self.failure = ""  # of the last compilation that failed
        self._make, self._rng = make, np.random.default_rng(seed)
        self._folder = tempfile.TemporaryDirectory(prefix="t2t-")
        self._host = Host(echo, parallel=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._host.close()
        self._folder.cleanup()

    def smallest(
        self, tries: int, starts: Sequence[Policy] = STARTS
    ) -> tuple[Compiled, Compiled] | None:
        """(what the first policy made, the smallest found); None if it failed.

        Args:
          tries: compilations.
        """
        first = best = self.compiled(starts[0])
        if first is None or best is None:
            return None
        base = starts[0]
        for start in starts[1 : tries if first.sites else 1]:
            found = self.compiled(start)
            if found and found.code.text < best.code.text:
                best, base = found, start
        order: list[Site] = []
        while best.sites and self.compiles < tries:
            turn, order = self._turn(best, order)
            if turn:
                best = self._tried(base, best, turn, tries)
        return first, best

    def compiled(
        self, base: Policy, plan: Mapping[Site, int] | None = None
    ) -> Compiled | None:
        """With these decisions where they are asked for, elsewhere the policy's."""
        asked = _Asked(base, plan or {})
        self.compiles, self._host.policy = self.compiles + 1, asked
        output = Path(self._folder.name) / "a.o"
        (end,) = self._host.run([self._make(output)])
        try:
            if not isinstance(end, Episode):
                self.failure = f"{end.reason} {end.log.strip()}"
                return None
            code, content = elf.read(output), output.read_bytes()
        except (NotAnObject, OSError) as error:
            self.failure = str(error)
            return None
        finally:
            output.unlink(missing_ok=True)
        kept = [one for one in end.trajectories if len(one)]
        taken = kept[0].advice.ravel() if kept else np.zeros(0, np.int64)
        records = kept[0].observations if kept else np.zeros(0)
        own = np.array(asked.own, np.int64)
        return Compiled(code, content, asked.sites, taken, own, records)

    def _turn(
        self, best: Compiled, order: list[Site]
    ) -> tuple[dict[Site, set[str]], list[Site]]:
        """Decisions that touch other functions each, with those; the rest of them."""
        plan = best.plan
        if not order:
            places = self._rng.permutation(len(best.sites))
            order = [best.sites[place] for place in places]
        into = collections.defaultdict(set)
        for (caller, callee, _), inlined in plan.items():
            if inlined:
                into[callee].add(caller)
        touched, turn, rest = set[str](), dict[Site, set[str]](), []
        for site in order:
            if site not in plan:
                continue
            mine = _above(site[0], into) | {site[1]}
            if mine & touched:
                rest.append(site)
            else:
                turn[site], touched = mine, touched | mine
        return turn, rest

    def _tried(
        self, base: Policy, best: Compiled, turn: dict[Site, set[str]], tries: int
    ) -> Compiled:
        """The best there is, after these were turned round."""
        plan = best.plan
        found = self.compiled(base, {**plan, **{s: 1 - plan[s] for s in turn}})
        if found is None:
            return best
        grown = {site: _grown(best, found, mine) for site, mine in turn.items()}
        self._note(found, grown)
        good = [site for site in turn if grown[site] < 0]
        if good and len(good) < len(turn) and self.compiles < tries:
            found = self.compiled(base, {**plan, **{s: 1 - plan[s] for s in good}})
        return found if found and found.code.text < best.code.text else best

    def _note(self, found: Compiled, grown: dict[Site, int]) -> None:
        for place, site in enumerate(found.sites):
            if site in grown:
                record, taken = found.observations[place], int(found.taken[place])
                self.flips.append(Flip(site, record, taken, grown[site]))


class _Asked:
    """Answers by a plan, and notes who was asked about."""

    def __init__(self, base: Policy, plan: Mapping[Site, int]) -> None:
        self.base, self.plan = base, plan
        self.sites, self.own = list[Site](), list[int]()
        self._count: collections.Counter[tuple[str, str]] = collections.Counter()

    def __call__(self, questions: Questions) -> np.ndarray:
        (context,) = questions.contexts
        caller, _, callee = context.partition("\t")
        site = (caller, callee, self._count[caller, callee])
        self._count[caller, callee] += 1
        self.sites.append(site)
        self.own.append(int(np.ravel(questions.default)[0]))
        if site in self.plan:
            return np.array([self.plan[site]], np.int64)
        return np.asarray(self.base(questions)).astype(np.int64)


def _above(function: str, into: Mapping[str, set[str]]) -> set[str]:
    """It, and all into which it was inlined."""
    found, waiting = {function}, [function]
    while waiting:
        more = into.get(waiting.pop(), set()) - found
        found |= more
        waiting += more
    return found


def _grown(before: Compiled, after: Compiled, names: set[str]) -> int:
    one, other = before.code.functions, after.code.functions
    return sum(other.get(name, 0) - one.get(name, 0) for name in names)
