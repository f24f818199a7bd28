"""Real English without a download: what Python's standard library says of itself.

The documentation strings of the modules, classes and functions of the Python
that runs this, read with `ast` and never imported. The module decides the split,
so another Python version changes the texts but hardly the splits.
"""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from t2t import registry
from t2t.problems import holdout, made_up
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable, Example
from t2t.problems.tasks import LanguageModel
from t2t.text.passages import passages

HELD_OUT = 0.1  # of the modules, for each of dev and test
SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"}
LEAST = 40  # characters; shorter strings hardly hold a sentence
LONGEST = 1000  # characters of an example


class LanguageModelPydoc(LanguageModel):
    """English documentation strings of the standard library, one an example."""

    licence = "PSF-2.0"

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        stdlib = Path(sysconfig.get_path("stdlib"))
        for text in split_texts(split, stdlib):
            yield {"targets": text}

    def fake(self, split: str) -> Iterator[Example]:
        for sentence in made_up.sentences(split):
            yield {"targets": sentence}


@registry.problem
class LanguageModelPydocCharacters(LanguageModelPydoc):
    """Real English, documentation strings of Python, byte by byte; no download."""

    VOCABULARY = "bytes"


@registry.problem
class LanguageModelPydocSubwords(LanguageModelPydoc):
    """Real English, documentation strings of Python, in subwords; no download."""

    VOCABULARY = "subwords"
    VOCABULARY_SIZE = 4096


def split_texts(split: str, stdlib: Path) -> Iterator[str]:
    """Passages of one split; each text once, and no near-copy in two splits.

    Training is read first and keeps everything; then test, then dev.
    """
    texts = list(docstrings(stdlib))
    if not texts:
        raise DataUnavailable(
            f"no Python sources in {stdlib} to read: try language_model_files"
        )
    seen: set[str] = set()
    for current in (TRAIN, TEST, DEV):
        for module, text in texts:
            place = holdout.share(module)
            own = TEST if place < HELD_OUT else DEV if place < 2 * HELD_OUT else TRAIN
            if own != current or holdout.near(text) in seen:
                continue
            seen.add(holdout.near(text))
            if current == split:
                yield from passages(text.splitlines(), longest=LONGEST)
        if current == split:
            return


def docstrings(stdlib: Path) -> Iterator[tuple[str, str]]:
    """(top-level module, documentation string) of every source under a folder."""
    for path in sorted(stdlib.rglob("*.py")):
        parts = path.relative_to(stdlib).with_suffix("").parts
        if SKIPPED.isdisjoint(parts):
            for text in _docstrings_of(path):
                yield parts[0], text


def _docstrings_of(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            # Invalid escapes in others' sources are not our user's business.
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            text = (ast.get_docstring(node) or "").strip()
            if len(text) >= LEAST:
                yield text
