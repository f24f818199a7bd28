"""A run of texts or pictures in another form, believed when it answers as the run does.

It is written beside its place, read again by the runtime that will use it, and asked
the first examples of the dev split; only then it gets its name, with a card in it.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t2t.config import Config
from t2t.decode.decoder import Decoder
from t2t.decode.options import DecodeOptions
from t2t.export import clients, model_card
from t2t.export.formats import (
    FORMATS,
    Answer,
    ExportRefused,
    run_answers,
    write_vocabularies,
)
from t2t.export.programs import Program, program
from t2t.export.strings import strings
from t2t.run import checkpoints
from t2t.run.folder import RunFolder, open_run
from t2t.run.problems import decoded_examples

EXAMPLES = 100
# Shares of examples that must be answered alike: int8 weights round.
LEAST = {False: 0.99, True: 0.9}
SCORE = 1e-3  # by how much scores may differ, of float weights


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How an export answers beside its run.

    score: the largest difference of scores, of equal answers.
    first: (example, the run's answer, the export's) where they differ, if anywhere.
    """

    examples: int
    same: int
    score: float
    first: tuple[str, str, str] | None

    def __str__(self) -> str:
        return (
            f"{self.same} of {self.examples} answers the same, scores within "
            f"{self.score:.1e}"
        )


def agreement(
    examples: Sequence[Any], wanted: Sequence[Answer], found: Sequence[Answer]
) -> Agreement:
    """Compares answer by answer."""
    triples = list(zip(examples, wanted, found, strict=True))
    differ = [(x, w[0], f[0]) for x, w, f in triples if w[0] != f[0]]
    scores = [abs(w[1] - f[1]) for _, w, f in triples if w[0] == f[0]]
    first = None
    if differ:
        example, run, export = differ[0]
        shown = example if isinstance(example, str) else "a picture"
        first = (shown, run, export)
    return Agreement(
        len(triples), len(triples) - len(differ), max(scores, default=0.0), first
    )


def export_run(
    run: str | Path,
    folder: str | Path,
    *,
    form: str,
    int8: bool = False,
    checkpoint_path: str | Path | None = None,
    data_dir: str | None = None,
    options: DecodeOptions | None = None,
    max_length: int = 0,
    least: float | None = None,
) -> tuple[Path, Agreement]:
    """Writes a run into a folder that is not there yet.

    Args:
      form: a name in `FORMATS`.
      int8: whether matrices are rounded to 8 bits.
      data_dir: of the examples that it is asked; the run's own by default.
      options: how outputs are searched.
      max_length: most tokens of an input; 0 for the run's own.
      least: share of examples to be answered alike; 0.99, or 0.9 with int8.

    Returns:
      (the folder, how it answers beside the run).

    Raises:
      ExportRefused: when the form answers otherwise, or the run has no such form.
      RunError, CheckpointError: when there is no run or no checkpoint.
      ValueError: when the folder is there, or there is nothing to export.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} is there: name a folder to be made")
    opened, config = open_run(run)
    path = checkpoints.resolve(checkpoint_path or opened.path)
    decoder = Decoder.from_run(run, checkpoint_path=path)
    asked = program(decoder, options or DecodeOptions(), max_length=max_length)
    data_dir = data_dir or opened.data_dir
    examples = real_examples(asked, data_dir)
    if form in ("litert", "onnx"):
        decoder.least_slots = asked.size  # they have one shape, so the run takes it too
    wanted = run_answers(asked, examples)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        read = FORMATS[form](asked, temporary, int8=int8)
        found = agreement(examples, wanted, read(examples))
        _believe(found, LEAST[int8] if least is None else least, int8=int8)
        _furnish(temporary, asked, opened, config, form, found, path)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder, found


def real_examples(asked: Program, data_dir: str | None) -> list[Any]:
    """Lines, or pictures [1, H, W, C], of the dev split."""
    decoded = decoded_examples(
        asked.decoder.problem, "dev", data_dir=data_dir, limit=EXAMPLES
    )
    if not asked.size:
        return [example["image"][None] for example in decoded]
    texts = [example[asked.prompt] for example in decoded]
    if asked.goes_on:  # what the run is to continue
        texts = [text[: max(1, len(text) // 2)] for text in texts]
    return texts


def _believe(found: Agreement, least: float, *, int8: bool) -> None:
    enough = found.same >= least * found.examples
    if enough and (int8 or found.score <= SCORE):
        return
    said = f"it does not answer as the run does: {found}"
    if found.first is not None:
        example, run, export = found.first
        said += f"; to {example!r} the run says {run!r}, the export {export!r}"
    raise ExportRefused(f"{said}. --least_agreement allows for less than {least}")


def _furnish(
    folder: Path,
    asked: Program,
    opened: RunFolder,
    config: Config,
    form: str,
    found: Agreement,
    checkpoint: Path,
) -> None:
    """Puts beside the weights what is needed to use them."""
    vocabulary = asked.decoder.features[asked.prompt].vocabulary
    own_strings = form == "saved_model" and (not asked.size or strings(vocabulary))
    arrays = form in ("safetensors", "transformers")
    usage = clients.USAGE[form] if own_strings or arrays else ""
    if not own_strings:
        write_vocabularies(asked, folder)
        if not arrays and asked.size:
            (folder / "client.py").write_text(clients.client(asked, form))
            usage = "python client.py < LINES"
    text = model_card.card(
        opened, config, asked.decoder,
        form=form, usage=usage, agreement=str(found), checkpoint=checkpoint.name,
    )  # fmt: skip
    (folder / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    if arrays:
        (folder / "config.gin").write_text(config.text(), encoding="utf-8")
