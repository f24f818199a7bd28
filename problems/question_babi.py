"""bAbI: questions about stories that a machine makes up, of twenty kinds.

Source: Weston et al., "Towards AI-complete question answering" (arXiv:1502.05698).
Made here after the paper's description of each task, in its words; the published files
(1 000 questions a task) are others of the same kind. A hash of story and question
decides the split, so none of dev or test is ever trained on.
"""

from __future__ import annotations

import numpy as np

from t2t import features as features_lib
from t2t import registry, text
from t2t.features import Feature
from t2t.problems import holdout
from t2t.problems.babi import moving, reasoning
from t2t.problems.babi.words import WORDS
from t2t.problems.problem import DEV, TEST, TRAIN, Example, Problem

TASKS = {
    1: moving.single_fact, 2: moving.two_facts, 3: moving.three_facts,
    4: reasoning.two_arguments, 5: moving.three_arguments, 6: moving.yes_no,
    7: moving.counting, 8: moving.listing, 9: moving.negation, 10: moving.indefinite,
    11: moving.coreference, 12: moving.conjunction, 13: moving.compound,
    14: moving.time, 15: reasoning.deduction, 16: reasoning.induction,
    17: reasoning.positions, 18: reasoning.sizes, 19: reasoning.paths,
    20: reasoning.motives,
}  # fmt: skip
HELD_OUT = 0.05  # of all stories, for each of dev and test


@registry.problem("question_babi")
class QuestionBabi(Problem):
    """Questions about made-up stories, bAbI's twenty tasks (arXiv:1502.05698).

    Args:
      task: 1 to 20; 0 for all of them.
    """

    FEATURES = {"inputs": "text", "targets": "text"}
    SUGGESTED = ("transformer_babi", "transformer")
    METRICS = ("sequence_accuracy",)
    SPLITS = {TRAIN: 1, DEV: 1, TEST: 1}
    generated = True
    licence = "made up, free of rights"

    def __init__(self, *, task: int = 0) -> None:
        if task not in (0, *TASKS):
            raise ValueError(f"question_babi: task={task}; 1 to 20, or 0 for all")
        self.task = task
        self.words = text.Symbols("babi", WORDS)

    @property
    def features(self) -> dict[str, Feature]:
        return {name: features_lib.text(self.words) for name in self.FEATURES}

    def example(self, split: str, rng: np.random.Generator) -> Example:
        if split not in self.SPLITS:
            raise ValueError(f"{self.name} has no split {split!r}: {[*self.SPLITS]}")
        while True:
            task = self.task or int(rng.integers(1, len(TASKS) + 1))
            story = TASKS[task](rng)
            if split == _split_of(story.inputs):
                return {"inputs": story.inputs, "targets": story.answer}


def _split_of(inputs: str) -> str:
    place = holdout.share(inputs)
    return TEST if place < HELD_OUT else DEV if place < 2 * HELD_OUT else TRAIN
