"""What a compiler asks after each decision: a tree a module, grown as it is asked.

A compiler is deterministic: what it asks next, and what code comes out, depends on the
module and on the decisions so far and on nothing else. Where the tree knows them, no
compiler is started.
"""

from __future__ import annotations

import collections
import dataclasses

import numpy as np

from t2t.problems.compiler.corpus import Defaults, Module
from t2t.problems.compiler.measure import Outcome


class Question:
    """seen: float32 [D]; after: what comes after each decision, as far as known."""

    __slots__ = ("after", "seen")

    def __init__(self, seen: np.ndarray) -> None:
        self.seen = seen
        self.after: dict[int, Question | Outcome] = {}


@dataclasses.dataclass
class Tree:
    """Begins with the module's own default, which is known from the corpus."""

    module: Module
    root: Question
    default: Outcome
    advice: np.ndarray  # int8 [T], of the default
    size: int  # questions in it

    @classmethod
    def of(cls, module: Module, known: Defaults) -> Tree:
        """The tree that has one branch."""
        default = Outcome(module.text, known.functions, known.pairs)
        questions = [Question(seen) for seen in known.seen]
        ends: list[Question | Outcome] = [*questions[1:], default]
        for question, advice, end in zip(questions, known.advice, ends, strict=True):
            question.after[int(advice)] = end
        return cls(module, questions[0], default, known.advice, len(questions))


class Forest:
    """The trees in memory; the one not visited for the longest goes first.

    Args:
      most: questions in all of them.
    """

    def __init__(self, most: int = 2_000_000) -> None:
        self.most, self.asked, self.known = most, 0, 0
        self._trees: collections.OrderedDict[str, Tree] = collections.OrderedDict()

    def get(self, module: Module) -> Tree | None:
        if (tree := self._trees.get(module.key)) is not None:
            self._trees.move_to_end(module.key)
        return tree

    def plant(self, tree: Tree) -> Tree:
        self._trees[tree.module.key] = tree
        total = sum(each.size for each in self._trees.values())
        while total > self.most and len(self._trees) > 1:
            _, gone = self._trees.popitem(last=False)
            total -= gone.size
        return tree
