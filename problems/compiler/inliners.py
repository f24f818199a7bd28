"""N compilers that ask which calls to inline; what is known is not compiled again."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np

from t2t.bridge.desk import Told
from t2t.bridge.episodes import Episode, Failure
from t2t.bridge.llvm import Compiler
from t2t.bridge.specs import matrix
from t2t.environments import Observation
from t2t.problems.compiler import credit, measure
from t2t.problems.compiler.corpus import Corpus, Module, nth
from t2t.problems.compiler.elf import NotAnObject
from t2t.problems.compiler.measure import Outcome
from t2t.problems.compiler.stepped import PATIENCE, End, Stepped
from t2t.problems.compiler.tree import Forest, Question, Tree

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Walk:
    """An episode: the way through a module's tree."""

    tree: Tree
    at: Question
    taken: list[int] = dataclasses.field(default_factory=list)
    own: list[int] = dataclasses.field(default_factory=list)  # LLVM's own decisions
    compiler: int = 0  # its number at the desk, once the tree did not suffice
    told: int = 0  # decisions that the compiler has been given

    @property
    def module(self) -> Module:
        return self.tree.module

    def known(self, decision: int) -> Question | Outcome | None:
        return self.at.after.get(decision)


class Inliners(Stepped):
    """See `Stepped`.

    Args:
      corpus, modules: what is compiled, in an order of its own for each pass.
      compiler: the corpus's.
      kind: of credit, see there.
      forest: what is known; shared by whoever passes the same.
    """

    def __init__(
        self,
        corpus: Corpus,
        modules: list[Module],
        compiler: Compiler,
        count: int,
        *,
        seed: int,
        kind: str,
        forest: Forest,
    ) -> None:
        super().__init__(count, seed=seed)
        self.corpus, self.modules, self.compiler = corpus, modules, compiler
        self.kind, self.forest = kind, forest

    def report(self) -> dict[str, float]:
        """Compilations, those that failed, and the share of decisions after which
        what comes was known without one."""
        known = self.forest.known / max(1, self.forest.asked)
        found = {"compiles": self.compiles, "failures": self.failures, "known": known}
        return {name: float(value) for name, value in found.items()}

    # -- parts -----------------------------------------------------------------------

    def _observation(self) -> Observation:
        seen = np.stack([walk.at.seen for walk in self._walks])
        return {"observation": seen[:, :-1], "default": seen[:, -1].astype(np.int32)}

    def _begin(self, n: int) -> Walk:
        module = nth(self.modules, self._episodes[n] * self.count + n, self.seed)
        tree = self.forest.get(module)
        if tree is None:
            known = self.corpus.defaults(module)
            tree = self.forest.plant(Tree.of(module, known))
        return Walk(tree, tree.root)

    def _answer(self, actions: dict[int, Any]) -> dict[int, End]:
        ends: dict[int, End] = {}
        found = self._advance({n: int(action) for n, action in actions.items()})
        for n, after in found.items():
            walk = self._walks[n]
            if isinstance(after, Question):
                walk.at = after
            elif after is None:
                ends[n] = None
            else:
                saved = credit.saved(after, walk.tree.default)
                ends[n] = saved, self._shares(walk, after)
        return ends

    def _shares(self, walk: Walk, found: Outcome) -> np.ndarray:
        tree, taken, own = walk.tree, np.array(walk.taken), np.array(walk.own)
        return credit.shares(self.kind, found, taken, own, tree.default, tree.advice)

    def _advance(self, decisions: dict[int, int]) -> dict[int, Any]:
        """What comes after a decision each; None where the compiler failed."""
        found: dict[int, Any] = {}
        asked: dict[int, int] = {}  # number at the desk: environment
        for n, decision in decisions.items():
            walk = self._walks[n]
            found[n] = walk.known(decision)
            walk.taken.append(decision)
            walk.own.append(int(walk.at.seen[-1]))
            self.forest.asked += 1
            if found[n] is None:
                asked[self._ask(n, walk)] = n
            else:
                self.forest.known += 1
                if not isinstance(found[n], Question) and walk.compiler:
                    self._desk.drop(walk.compiler)
        while asked:
            for number, told in self._desk.wait().items():
                n = asked[number]
                walk = self._walks[n]
                if isinstance(told, np.ndarray) and walk.told < len(walk.taken):
                    self._ask(n, walk)
                else:
                    found[n] = self._hear(n, walk, told)
                    del asked[number]
        return found

    def _ask(self, n: int, walk: Walk) -> int:
        """Gives the walk's compiler its next decision, or starts one."""
        if walk.compiler:
            self._desk.answer(walk.compiler, walk.taken[walk.told])
            walk.told += 1
        else:
            self.compiles += 1
            path = self.corpus.bitcode(walk.tree.module)
            job = measure.job(self.compiler, path, self._output(n))
            job = dataclasses.replace(job, deadline=PATIENCE)
            walk.compiler = self._desk.begin(job)
        return walk.compiler

    def _hear(self, n: int, walk: Walk, told: Told) -> Any:
        """Lets the tree grow by a question or outcome; None for a failure."""
        if isinstance(told, np.ndarray):
            walk.tree.size += 1
            after: Any = Question(matrix(told, self.corpus.header.names)[0])
        else:
            walk.compiler = 0
            after = self._outcome(n, walk, told)
        if after is not None:
            walk.at.after[walk.taken[-1]] = after
        return after

    def _outcome(self, n: int, walk: Walk, end: Episode | Failure) -> Outcome | None:
        if isinstance(end, Failure):
            reason = f"{end.reason} {end.log.strip()}"
        elif end.decisions != len(walk.taken):
            reason = "it asks otherwise than before"
        else:
            try:
                return measure.outcome(end, self._output(n))
            except (NotAnObject, OSError) as error:
                reason = str(error)
        self.failures += 1
        log.warning("%s: %s", walk.tree.module.key, reason)
        return None
