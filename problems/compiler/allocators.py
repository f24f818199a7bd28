"""N compilers whose registers are allocated by whoever steps them.

An episode is a module. What came of it is known by function, and so is which decision
belongs to which: each is worth what its own function's cost became against the
default's, as MLGO's eviction policy is rewarded (github.com/google/ml-compiler-opt).
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from t2t.bridge.desk import Told
from t2t.bridge.episodes import Episode, Failure, Job, echo
from t2t.bridge.host import Host
from t2t.bridge.llvm import Compiler
from t2t.environments import Observation
from t2t.problems.compiler import spills
from t2t.problems.compiler.corpus import Corpus, Module, nth
from t2t.problems.compiler.spills import Cost
from t2t.problems.compiler.stepped import PATIENCE, End, Stepped

SLACK = 1.0  # runs of a function's first block, against functions without a cost

log = logging.getLogger(__name__)


class Task(Protocol):
    """How one of LLVM's questions looks to a policy."""

    NAME: str  # among `llvm.TASKS`

    def observe(self, record: np.ndarray) -> dict[str, np.ndarray]:
        """A question, shape [1], as features without an axis for it."""
        ...

    def advice(self, record: np.ndarray, action: np.ndarray) -> Any:
        """What LLVM is answered."""
        ...


class Costs:
    """What LLVM's own allocation costs, by module; compiled when first asked for."""

    def __init__(self, corpus: Corpus, compiler: Compiler) -> None:
        self.corpus, self.compiler = corpus, compiler
        self._known: dict[str, dict[str, Cost]] = {}

    def of(self, module: Module) -> dict[str, Cost]:
        """By function.

        Raises:
          RuntimeError: for a module that does not compile any more.
        """
        if module.key not in self._known:
            with tempfile.TemporaryDirectory(prefix="t2t-") as folder:
                output = Path(folder) / "a.o"
                path = self.corpus.bitcode(module)
                with Host(echo, parallel=1) as host:
                    (end,) = host.run([job(self.compiler, path, output)])
                if not isinstance(end, Episode):
                    raise RuntimeError(f"{module.key}: {end.reason} {end.log.strip()}")
                self._known[module.key] = cost(output)
        return self._known[module.key]


def job(compiler: Compiler, module: Path, output: Path, *, task: str = "") -> Job:
    """A compilation that writes what its registers cost beside the object."""
    remarks = f"-foptimization-record-file={output.with_suffix('.yaml')}"
    flags = (*spills.REMARKS, remarks)
    return compiler.job(module, output, task=task, flags=flags)


def cost(output: Path) -> dict[str, Cost]:
    """What a job cost, by function; its files are removed."""
    remarks = output.with_suffix(".yaml")
    found = spills.read(remarks) if remarks.exists() else {}
    for path in (output, remarks):
        path.unlink(missing_ok=True)
    return found


@dataclasses.dataclass
class Walk:
    """An episode: a compiler, the question that it waits for, what it was told."""

    module: Module
    record: np.ndarray | None = None
    compiler: int = 0
    taken: list[list[float]] = dataclasses.field(default_factory=list)


class Allocators(Stepped):
    """See `Stepped`.

    Args:
      task: what is asked.
      costs: of the defaults, and the corpus; shared by whoever passes the same.
      modules: what is compiled, in an order of its own for each pass.
    """

    def __init__(
        self, task: Task, costs: Costs, modules: list[Module], count: int, *, seed: int
    ) -> None:
        super().__init__(count, seed=seed)
        self.task, self.costs, self.modules = task, costs, modules

    def report(self) -> dict[str, float]:
        """Compilations, and those that failed."""
        return {"compiles": float(self.compiles), "failures": float(self.failures)}

    # -- parts -----------------------------------------------------------------------

    def _observation(self) -> Observation:
        seen = [self.task.observe(self._asked(walk)) for walk in self._walks]
        return {name: np.stack([one[name] for one in seen]) for name in seen[0]}

    @staticmethod
    def _asked(walk: Walk) -> np.ndarray:
        """After the end it is the last question, which is not answered again."""
        if walk.record is None:
            raise RuntimeError(f"{walk.module.key} asks nothing")
        return walk.record

    def _begin(self, n: int) -> Walk:
        """The next module at which anything is asked."""
        for _ in range(len(self.modules)):
            number = self._episodes[n] * self.count + n
            walk = Walk(nth(self.modules, number, self.seed))
            self.compiles += 1
            path = self.costs.corpus.bitcode(walk.module)
            asking = job(
                self.costs.compiler, path, self._output(n), task=self.task.NAME
            )
            asking = dataclasses.replace(asking, deadline=PATIENCE)
            walk.compiler = self._desk.begin(asking)
            told = self._desk.wait()[walk.compiler]
            if isinstance(told, np.ndarray):
                walk.record = told
                return walk
            self._episodes[n] += 1
        raise RuntimeError(f"LLVM asks nothing of {self.task.NAME} at any module")

    def _answer(self, actions: dict[int, Any]) -> dict[int, End]:
        numbers = {}
        for n, given in actions.items():
            walk, action = self._walks[n], np.asarray(given)
            walk.taken.append(action.tolist())
            record = self._asked(walk)
            self._desk.answer(walk.compiler, self.task.advice(record, action))
            numbers[walk.compiler] = n
        ends: dict[int, End] = {}
        for number, told in self._desk.wait().items():
            n = numbers[number]
            if isinstance(told, np.ndarray):
                self._walks[n].record = told
            else:
                ends[n] = self._found(n, told)
        return ends

    def _found(self, n: int, end: Told) -> End:
        """(the module's reward, each decision's); None where the compiler failed."""
        walk = self._walks[n]
        if isinstance(end, Failure) or not isinstance(end, Episode):
            self.failures += 1
            log.warning("%s: %s", walk.module.key, getattr(end, "reason", end))
            return None
        found, default = cost(self._output(n)), self.costs.of(walk.module)
        worth = {f: better(found.get(f), default.get(f)) for f in {*found, *default}}
        shares = [worth.get(name, 0.0) for name in functions(end)]
        whole = better(spills.total(found.values()), spills.total(default.values()))
        return whole, np.array(shares, np.float32)


def better(found: Cost | None, default: Cost | None) -> float:
    """The share by which the score is below the default's."""
    scores = [cost.score + SLACK if cost else SLACK for cost in (found, default)]
    return 1.0 - scores[0] / scores[1]


def functions(episode: Episode) -> list[str]:
    """The function that each decision belongs to: LLVM names it before it asks."""
    names: list[str] = []
    for kept in episode.trajectories:
        places = [*kept.contexts, (len(kept), "")]
        for (begin, name), (end, _) in zip(places, places[1:], strict=False):
            names += [name] * (end - begin)
    return names
