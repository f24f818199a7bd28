"""What all problems on a corpus of modules share: the corpus, and who compiles it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from t2t import registry
from t2t.problems.compiler.corpus import BadCorpus, Corpus
from t2t.problems.control import Control
from t2t.problems.problem import DataUnavailable


class OnCorpus(Control):
    """A compiler that asks, on the modules of a corpus.

    Args:
      corpus: the folder that `t2t-datagen --problem=compiler_inline` wrote.
      compiler: a clang's name or path; the corpus's own by default.
    """

    licence = "each package's own, as modules.jsonl of the corpus says"

    def __init__(self, *, corpus: str = "", compiler: str = "") -> None:
        self.folder, self.wanted = corpus, compiler

    @cached_property
    def corpus(self) -> Corpus:
        """Raises DataUnavailable: in one line, when there is none."""
        if not self.folder:
            raise DataUnavailable(
                f"{registry.snake_case(type(self).__name__)} needs a corpus: "
                "t2t-datagen --problem=compiler_inline --data_dir=FOLDER, then "
                "--corpus=FOLDER"
            )
        try:
            return Corpus(Path(self.folder))
        except BadCorpus as error:
            raise DataUnavailable(str(error)) from None
