"""LLVM's training log: written from trajectories, and read again.

What a compiler built for training would have written: the features, the decision as
the last of them, and a score after each. A context is an episode here, such as a
module. `codecs.llvm` has the format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from t2t.bridge.codecs import llvm
from t2t.bridge.codecs.sides import advice_of
from t2t.bridge.episodes import Trajectory
from t2t.bridge.messages import BadMessage, Context, Outcome, Question
from t2t.bridge.specs import Header, TensorSpec

SCORE = TensorSpec("reward", "float")
TURN = 1 << 20


class Recorder:
    """Writes a log to a temporary file, which gets its name when all is well.

        with Recorder(path) as log:
            log.write("module.bc", trajectory, scores)

    Args:
      path: of the log.
      score: its reward's type.
    """

    def __init__(self, path: Path, *, score: TensorSpec = SCORE) -> None:
        self._path, self._score = path, score
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._file: BinaryIO = open(self._temporary, "wb")
        self._header: Header | None = None

    def write(self, context: str, trajectory: Trajectory, scores: np.ndarray) -> None:
        """Appends an episode.

        Args:
          context: its name.
          trajectory: T questions and answers.
          scores: [T], or [T, *shape of the score].

        Raises:
          ValueError: when scores are of another number, or the header is another one.
        """
        header = _logged(trajectory.header, self._score)
        if self._header is None:
            self._side = llvm.CompilerSide(header)
            self._header = header
            self._file.write(llvm.line(_without_advice(header).plain()))
        elif header != self._header:
            raise ValueError(f"{self._path} was begun with other tensors")
        count, shape = len(trajectory), self._score.shape
        values = np.asarray(scores, self._score.dtype)
        if len(values) != count or values.size != count * self._score.size:
            raise ValueError(
                f"scores {list(values.shape)} for {count} decisions: "
                f"expected {[count, *shape]}"
            )
        parts = [self._side.context(context)]
        for row, answer, value in zip(
            trajectory.observations, trajectory.advice, values, strict=True
        ):
            parts.append(self._side.ask(row.tobytes() + answer.tobytes()))
            parts.append(self._side.reward(value.tobytes()))
        self._file.write(b"".join(parts))

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink()


def _logged(header: Header, score: TensorSpec) -> Header:
    """With the decision among the features, as LLVM logs it."""
    advice = advice_of(header)
    return Header((*header.features, advice), advice, score)


def _without_advice(header: Header) -> Header:
    return dataclasses.replace(header, advice=None)


@dataclasses.dataclass
class Logged:
    """An episode of a log."""

    context: str
    header: Header
    records: np.ndarray  # [T], the decision is a field
    scores: np.ndarray  # [T, *shape of the score]


def read(path: Path) -> Iterator[Logged]:
    """The episodes of a log, ours or LLVM's own.

    Raises:
      BadMessage: when it is no log, or ends in the middle.
    """
    side = llvm.PolicySide()
    header: Header | None = None
    context, records, scores = "", [], []

    def logged() -> Logged:
        assert header is not None and header.score is not None
        if len(records) != len(scores):
            raise BadMessage(f"{path}: {len(records)} decisions, {len(scores)} scores")
        values = np.frombuffer(b"".join(scores), header.score.dtype)
        return Logged(
            context,
            header,
            np.frombuffer(b"".join(records), header.record),
            values.reshape(len(scores), *header.score.shape),
        )

    with open(path, "rb") as file:
        while data := file.read(TURN):
            for _, message in side.feed(data):
                if isinstance(message, Header):
                    header = message
                    if header.score is None:
                        raise BadMessage(f"{path} has no scores: it is no log")
                elif isinstance(message, Context):
                    if records:
                        yield logged()
                    context, records, scores = message.name, [], []
                elif isinstance(message, Question):
                    records.append(message.record)
                elif isinstance(message, Outcome):
                    scores.append(message.score)
    if not side.between or header is None:
        raise BadMessage(f"{path} ends in the middle")
    if records:
        yield logged()
