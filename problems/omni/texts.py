"""Real text for omni: documentation that goes on, and sentences in two languages."""

from __future__ import annotations

import functools
import sysconfig
from pathlib import Path

import numpy as np

from t2t.problems import language_model_pydoc as pydoc
from t2t.problems.translate_interface import TranslateEndeInterface

WORDS = (12, 30)  # of a passage, least and most
LONGEST = 80  # characters of a sentence that is translated


class Texts:
    """Read when they are first drawn from: nothing else needs what they need.

    Args:
      split: of the documentation's modules and of the sentences.
      tmp_dir: where the wheel of the sentences is kept.
    """

    def __init__(self, split: str, tmp_dir: Path) -> None:
        self.split, self.tmp_dir = split, tmp_dir

    def passage(self, rng: np.random.Generator) -> tuple[str, str]:
        """(how it begins, how it goes on), cut anywhere between words."""
        words = self._passages[int(rng.integers(len(self._passages)))]
        size = int(rng.integers(WORDS[0], WORDS[1] + 1))
        start = int(rng.integers(max(1, len(words) - size + 1)))
        run = words[start : start + size]
        middle = int(rng.integers(4, len(run) - 3))
        return " ".join(run[:middle]), " ".join(run[middle:])

    def pair(self, rng: np.random.Generator) -> tuple[str, str]:
        """(English, German).

        Raises:
          DataUnavailable: when the wheel cannot be had.
        """
        return self._pairs[int(rng.integers(len(self._pairs)))]

    @functools.cached_property
    def _passages(self) -> list[list[str]]:
        texts = pydoc.split_texts(self.split, Path(sysconfig.get_path("stdlib")))
        found = [text.split() for text in texts]
        return [words for words in found if len(words) >= WORDS[0]]

    @functools.cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        examples = TranslateEndeInterface().examples(self.split, self.tmp_dir)
        pairs = [(e["inputs"], e["targets"]) for e in examples]
        return [pair for pair in pairs if max(map(len, pair)) <= LONGEST]
