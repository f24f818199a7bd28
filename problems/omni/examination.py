"""An examination: cells of questions that a run answers, each scored and judged.

Words that a model writes are compared as they are; what it says and draws is judged,
see `t2t.problems.omni.judges`, and beside each score stands what the same judge makes
of the right answers: raw, and after the tokenizer that the model has to speak through.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2t import metrics
from t2t.media.messages import Message, Picture, Sound, Text
from t2t.media.speech import Utterance, synthesise
from t2t.problems.omni import conditions, judges, pictures, tasks
from t2t.problems.omni.sentences import REFUSALS, english_words
from t2t.problems.problem import TEST

DRAWS = 2000  # of the bootstrap


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: its task, the voices of users, and how an answer is scored.

    score: 'exact' words, 'errors' of words, 'things' drawn, 'moves' among the words,
      or whether the answer 'refuses'.
    goal: of the score; None where it is only reported.
    condition: of what the user says, see `conditions`.
    """

    name: str
    task: str
    score: str
    goal: float | None = None
    voices: str = "voice"
    condition: str = ""


@dataclasses.dataclass(frozen=True)
class Score:
    """A cell as measured; `low` and `high` bound its 95 % interval.

    judge, raw, coded: who scored, and what it makes of right answers, as they are and
      after the tokenizer. note: what else there is to say.
    """

    cell: Cell
    count: int
    value: float
    low: float
    high: float
    note: str = ""
    judge: str = ""
    raw: float | None = None
    coded: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.cell.goal is None:
            return None
        less = self.cell.score == "errors"
        return self.value <= self.cell.goal if less else self.value >= self.cell.goal


class Examination:
    """What makes a problem of conversations an examination, mixed in before it.

    Class attributes:
      CELLS: in order.
      TASKS: by name, as `tasks.TASKS`.
      GROUPS: names of cells that are compared with one another, see `disparity`.
    """

    CELLS: tuple[Cell, ...] = ()
    TASKS: tasks.Tasks = {}
    GROUPS: tuple[str, ...] = ()

    def __init__(self, *, questions: int = 200, **others: Any) -> None:
        super().__init__(**others)
        if questions < 1:
            raise ValueError(f"questions={questions}: ask at least one of each cell")
        self.questions = questions

    def examine(
        self, chat: Any, *, data_dir: Path, tmp_dir: Path, cells: Sequence[Cell] = ()
    ) -> Iterator[Score]:
        """A run's scores, cell by cell.

        Args:
          chat: answers, see `t2t.decode.chat`.
          data_dir: holds speech_recogniser.npz, the judge of speech.
          cells: all by default.
        """
        digits = pictures.Digits(tmp_dir)
        speech = judges.SpeechJudge(english_words())
        speech.load(data_dir)
        judge = Judge(chat, speech, judges.PictureJudge(digits))
        for cell in cells or self.CELLS:
            yield judge(cell, self._turns(cell, digits))
        if self.GROUPS and not cells:
            yield disparity([judge.items[name] for name in self.GROUPS])

    def turns(self, *, tmp_dir: Path) -> Iterator[tuple[Cell, tasks.Turn]]:
        """The first question of each cell, and its right answer."""
        digits = pictures.Digits(tmp_dir)
        for cell in self.CELLS:
            yield cell, self._turns(cell, digits)[0]

    def _turns(self, cell: Cell, digits: pictures.Digits) -> list[tasks.Turn]:
        rng = np.random.default_rng([9, *cell.name.encode()])
        world = tasks.World(rng, digits, TEST, unseen=True, voices=cell.voices)
        task = self.TASKS[cell.task][0]
        return [task(world) for _ in range(self.questions)]

    def row(self, score: Score) -> str:
        """A line of the printed matrix."""
        s, errors = score, score.cell.score == "errors"
        kind = "WER" if errors else ""
        goal = ""
        if s.cell.goal is not None:
            goal = f"{'≤' if errors else '≥'} {s.cell.goal:.2f}"
        met = {True: "met", False: "missed", None: ""}[s.met]
        ceiling = s.note
        if s.raw is not None:
            ceiling = f"{s.judge}: {s.raw:.3f} raw, {s.coded:.3f} coded"
        return (
            f"{s.cell.name:29} {s.count:4}  {kind:4}{s.value:.3f} "
            f"[{s.low:.3f}, {s.high:.3f}]  {goal:6} {met:6}  {ceiling}"
        ).rstrip()

    def record(self, score: Score) -> dict[str, Any]:
        """The same as JSON values."""
        return {**dataclasses.asdict(score), "met": score.met}


class Judge:
    """Scores the answers of one run."""

    def __init__(
        self, chat: Any, speech: judges.SpeechJudge, sight: judges.PictureJudge
    ) -> None:
        self.chat, self.speech, self.sight = chat, speech, sight
        # By the name of a cell, what `_parts` counts of each answer.
        self.items: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, cell: Cell, turns: Sequence[tasks.Turn]) -> Score:
        """A cell's score over its turns: questions, each with the right answer."""
        wanted = [turn[-1] for turn in turns]
        asked = self.chat.problem.code(self._asked(cell, turns))
        open_answers = [dataclasses.replace(m, parts=()) for m in wanted]
        given = self.chat.answers(asked, open_answers)
        answers = [[self.chat.decoded(p) for p in parts] for parts in given]
        refused = cell.score == "refuses"  # is in the words
        judged = "text" if refused else wanted[0].modalities[-1]
        if judged == "text":
            pairs = [
                (_text(w.parts), _text(a)) for w, a in zip(wanted, answers, strict=True)
            ]
            return self._score(cell, pairs)
        raw = self._rendered(wanted)
        coded = self.chat.problem.code([[m] for m in wanted])
        again = [[self.chat.decoded(p) for p in m[0].parts] for m in coded]
        read = self._heard if judged == "audio" else self._seen
        right = (
            [_text(m.parts) for m in wanted] if judged == "audio" else self._seen(raw)
        )
        score = self._score(cell, list(zip(right, read(answers), strict=True)))
        # Drawings are compared with what the judge sees in the right ones.
        names = {"audio": "own recogniser", "image": "own classifier"}
        return dataclasses.replace(
            score,
            judge=names[judged],
            raw=self._value(cell, list(zip(right, read(raw), strict=True))),
            coded=self._value(cell, list(zip(right, read(again), strict=True))),
        )

    def _asked(self, cell: Cell, turns: Sequence[tasks.Turn]) -> list[list[Message]]:
        """The questions, as they are heard in the cell's condition."""
        asked = [turn[:-1] for turn in turns]
        if not cell.condition:
            return asked
        rng = np.random.default_rng([10, *cell.name.encode()])

        def heard(part: Any) -> Any:
            if not isinstance(part, Sound):
                return part
            return Sound(conditions.degrade(part.samples, cell.condition, rng))

        parts = iter(self._rendered([m for messages in asked for m in messages]))
        return [
            [
                dataclasses.replace(m, parts=tuple(map(heard, next(parts))))
                for m in messages
            ]
            for messages in asked
        ]

    def _rendered(self, wanted: Sequence[Message]) -> list[list[Any]]:
        """The parts of messages, speech synthesised."""
        spoken = [p for m in wanted for p in m.parts if isinstance(p, Utterance)]
        sounds = iter(synthesise(spoken))
        return [
            [Sound(next(sounds)) if isinstance(p, Utterance) else p for p in m.parts]
            for m in wanted
        ]

    def _heard(self, answers: Sequence[Sequence[Any]]) -> list[str]:
        silent = np.zeros(0, np.float32)
        sounds = [
            next((p.samples for p in parts if isinstance(p, Sound)), silent)
            for parts in answers
        ]
        return self.speech(sounds)

    def _seen(self, answers: Sequence[Sequence[Any]]) -> list[str]:
        black = np.zeros((pictures.SIDE, pictures.SIDE, 3), np.uint8)
        seen = [
            next((p.pixels for p in parts if isinstance(p, Picture)), black)
            for parts in answers
        ]
        return [" and ".join(self.sight.things(pixels)) for pixels in seen]

    def _score(self, cell: Cell, pairs: Sequence[tuple[str, str]]) -> Score:
        rng = np.random.default_rng(0)
        draws = rng.integers(len(pairs), size=(DRAWS, len(pairs)))
        tops, bottoms = _parts(cell.score, pairs)
        values = tops[draws].sum(axis=1) / np.maximum(bottoms[draws].sum(axis=1), 1)
        low, high = np.quantile(values, [0.025, 0.975])
        self.items[cell.name] = tops, bottoms
        value = self._value(cell, pairs)
        return Score(cell, len(pairs), value, float(low), float(high))

    @staticmethod
    def _value(cell: Cell, pairs: Sequence[tuple[str, str]]) -> float:
        tops, bottoms = _parts(cell.score, pairs)
        return float(tops.sum() / max(bottoms.sum(), 1))


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


def _text(parts: Sequence[Any]) -> str:
    return " ".join(p.text for p in parts if isinstance(p, Text)).strip()


def _parts(
    score: str, pairs: Sequence[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """What a score is the ratio of: (numerators, denominators) of each pair."""
    counted: Callable[[str, str], tuple[int, int]] = {
        "exact": lambda wanted, given: (int(wanted == given), 1),
        "errors": lambda w, g: (metrics.word_errors(w, g), len(w.split())),
        "things": _things,
        "moves": _moves,
        "refuses": lambda wanted, given: (int(refuses(given)), 1),
    }[score]
    both = np.array([counted(*pair) for pair in pairs], np.float64)
    return both[:, 0], both[:, 1]


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
