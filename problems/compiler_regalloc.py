"""Registers in LLVM: which value gives way, and which gets a register first.

MLGO's second and third task (Trofin et al., arXiv:2101.04808, and ml-compiler-opt). An
episode is a module of real C or C++; stock clang asks. What counts is the cost of
spills, reloads and copies, weighted by how often they run.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from t2t import registry
from t2t.bridge import llvm
from t2t.bridge.llvm import Compiler, NoCompiler
from t2t.environments import Environment, Environments
from t2t.features import Feature
from t2t.problems.compiler.allocators import Allocators, Costs, Task
from t2t.problems.compiler.on_corpus import OnCorpus
from t2t.problems.control import Single, split_seed
from t2t.problems.problem import DataUnavailable

# What LLVM tells of each register that might be taken, in this order; the last
# candidate is the value that asks for one. Names it does not send are refused.
CANDIDATES = 33
EVICT = (
    "is_free nr_urgent nr_broken_hints is_hint is_local nr_rematerializable "
    "nr_defs_and_uses weighed_reads_by_max weighed_writes_by_max "
    "weighed_read_writes_by_max weighed_indvars_by_max hint_weights_by_max "
    "start_bb_freq_by_max end_bb_freq_by_max hottest_bb_freq_by_max liverange_size "
    "use_def_density max_stage min_stage"
).split()
PRIORITY = ("li_size", "stage", "weight")
_MOST = 1e4  # of anything observed
_HIGHEST = 20.0  # of a priority's logarithm; LLVM keeps it in 32 bits


class Regalloc(OnCorpus):
    """What both tasks share.

    Args:
      corpus: the folder that `t2t-datagen --problem=compiler_inline` wrote.
      compiler: a clang's name or path; the corpus's own by default.
      most_seconds: modules that take longer to compile are not trained on.
    """

    TASK: ClassVar[Task]
    SUGGESTED = ("mlgo_regalloc", "ppo")

    def __init__(
        self, *, corpus: str = "", compiler: str = "", most_seconds: float = 0.5
    ) -> None:
        super().__init__(corpus=corpus, compiler=compiler)
        self.most_seconds = most_seconds

    @cached_property
    def compiler(self) -> Compiler:
        """Raises DataUnavailable: where there is none that writes remarks."""
        try:
            found = llvm.find(self.wanted or self.corpus.compiler)
        except NoCompiler as error:
            raise DataUnavailable(str(error)) from None
        if found.path is None:
            raise DataUnavailable(f"costs are clang's remarks, no {found.name}'s")
        return found

    @cached_property
    def costs(self) -> Costs:
        return Costs(self.corpus, self.compiler)

    def environments(
        self, split: str, count: int, *, seed: int, render: bool = False
    ) -> Environments:
        modules = [m for m in self.corpus.of(split) if m.text]
        if split == "train":
            modules = [m for m in modules if m.cpu <= self.most_seconds]
        if not modules:
            raise DataUnavailable(f"{self.folder} has no modules in its split {split}")
        own = split_seed(seed, split)
        return Allocators(self.TASK, self.costs, modules, count, seed=own)

    def environment(self, split: str, *, render: bool = False) -> Environment:
        seen, action = self._spaces()
        return Single(lambda seed: self.environments(split, 1, seed=seed), seen, action)

    def _spaces(self) -> tuple[Any, Any]:
        raise NotImplementedError


class _Evict:
    NAME = "evict"

    def observe(self, record: np.ndarray) -> dict[str, np.ndarray]:
        columns = [record[name].reshape(CANDIDATES) for name in EVICT]
        progress = np.full(CANDIDATES, record["progress"].ravel()[0])
        seen = np.stack([*columns, progress], axis=1)
        allowed = record["mask"].reshape(CANDIDATES).astype(np.float32)
        return {"observation": _finite(seen), "allowed": allowed}

    def advice(self, record: np.ndarray, action: np.ndarray) -> int:
        """A register that may not be taken is never: the last that may be, instead."""
        allowed = np.flatnonzero(record["mask"].reshape(CANDIDATES))
        return int(action) if int(action) in allowed else int(allowed[-1])


class _Priority:
    NAME = "priority"

    def observe(self, record: np.ndarray) -> dict[str, np.ndarray]:
        values = [float(record[name].ravel()[0]) for name in PRIORITY]
        size, stage, weight = _finite(np.array(values)).tolist()
        # Sizes and weights are of any scale.
        seen = [np.log1p(max(size, 0.0)), stage, np.log1p(max(weight, 0.0) * 1e3)]
        return {"observation": np.array(seen, np.float32)}

    def advice(self, record: np.ndarray, action: np.ndarray) -> np.float32:
        """The action is the priority's logarithm."""
        return np.float32(np.exp(np.clip(float(np.ravel(action)[0]), 0.0, _HIGHEST)))


def _finite(values: np.ndarray) -> np.ndarray:
    """Divided by nothing is 0; what may never be spilled weighs as much as can be."""
    whole = np.nan_to_num(values, nan=0.0, posinf=_MOST, neginf=-_MOST)
    return np.clip(whole, -_MOST, _MOST).astype(np.float32)


@registry.problem
class CompilerRegallocEvict(Regalloc):
    """Which register to take from other values, or none; the default has return 0."""

    FEATURES = {"observation": "real", "allowed": "real", "action": "label"}
    TASK = _Evict()

    @property
    def features(self) -> dict[str, Feature]:  # type: ignore[override]
        width = len(EVICT) + 1
        return {
            "observation": Feature("real", (CANDIDATES, width), "float32", "XY"),
            "allowed": Feature("real", (CANDIDATES,), "float32", "X"),
            "action": Feature("label", (), "int32", "", classes=CANDIDATES),
        }

    def _spaces(self) -> tuple[Any, Any]:
        from gymnasium import spaces

        shape = (CANDIDATES, len(EVICT) + 1)
        seen = {
            "observation": spaces.Box(-np.inf, np.inf, shape, np.float32),
            "allowed": spaces.Box(0.0, 1.0, (CANDIDATES,), np.float32),
        }
        return spaces.Dict(seen), spaces.Discrete(CANDIDATES)


@registry.problem
class CompilerRegallocPriority(Regalloc):
    """In which order values get registers: the logarithm of each one's priority."""

    FEATURES = {"observation": "real", "action": "real"}
    TASK = _Priority()

    @property
    def features(self) -> dict[str, Feature]:  # type: ignore[override]
        low, high = (0.0,), (_HIGHEST,)
        return {
            "observation": Feature("real", (len(PRIORITY),), "float32", "X"),
            "action": Feature("real", (1,), "float32", "X", low=low, high=high),
        }

    def _spaces(self) -> tuple[Any, Any]:
        from gymnasium import spaces

        seen = spaces.Box(-np.inf, np.inf, (len(PRIORITY),), np.float32)
        return seen, spaces.Box(0.0, _HIGHEST, (1,), np.float32)
