"""N compilers, stepped together: each a module at a time, each step a decision."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from t2t.bridge.desk import Desk, Told
from t2t.bridge.episodes import Episode, Failure
from t2t.bridge.llvm import Compiler
from t2t.bridge.specs import matrix
from t2t.environments import Observation, Turn
from t2t.problems.compiler import credit, measure
from t2t.problems.compiler.corpus import Corpus, Module, nth
from t2t.problems.compiler.elf import NotAnObject
from t2t.problems.compiler.measure import Outcome
from t2t.problems.compiler.tree import Forest, Question, Tree

PATIENCE = 3600.0  # seconds that a compiler waits while others are stepped, too

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

    def known(self, decision: int) -> Question | Outcome | None:
        return self.at.after.get(decision)


class Inliners:
    """As `environments.Environments` says; restored by the decisions so far.

    Args:
      corpus, modules: what is compiled, in an order of its own for each pass.
      compiler: the corpus's.
      count: N.
      seed: of that order; environment n plays every N-th module of it.
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
        self.corpus, self.modules, self.compiler = corpus, modules, compiler
        self.count, self.seed, self.kind, self.forest = count, seed, kind, forest
        self.compiles = 0
        self.failures = 0
        self._desk = Desk()
        self._folder = tempfile.TemporaryDirectory(prefix="t2t-")
        self._episodes = [0] * count
        self._walks: list[Walk] = []
        self._ended = np.zeros(count, bool)

    def reset(self) -> Observation:
        self._walks = [self._begin(n) for n in range(self.count)]
        return self._observation()

    def step(self, action: np.ndarray) -> Turn:
        reward = np.zeros(self.count, np.float32)
        terminated, truncated = np.zeros((2, self.count), bool)
        hindsight: list[np.ndarray | None] = [None] * self.count
        going = [n for n in range(self.count) if not self._ended[n]]
        found = self._advance({n: int(action[n]) for n in going})
        for n in np.flatnonzero(self._ended).tolist():
            self._episodes[n] += 1
            self._walks[n] = self._begin(n)
        for n in going:
            walk, after = self._walks[n], found[n]
            if isinstance(after, Question):
                walk.at = after
                continue
            if after is None:
                truncated[n] = True
                hindsight[n] = np.zeros(0, np.float32)
            else:
                terminated[n] = True
                reward[n] = credit.saved(after, walk.tree.default)
                hindsight[n] = self._shares(walk, after)
        self._ended = terminated | truncated
        worth = tuple(hindsight)
        return Turn(self._observation(), reward, terminated, truncated, worth)

    def state(self) -> dict[str, Any]:
        return {
            "episodes": list(self._episodes),
            "taken": [list(walk.taken) for walk in self._walks],
            "ended": self._ended.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> Observation:
        self._episodes = list(state["episodes"])
        self.reset()
        self._ended = np.array(state["ended"])
        for n, taken in enumerate(state["taken"]):
            walk = self._walks[n]
            for place, decision in enumerate(taken):
                after = self._advance({n: decision})[n]
                if isinstance(after, Question):
                    walk.at = after
                elif place < len(taken) - 1:
                    raise RuntimeError(f"{walk.tree.module.key} asks otherwise now")
        return self._observation()

    def report(self) -> dict[str, float]:
        """Compilations, those that failed, and the share of decisions after which
        what comes was known without one."""
        known = self.forest.known / max(1, self.forest.asked)
        found = {"compiles": self.compiles, "failures": self.failures, "known": known}
        return {name: float(value) for name, value in found.items()}

    def close(self) -> None:
        self._desk.close()
        self._folder.cleanup()

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

    def _output(self, n: int) -> Path:
        return Path(self._folder.name) / f"{n}.o"
