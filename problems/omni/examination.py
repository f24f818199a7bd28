"""An examination: cells of questions that a run answers, each scored and judged.

Words that a model writes are compared as they are; what it says and draws is judged,
see `t2t.problems.omni.judges`, by judges of our own and by others' where they are
installed. Beside each score stands what the same judge makes of the right answers: raw,
after the tokenizer that the model has to speak through, and as people say them.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2t.media.messages import Message, Picture, Sound, Text
from t2t.media.speech import Utterance, synthesise
from t2t.problems.omni import conditions, judges, pictures, tasks
from t2t.problems.omni.ocr import Ocr
from t2t.problems.omni.recordings import Recordings
from t2t.problems.omni.scores import (
    Cell,
    Score,
    Verdict,
    counts,
    disparity,
    interval,
    ratio,
)
from t2t.problems.omni.sentences import english_words
from t2t.problems.omni.sphinx import Sphinx
from t2t.problems.omni.texts import Texts
from t2t.problems.omni.voiceprints import Voiceprints, equal_error_rate
from t2t.problems.problem import TEST, TRAIN, DataUnavailable

log = logging.getLogger(__name__)


class Examination:
    """What makes a problem of conversations an examination, mixed in before it.

    Class attributes:
      CELLS: in order.
      TASKS: by name, as `tasks.TASKS`.
      GROUPS: names of cells that are compared with one another, see `disparity`.
      OUTSIDE: whether others' judges are asked, too, and whose voice is heard.
    """

    CELLS: tuple[Cell, ...] = ()
    TASKS: tasks.Tasks = {}
    GROUPS: tuple[str, ...] = ()
    OUTSIDE = False

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
        own = judges.SpeechJudge(english_words())
        own.load(data_dir)
        speech: list[Any] = [own]
        sight: list[Any] = [judges.Classifier(digits)]
        people = prints = None
        if self.OUTSIDE:
            speech += filter(None, [_optional(Sphinx)])
            sight += filter(None, [_optional(lambda: Ocr(tmp_dir))])
            people = _optional(Recordings)
            prints = _optional(lambda: Voiceprints(tmp_dir))
        judge = Judge(chat, speech, sight, people=people, prints=prints)
        for cell in cells or self.CELLS:
            yield judge(cell, self._turns(cell, digits, tmp_dir))
        if self.GROUPS and not cells:
            yield disparity([judge.items[name] for name in self.GROUPS])
        if judge.heard:
            yield judge.voices()

    def turns(self, *, tmp_dir: Path) -> Iterator[tuple[Cell, tasks.Turn]]:
        """The first question of each cell, and its right answer."""
        digits = pictures.Digits(tmp_dir)
        for cell in self.CELLS:
            yield cell, self._turns(cell, digits, tmp_dir)[0]

    def _turns(
        self, cell: Cell, digits: pictures.Digits, tmp_dir: Path
    ) -> list[tasks.Turn]:
        split = TRAIN if cell.seen else TEST
        world = tasks.World(
            np.random.default_rng([9, *cell.name.encode()]),
            digits,
            split,
            unseen=not cell.seen,
            voices=cell.voices,
            texts=Texts(split, tmp_dir),
        )
        task = self.TASKS[cell.task][0]
        return [task(world) for _ in range(self.questions)]

    def row(self, score: Score) -> str:
        """The lines of the printed matrix: one, and one more for each other judge."""
        s, errors = score, score.cell.score == "errors"
        goal = ""
        if s.cell.goal is not None:
            goal = f"{'≤' if errors else '≥'} {s.cell.goal:.2f}"
        met = {True: "met", False: "missed", None: ""}[s.met]

        def line(by: Score | Verdict, ends: str, begins: str = "") -> str:
            kind, span = "WER" if errors else "", f"[{by.low:.3f}, {by.high:.3f}]"
            return f"{begins:34}  {kind:4}{by.value:.3f} {span}  {ends}".rstrip()

        ceiling = s.verdicts[0].ceiling if s.verdicts else s.note
        lines = [
            line(s, f"{goal:6} {met:6}  {ceiling}", f"{s.cell.name:29} {s.count:4}"),
            *(line(verdict, f"{'':15}{verdict.ceiling}") for verdict in s.verdicts[1:]),
        ]
        return "\n".join(lines)

    def record(self, score: Score) -> dict[str, Any]:
        """The same as JSON values."""
        return {**dataclasses.asdict(score), "met": score.met}


class Judge:
    """Scores the answers of one run.

    Args:
      speech: judges of speech, the first of which gives the score.
      sight: judges of pictures, the same.
      people: says right answers in a human voice.
      prints: knows the assistant's voices.
    """

    def __init__(
        self,
        chat: Any,
        speech: Sequence[Any],
        sight: Sequence[Any],
        *,
        people: Recordings | None = None,
        prints: Voiceprints | None = None,
    ) -> None:
        self.chat, self.speech, self.sight = chat, speech, sight
        self.people, self.prints = people, prints
        # By the name of a cell, what `counts` counts of each answer.
        self.items: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        # Of spoken cells: the voices asked for [N], and how like each voice the answers
        # are, and the right ones raw and coded [3, N, V].
        self.heard: list[tuple[np.ndarray, np.ndarray]] = []

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
            self.items[cell.name] = counts(cell.score, pairs)
            return Score(cell, len(wanted), *interval(*self.items[cell.name]))
        judge = self._by_ear if judged == "audio" else self._by_eye
        raw = self._rendered(wanted)
        coded = self.chat.problem.code([[m] for m in wanted])
        again = [[self.chat.decoded(p) for p in m[0].parts] for m in coded]
        verdicts = judge(cell, wanted, answers, raw, again)
        return Score.of(cell, *verdicts, count=len(wanted))

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
            [next(sounds) if isinstance(p, Utterance) else p for p in m.parts]
            for m in wanted
        ]

    def _by_ear(
        self, cell: Cell, wanted: Sequence[Message], *said: Sequence[Sequence[Any]]
    ) -> list[Verdict]:
        """Of each judge of speech; said: the answers, the right ones raw and coded."""
        right = [_text(m.parts) for m in wanted]
        sounds = [[_sound(parts) for parts in answers] for answers in said]
        if self.prints is not None:
            alike = [self.prints(some) for some in sounds]
            asked = [self.prints.voices.index(m.voice) for m in wanted]
            self.heard.append((np.array(asked), np.stack(alike)))
        human = self._said_by_people(right)
        verdicts = []
        for judge in self.speech:
            read = (judge(some, cell.task) for some in sounds)
            verdict = self._verdict(cell, judge.label, right, *read)
            if human:
                found = judge(list(human.values()), cell.task)
                value = ratio(*counts(cell.score, list(zip(human, found, strict=True))))
                verdict = dataclasses.replace(verdict, human=value, of=len(human))
            verdicts.append(verdict)
        return verdicts

    def _said_by_people(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """The different texts of which there are recordings, and these."""
        if self.people is None:
            return {}
        said = {text: self.people.say(text) for text in texts}
        return {text: sound for text, sound in said.items() if sound is not None}

    def _by_eye(
        self, cell: Cell, wanted: Sequence[Message], *drawn: Sequence[Sequence[Any]]
    ) -> list[Verdict]:
        """Of each judge of pictures."""
        right = [_picture(m.parts).shows for m in wanted]
        verdicts = []
        for judge in self.sight:
            read = (
                [judges.things(_picture(parts).pixels, judge) for parts in answers]
                for answers in drawn
            )
            verdicts.append(self._verdict(cell, judge.label, right, *read))
        return verdicts

    def _verdict(
        self, cell: Cell, judge: str, right: Sequence[str], *read: Sequence[str]
    ) -> Verdict:
        """Of what was read in the answers, the right ones raw and coded."""
        given, raw, coded = (
            counts(cell.score, list(zip(right, some, strict=True))) for some in read
        )
        self.items.setdefault(cell.name, given)
        return Verdict(judge, *interval(*given), raw=ratio(*raw), coded=ratio(*coded))

    def voices(self) -> Score:
        """How many spoken answers are most like the voice that was asked for."""
        assert self.prints is not None
        asked = np.concatenate([asked for asked, _ in self.heard])
        alike = np.concatenate([alike for _, alike in self.heard], axis=1)
        # What is silent is like none.
        right = (alike.argmax(axis=-1) == asked) & alike.any(axis=-1)
        (given, raw, coded), ones = right.astype(np.float64), np.ones(len(asked))
        errors = [equal_error_rate(some, asked) for some in alike[1:]]
        verdict = Verdict(
            self.prints.label,
            *interval(given, ones),
            raw=ratio(raw, ones),
            coded=ratio(coded, ones),
            note="equal error rate {:.3f} raw, {:.3f} coded".format(*errors),
        )
        cell = Cell("→ speech: voice asked for", "", "exact")
        return Score.of(cell, verdict, count=len(asked))


def _text(parts: Sequence[Any]) -> str:
    return " ".join(p.text for p in parts if isinstance(p, Text)).strip()


def _sound(parts: Sequence[Any]) -> np.ndarray:
    silent = np.zeros(0, np.float32)
    return next((p.samples for p in parts if isinstance(p, Sound)), silent)


def _picture(parts: Sequence[Any]) -> Picture:
    black = Picture(np.zeros((pictures.SIDE, pictures.SIDE, 3), np.uint8))
    return next((p for p in parts if isinstance(p, Picture)), black)


def _optional(make: Callable[[], Any]) -> Any:
    """What is made; None, with a warning, where it cannot be had."""
    try:
        return make()
    except DataUnavailable as error:
        log.warning("left out: %s", error)
        return None
