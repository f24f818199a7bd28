"""Every cell of omni's matrix: what goes in, what comes out, how well, who judges.

    t2t-eval --output_dir=RUN --problem=omni_matrix

Strings of digits, handwriting and voices are such as no model was trained on. Speech is
also judged by others' judges, where they are installed (`pip install -e '.[judges]'`).
"""

from __future__ import annotations

from t2t import registry
from t2t.problems.omni import tasks
from t2t.problems.omni.examination import Examination
from t2t.problems.omni.scores import Cell
from t2t.problems.omni_tasks import OmniTasks

CELLS = (
    Cell("text → text", "text_to_text", "exact"),
    Cell("text → speech", "text_to_speech", "errors", 0.05),
    Cell("speech → text", "speech_to_text", "errors", 0.08),
    Cell("speech (new accents) → text", "speech_to_text", "errors", 0.12, "accent"),
    Cell("speech → speech", "speech_to_speech", "exact", 0.90),
    Cell("text → image", "text_to_image", "things", 0.95),
    Cell("image → text", "image_to_text", "exact", 0.97),
    Cell("image → speech", "image_to_speech", "exact", 0.95),
    Cell("speech → image", "speech_to_image", "things", 0.90),
    Cell("video → text: what", "video_to_text", "exact", 0.95),
    Cell("video → text: which way", "video_to_text", "moves", 0.98),
    Cell("image + speech → text", "image_and_speech_to_text", "exact", 0.90),
    Cell("image + text → speech", "image_and_text_to_speech", "exact"),
    Cell("video + speech → speech", "video_and_speech_to_speech", "exact"),
    Cell("text + image → image", "image_and_text_to_image", "things"),
    Cell("text → text: languages", "translate_text", "exact"),
    Cell("speech → text: languages", "translate_speech", "exact"),
)


@registry.problem
class OmniMatrix(Examination, OmniTasks):
    """The test of omni: every way in and out, on what was never heard or seen.

    Args:
      questions: of a cell.
      Others: as `omni_tasks`.
    """

    CELLS = CELLS
    TASKS = tasks.TASKS
    OUTSIDE = True
