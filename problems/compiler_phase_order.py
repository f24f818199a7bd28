"""The order of LLVM's passes: Cummins et al., CompilerGym, arXiv:2109.08267.

An episode is a module of real C or C++; each step runs one of LLVM's passes on it, or
stops. What counts is the instructions that are left, against -Oz.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from t2t import registry
from t2t.bridge import llvm
from t2t.bridge.llvm import NoCompiler
from t2t.environments import Environment, Environments
from t2t.features import Feature
from t2t.problems.compiler.on_corpus import OnCorpus
from t2t.problems.compiler.phases import PASSES, WIDTH, Phases, States, opt_of
from t2t.problems.control import Single, split_seed
from t2t.problems.problem import DataUnavailable


@registry.problem
class CompilerPhaseOrder(OnCorpus):
    """Which passes to run, and in which order; what -Oz removes is return 1.

    Args:
      corpus: the folder that `t2t-datagen --problem=compiler_inline` wrote.
      compiler: a clang's name or path, whose opt is used; the corpus's own by default.
      most_seconds: modules that take longer to compile are not trained on.
    """

    FEATURES = {"observation": "real", "action": "label"}
    SUGGESTED = ("phase_order_ppo", "ppo")

    def __init__(
        self, *, corpus: str = "", compiler: str = "", most_seconds: float = 0.5
    ) -> None:
        super().__init__(corpus=corpus, compiler=compiler)
        self.most_seconds = most_seconds

    @property
    def features(self) -> dict[str, Feature]:  # type: ignore[override]
        return {
            "observation": Feature("real", (WIDTH,), "float32", "X"),
            "action": Feature("label", (), "int32", "", classes=len(PASSES)),
        }

    @cached_property
    def states(self) -> States:
        """Raises DataUnavailable: without the compiler's opt."""
        try:
            return States(opt_of(llvm.find(self.wanted or self.corpus.compiler)))
        except NoCompiler as error:
            raise DataUnavailable(str(error)) from None

    def environments(
        self, split: str, count: int, *, seed: int, render: bool = False
    ) -> Environments:
        modules = self.corpus.of(split)
        if split == "train":
            modules = [m for m in modules if m.cpu <= self.most_seconds]
        if not modules:
            raise DataUnavailable(f"{self.folder} has no modules in its split {split}")
        own = split_seed(seed, split)
        return Phases(self.corpus, modules, self.states, count, seed=own)

    def environment(self, split: str, *, render: bool = False) -> Environment:
        from gymnasium import spaces

        return Single(
            lambda seed: self.environments(split, 1, seed=seed),
            spaces.Box(0.0, np.inf, (WIDTH,), np.float32),
            spaces.Discrete(len(PASSES)),
        )
