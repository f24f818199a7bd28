"""Whom omni hears worse, and where: rows 3 and 8 of the system card, arXiv:2410.21276.

    t2t-eval --output_dir=RUN --problem=omni_listening

Word error rates of sentences written down, by the speaker's accent, pitch and rate, and
by what happens to the sound on its way.
"""

from __future__ import annotations

from t2t import registry
from t2t.problems.omni import conditions, tasks, voices
from t2t.problems.omni.examination import Examination
from t2t.problems.omni.scores import Cell
from t2t.problems.omni_tasks import OmniTasks


def _cell(name: str, kind: str, condition: str = "") -> Cell:
    task, score = "speech_to_text", "errors"
    return Cell(name, task, score, voices=kind, condition=condition)


@registry.problem
class OmniListening(Examination, OmniTasks):
    """Word errors by accent, manner of speaking and condition of the sound.

    Args:
      questions: of a cell.
      Others: as `omni_tasks`.
    """

    TASKS = tasks.TASKS
    CELLS = (
        _cell("clean", "seen"),
        *(_cell(f"accent {name}", name) for name in voices.ACCENTS),
        *(_cell(f"new accent {name}", name) for name in voices.HELD_OUT_ACCENTS),
        _cell("new voices", "voice"),
        *(_cell(name, name) for name in voices.MANNERS),
        *(_cell(name, "seen", name) for name in conditions.CONDITIONS),
    )
    GROUPS = tuple(cell.name for cell in CELLS if cell.name.startswith("accent"))
