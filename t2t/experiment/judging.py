"""Runs that have been trained, or are being trained elsewhere: what they are worth."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from t2t import config as config_lib
from t2t.config import Config
from t2t.decode.chat import Chat
from t2t.decode.decoder import Decoder
from t2t.decode.options import DecodeOptions
from t2t.evaluate import Losses, decode_split, one_pass
from t2t.rl.play import Judge
from t2t.run import checkpoints
from t2t.run.folder import RunFolder, open_run
from t2t.run.problems import make_examination, make_problem
from t2t.training.progress import say


def evaluate(
    output_dir: str | Path,
    *,
    problem: str | None = None,
    data_dir: str | None = None,
    checkpoint_path: str | None = None,
    split: str = "dev",
    eval_steps: int | None = None,
    decode_examples: int | None = None,
    options: DecodeOptions | None = None,
) -> dict[str, float]:
    """Evaluates a run's best or newest checkpoint, or a given one, on a split.

    Args:
      problem: another than the run's, with its vocabularies: only the loss is told.
      eval_steps: batches to read, 0 for all; the run's own number by default.
      decode_examples: sentences to decode, 0 for none; all by default.

    Raises:
      RunError, CheckpointError: when there is nothing to evaluate.
      ValueError: for a problem that is not read as the run's is.
    """
    folder, config = open_run(output_dir)
    path = checkpoints.resolve(checkpoint_path or folder.path)
    decoder = Decoder.from_run(output_dir, checkpoint_path=path)
    if decoder.problem.interactive:
        episodes = config_lib.build("evaluation")().episodes
        return Judge(decoder.problem, decoder.model, episodes=episodes)(split)
    data_dir = data_dir or folder.data_dir
    steps = config.knob("eval_steps") if eval_steps is None else eval_steps
    asked = _another(problem, folder, decoder) if problem else decoder.problem
    losses = Losses(asked, decoder.model, jit=decoder.model.JIT)
    source = one_pass(asked, split, data_dir=data_dir)
    values = losses(source, steps)
    source.close()
    decodes = None
    if decode_examples != 0 and asked is decoder.problem:
        decodes = decode_split(
            decoder,
            split,
            data_dir=data_dir,
            limit=decode_examples or 0,
            options=options,
        )
    if decodes is not None:
        values.update(decodes.scores(decoder.problem.METRICS))
    return values


def _another(name: str, folder: RunFolder, decoder: Decoder) -> Any:
    """A problem by name, read with a run's vocabularies."""
    problem = make_problem(Config(knobs={"problem": name}))
    problem.load_vocabularies(folder.vocabularies)
    given, read = (
        {n: f.bare for n, f in features.items()}
        for features in (problem.offered(), decoder.features)
    )
    other = sorted(n for n in {*given, *read} if given.get(n) != read.get(n))
    if other:
        raise ValueError(
            f"a run that reads {', '.join(read)} cannot be judged by {name}, which "
            f"offers {', '.join(given)}: not the same are {', '.join(other)}"
        )
    return problem


def examine(
    output_dir: str | Path,
    examination: str,
    *,
    data_dir: str | None = None,
    checkpoint_path: str | None = None,
    questions: int | None = None,
    as_json: bool = False,
) -> None:
    """Prints how a run does in an examination, a problem of its own, part by part.

    Raises:
      RunError, CheckpointError, UnknownName: in one line each.
      ValueError: when the run cannot sit it.
    """
    folder, _ = open_run(output_dir)
    problem = make_examination(examination, questions)
    chat = Chat.from_run(output_dir, checkpoint_path=checkpoint_path)
    data = Path(data_dir or folder.data_dir or ".")
    scores = []
    for score in problem.examine(chat, data_dir=data, tmp_dir=data / "tmp"):
        scores.append(score)
        if not as_json:
            print(problem.row(score), flush=True)
    if as_json:
        print(json.dumps([problem.record(score) for score in scores]))


def continuous_eval(
    output_dir: str | Path,
    *,
    data_dir: str | None = None,
    split: str = "dev",
    poll_seconds: float = 10.0,
) -> None:
    """Evaluates every new checkpoint of a run that another process trains, until
    its last step."""
    folder, config = open_run(output_dir)
    until_step = config.knob("train_steps")
    seen = 0
    while seen < until_step:
        new = [s for s in checkpoints.steps_in(folder.checkpoints) if s > seen]
        for step in new:
            path = checkpoints.path_of(folder.checkpoints, step)
            if path.exists():  # the trainer may have removed it since
                values = evaluate(
                    output_dir,
                    data_dir=data_dir,
                    checkpoint_path=str(path),
                    split=split,
                    decode_examples=config.knob("decode_examples"),
                )
                shown = "  ".join(f"{n} {v:.4g}" for n, v in values.items())
                say(f"{split} at step {step}: {shown}")
            seen = step
        if not new:
            time.sleep(poll_seconds)
