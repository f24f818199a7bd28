"""What is to be beaten: simple baselines of a problem, in its models' own metrics.

Each learns from the training split, of which it sees `LEARNED` examples at most, and
is judged by the split that a model is judged by. No TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from t2t.baselines import language, learned, series, translation
from t2t.baselines.examples import Examples, read_examples

LEARNED = 50_000  # training examples


class NoBaseline(ValueError):
    """A problem that no simple baseline fits; one line."""


@dataclasses.dataclass(frozen=True)
class Score:
    """What a baseline reaches: metrics by name."""

    name: str
    values: dict[str, float]


Baselines = Callable[[Examples, Examples], Iterator[tuple[str, dict[str, float]]]]


def scores(problem: Any, split: str, *, data_dir: str | Path | None) -> Iterator[Score]:
    """Every baseline that fits the problem, one after another as they are ready.

    Raises:
      NoBaseline: when there is none.
      ValueError: for a split that the problem has not.
      ImportError: without scikit-learn, where it is needed.
    """
    fitting = _fitting(problem)
    if split not in problem.SPLITS:
        raise ValueError(
            f"{problem.name} has no split {split!r}: {', '.join(problem.SPLITS)}"
        )
    known = read_examples(problem, "train", data_dir=data_dir, limit=LEARNED)
    asked = read_examples(problem, split, data_dir=data_dir)
    for name, values in fitting(known, asked):
        yield Score(name, values)


def _fitting(problem: Any) -> Baselines:
    """By what a problem offers.

    Raises:
      NoBaseline: when nothing fits.
    """
    offered = {} if problem.interactive else problem.offered()
    target = offered.get(problem.TARGET)
    kinds = {f.kind for name, f in offered.items() if name != problem.TARGET}
    simple = kinds <= {"text", "image", "real", "label"}
    if target is not None and simple and kinds and target.kind in ("label", "real"):
        if hasattr(problem, "SEASONS"):
            return lambda known, asked: series.baselines(
                known, asked, seasons=problem.SEASONS
            )
        return learned.classes if target.kind == "label" else learned.numbers
    if target is not None and target.kind == "text" and kinds <= {"text"}:
        if not kinds:
            return language.baselines
        return lambda known, asked: translation.baselines(
            known, asked, metrics=problem.METRICS
        )
    have = ", ".join(f"{name} ({f.kind})" for name, f in offered.items())
    raise NoBaseline(
        f"no simple baseline fits {problem.name}, which offers {have or 'acting'}"
    )


def table(found: list[Score]) -> list[str]:
    """Lines: a name and its metrics in columns."""
    names = list(dict.fromkeys(name for score in found for name in score.values))
    wide = max(len(score.name) for score in found)
    lines = [" " * wide + "".join(f"  {name:>20}" for name in names)]
    for score in found:
        cells = (
            f"{score.values[name]:20.4f}" if name in score.values else " " * 20
            for name in names
        )
        lines.append(f"{score.name:{wide}}" + "".join(f"  {c}" for c in cells))
    return lines
