"""Cells of an examination, and what their scores are made of."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from t2t import metrics
from t2t.problems.omni import tasks
from t2t.problems.omni.sentences import REFUSALS

DRAWS = 2000  # of the bootstrap
VERBATIM = 5  # words that are no accident
Pairs = Sequence[tuple[str, str]]  # (what is right, what was given)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: its task, the voices of users, and how an answer is scored.

    score: 'exact' words, 'errors' of words, 'things' drawn, 'moves' among the words,
      or whether the answer 'refuses', or is 'verbatim' the right one from its start.
    seen: whether it asks for what training has, and not for what it never had.
    goal: of the score; None where it is only reported.
    condition: of what the user says, see `conditions`.
    """

    name: str
    task: str
    score: str
    goal: float | None = None
    voices: str = "voice"
    condition: str = ""
    seen: bool = False


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one judge makes of a cell's answers; `low` and `high` as of a `Score`.

    raw, coded: what it makes of the right answers, as they are and after the tokenizer.
    human, of: the same of those that people say, and how many these are.
    """

    judge: str
    value: float
    low: float
    high: float
    raw: float
    coded: float
    human: float | None = None
    of: int = 0
    note: str = ""

    @property
    def ceiling(self) -> str:
        """In words: what a score is to be compared with."""
        parts = [f"{self.raw:.3f} raw", f"{self.coded:.3f} coded"]
        if self.human is not None:
            parts.append(f"{self.human:.3f} human ({self.of})")
        return f"{self.judge}: {', '.join([*parts, *filter(None, [self.note])])}"


@dataclasses.dataclass(frozen=True)
class Score:
    """A cell as measured; `low` and `high` bound its 95 % interval.

    verdicts: of its judges, where words alone do not tell; the first is the score.
    note: what else there is to say.
    """

    cell: Cell
    count: int
    value: float
    low: float
    high: float
    note: str = ""
    verdicts: tuple[Verdict, ...] = ()

    @classmethod
    def of(cls, cell: Cell, *verdicts: Verdict, count: int) -> Score:
        """What judges say of so many answers."""
        one = verdicts[0]
        return cls(cell, count, one.value, one.low, one.high, verdicts=verdicts)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.cell.goal is None:
            return None
        less = self.cell.score == "errors"
        return self.value <= self.cell.goal if less else self.value >= self.cell.goal


def ratio(tops: np.ndarray, bottoms: np.ndarray) -> float:
    return float(tops.sum() / max(bottoms.sum(), 1))


def interval(tops: np.ndarray, bottoms: np.ndarray) -> tuple[float, float, float]:
    """A ratio of sums, and where 95 % of it lie when the answers are drawn again."""
    draws = np.random.default_rng(0).integers(len(tops), size=(DRAWS, len(tops)))
    values = tops[draws].sum(axis=1) / np.maximum(bottoms[draws].sum(axis=1), 1)
    low, high = np.quantile(values, [0.025, 0.975])
    return ratio(tops, bottoms), float(low), float(high)


def counts(score: str, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """What a score is the ratio of: (numerators, denominators) of each pair."""
    counted: Callable[[str, str], tuple[int, int]] = {
        "exact": lambda wanted, given: (int(wanted == given), 1),
        "errors": lambda w, g: (metrics.word_errors(w, g), len(w.split())),
        "things": _things,
        "moves": _moves,
        "refuses": lambda wanted, given: (int(refuses(given)), 1),
        "verbatim": lambda wanted, given: (int(_opening(wanted) == _opening(given)), 1),
    }[score]
    both = np.array([counted(*pair) for pair in pairs], np.float64)
    return both[:, 0], both[:, 1]


def _opening(text: str) -> list[str]:
    return text.split()[:VERBATIM]


def _things(wanted: str, given: str) -> tuple[int, int]:
    """(things that are right in their places, things there should be or are)."""
    right, found = wanted.split(" and "), given.split(" and ")
    pairs = itertools.zip_longest(right, found)
    return sum(a == b for a, b in pairs), max(len(right), len(found))


def _moves(wanted: str, given: str) -> tuple[int, int]:
    """(directions that are right, directions)."""
    ways = {way for axis in tasks.MOVES for way in axis}
    right = [w for w in wanted.split() if w in ways]
    found = [w for w in given.split() if w in ways]
    return sum(a == b for a, b in zip(right, found, strict=False)), len(right)


def disparity(groups: Sequence[tuple[np.ndarray, np.ndarray]]) -> Score:
    """How much more errors the worst of some groups has than all together.

    Args:
      groups: (errors, words) of each answer, group by group.

    Returns:
      A score whose interval is that of groups which do not differ: 95 % of gaps with
      the answers dealt out at random; its note holds the permutation test's p.
    """
    tops, bottoms = (np.concatenate(part) for part in zip(*groups, strict=True))
    ends = np.cumsum([len(top) for top, _ in groups])[:-1]

    def gap(order: np.ndarray) -> float:
        rates = [
            top.sum() / max(bottom.sum(), 1)
            for top, bottom in zip(
                np.split(tops[order], ends), np.split(bottoms[order], ends), strict=True
            )
        ]
        return float(max(rates) - tops.sum() / max(bottoms.sum(), 1))

    rng, found = np.random.default_rng(0), gap(np.arange(len(tops)))
    chance = np.array([gap(rng.permutation(len(tops))) for _ in range(DRAWS)])
    p = (1 + int((chance >= found).sum())) / (1 + DRAWS)
    low, high = np.quantile(chance, [0.025, 0.975])
    cell = Cell("worst accent - all", "", "errors", goal=0.05)
    note = f"by chance it lies in the interval; p = {p:.3f}"
    return Score(cell, len(tops), found, float(low), float(high), note=note)


def refuses(answer: str) -> bool:
    """Whether an answer is one of the refusals that are taught."""
    return any(answer.startswith(refusal) for refusal in REFUSALS)
