"""What omni says by heart: row 7 of the system card, arXiv:2410.21276.

    t2t-eval --output_dir=RUN --problem=omni_memory

How often it goes on with a passage that it was trained on word for word, and how much
better it answers what it was trained on: beside the same of what it never met.
"""

from __future__ import annotations

from t2t import registry
from t2t.problems.omni import tasks
from t2t.problems.omni.examination import Examination
from t2t.problems.omni.scores import Cell
from t2t.problems.omni_tasks import OmniTasks


def _pair(name: str, task: str, score: str) -> tuple[Cell, Cell]:
    of = Cell(f"{name}: of training", task, score, seen=True)
    return of, Cell(f"{name}: new", task, score)


@registry.problem
class OmniMemory(Examination, OmniTasks):
    """Passages, translations and sums that were in training, beside new ones.

    Args:
      questions: of a cell.
      Others: as `omni_tasks`.
    """

    TASKS = tasks.TASKS
    CELLS = (
        *_pair("goes on word for word", "prose", "verbatim"),
        *_pair("translates word for word", "translate_prose", "verbatim"),
        *_pair("sums, written", "text_to_text", "exact"),
        *_pair("numbers read, of pictures", "image_to_text", "exact"),
    )
