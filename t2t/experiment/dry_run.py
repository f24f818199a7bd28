"""What a run would be, told without one: nothing is trained and nothing is written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t.config import Config
from t2t.experiment.training import Ready, ready
from t2t.run.problems import decoded_examples

DEPTH = 2  # of the names of layers that are told apart
WIDEST = 100  # characters shown of an example's feature


def dry_run(config: Config, *, data_dir: str | None) -> None:
    """Prints sizes, memory, a batch and an example.

    Raises:
      As `ready` does: what would be wrong with the run.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = ready(config, folder=Path(folder), data_dir=data_dir)
        print(made.summary(config))
        for title, lines in (
            ("parameters", _parameters(made)),
            ("memory, MB", _memory(made)),
            ("a batch", _batch(made)),
            ("an example", _example(made, data_dir)),
        ):
            print(f"\n{title}")
            for line in lines:
                print(f"  {line}")
        made.source.close()


def _parameters(made: Ready) -> Iterator[str]:
    """Of each part of the model."""
    counts: dict[str, int] = {}
    for variable in made.step.model.variables:
        part = "/".join(variable.path.split("/")[:-1][:DEPTH]) or variable.path
        counts[part] = counts.get(part, 0) + int(np.prod(variable.shape))
    width = max(map(len, counts))
    for part, count in counts.items():
        yield f"{part:{width}}  {count:12,}"


def _memory(made: Ready) -> Iterator[str]:
    needed = made.needed
    for name, size in (
        ("weights, gradients, optimizer", needed.state),
        ("activations", needed.activations),
        ("all, with TensorFlow itself", needed.total),
    ):
        yield f"{name:30}{size / 1e6:10,.0f}"


def _batch(made: Ready) -> Iterator[str]:
    for name, value in made.first.items():
        array = np.asarray(value)
        yield f"{name:22}{array.dtype.name:9}{list(array.shape)}"


def _example(made: Ready, data_dir: str | None) -> Iterator[str]:
    """The first one of training, as a person reads it."""
    if made.problem.interactive:
        yield "is acted for"
        return
    problem: Any = made.problem
    (example,) = decoded_examples(problem, "train", data_dir=data_dir, limit=1)
    for name, value in example.items():
        shown = value
        if isinstance(value, np.ndarray):
            shown = f"{value.dtype} {list(value.shape)}"
        yield f"{name:12}{str(shown)[:WIDEST]}"
