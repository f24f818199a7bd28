"""Inlining for size in LLVM: Trofin et al., MLGO, arXiv:2101.04808.

An episode is a module of real C or C++. The compiler asks of one call after the other
whether to inline it; what the policy has answered decides what code comes out. Stock
clang answers: nothing is rebuilt.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from t2t import registry
from t2t.bridge import llvm
from t2t.bridge.llvm import Compiler, NoCompiler
from t2t.bridge.specs import Header, difference
from t2t.environments import Environment, Environments
from t2t.features import Feature
from t2t.problems.compiler import corpus, credit, sources
from t2t.problems.compiler.corpus import BadCorpus
from t2t.problems.compiler.gather import Gatherer
from t2t.problems.compiler.inliners import Inliners
from t2t.problems.compiler.on_corpus import OnCorpus
from t2t.problems.compiler.tree import Forest
from t2t.problems.control import Single, split_seed
from t2t.problems.debian.sources import Sources
from t2t.problems.problem import DataUnavailable

HEADER = "inline_header.json"  # in a run: what its compiler told

log = logging.getLogger(__name__)


@registry.problem
class CompilerInline(OnCorpus):
    """Which calls to inline so that the code becomes small; -Oz itself has return 0.

    Args:
      corpus: the folder that `t2t-datagen --problem=compiler_inline` wrote.
      compiler: a clang's name or path; the corpus's own by default.
      reward: 'functions' or 'module', see `compiler.credit`.
      most_decisions: modules at which LLVM decides more are not trained on.
    """

    FEATURES = {"observation": "real", "default": "label", "action": "label"}
    SUGGESTED = ("inline_ppo", "ppo")

    def __init__(
        self,
        *,
        corpus: str = "",
        compiler: str = "",
        reward: str = "functions",
        most_decisions: int = 1000,
    ) -> None:
        if reward not in credit.KINDS:
            raise ValueError(f"reward={reward!r}: {' or '.join(credit.KINDS)}")
        super().__init__(corpus=corpus, compiler=compiler)
        self.reward, self.most_decisions = reward, most_decisions
        self.forest = Forest()
        self._header: Header | None = None

    @cached_property
    def compiler(self) -> Compiler:
        """Of the corpus, or the best one here for a run that is without it.

        Raises:
          DataUnavailable: when it is not here, or asks other things than were learned.
        """
        name = self.wanted
        if not name and (Path(self.folder) / "corpus.json").exists():
            name = self.corpus.compiler
        try:
            found = llvm.find(name)
            asks = llvm.probe(found).header
        except NoCompiler as error:
            raise DataUnavailable(str(error)) from None
        if other := difference(self.header.features, asks.features):
            raise DataUnavailable(
                f"{found.name} does not ask what was learned: {other}"
            )
        return found

    @property
    def header(self) -> Header:
        """What is asked: of the run, or of the corpus."""
        return self._header or self.corpus.header

    @property
    def features(self) -> dict[str, Feature]:  # type: ignore[override]
        width = len(self.header.features) - 1
        choice = Feature("label", (), "int32", "", classes=2)
        return {
            "observation": Feature("real", (width,), "float32", "X"),
            "default": choice,
            "action": choice,
        }

    def environments(
        self, split: str, count: int, *, seed: int, render: bool = False
    ) -> Environments:
        modules = self.corpus.of(split)
        if split == "train":
            modules = [m for m in modules if m.decisions <= self.most_decisions]
        if not modules:
            raise DataUnavailable(f"{self.folder} has no modules in its split {split}")
        return Inliners(
            self.corpus,
            modules,
            self.compiler,
            count,
            seed=split_seed(seed, split),
            kind=self.reward,
            forest=self.forest,
        )

    def environment(self, split: str, *, render: bool = False) -> Environment:
        from gymnasium import spaces

        width = len(self.header.features) - 1
        seen = {
            "observation": spaces.Box(-np.inf, np.inf, (width,), np.float32),
            "default": spaces.Discrete(2),
        }
        return Single(
            lambda seed: self.environments(split, 1, seed=seed),
            spaces.Dict(seen),
            spaces.Discrete(2),
        )

    # -- its data --------------------------------------------------------------------

    def gather(
        self, data_dir: Path, tmp_dir: Path, *, packages: Sequence[str] = ()
    ) -> None:
        """Makes the corpus, or goes on with it.

        Raises:
          DataUnavailable: when there is no compiler, or another's corpus.
        """
        try:
            compiler = llvm.find(self.wanted)
            if compiler.path is None:
                raise NoCompiler(f"no clang here, and C needs one: {llvm.INSTALL}")
            gatherer = Gatherer(data_dir, compiler)
        except (BadCorpus, NoCompiler) as error:
            raise DataUnavailable(str(error)) from None
        archive = Sources(tmp_dir / "debian")
        for package in packages or sources.PACKAGES:
            try:
                gatherer.add(sources.debian(archive, package), title=package)
            except DataUnavailable as error:
                log.warning("left out: %s", error)

    def save_vocabularies(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        corpus.write_header(folder / HEADER, self.header)

    def load_vocabularies(self, folder: Path) -> None:
        if (folder / HEADER).exists():
            self._header = corpus.read_header(folder / HEADER)
