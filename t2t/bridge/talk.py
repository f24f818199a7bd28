"""One compiler's conversation: messages in, answers out, trajectories at the end."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from t2t.bridge.codecs import PolicySide
from t2t.bridge.episodes import Trajectory
from t2t.bridge.messages import BadMessage, Context, Done, Message, Outcome, Question
from t2t.bridge.specs import Header, TensorSpec


@dataclasses.dataclass
class Stream:
    """What was said so far, raw."""

    number: int
    header: Header
    advice_spec: TensorSpec
    records: list[bytes] = dataclasses.field(default_factory=list)
    advice: list[bytes] = dataclasses.field(default_factory=list)
    contexts: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    outcomes: dict[int, bytes] = dataclasses.field(default_factory=dict)
    expected: dict[str, int] = dataclasses.field(default_factory=dict)
    context: str = ""
    done: bool = False

    def waits(self) -> bool:
        """Whether the last question is not answered yet."""
        return len(self.records) > len(self.advice)

    def trajectory(self) -> Trajectory:
        shape = (len(self.advice), *self.advice_spec.shape)
        advice = np.frombuffer(b"".join(self.advice), self.advice_spec.dtype)
        return Trajectory(
            self.header,
            np.frombuffer(b"".join(self.records), self.header.record),
            advice.reshape(shape),
            self.contexts,
            self.outcomes,
        )


class Talk:
    """The policy's side of a connection.

    Args:
      codec: of the connection.
      headers: known headers, so that equal ones become one object.
      most: bytes of questions that are kept.
    """

    def __init__(
        self, codec: PolicySide, headers: dict[Header, Header], *, most: int
    ) -> None:
        self.codec, self._headers, self._room = codec, headers, most
        self._streams: dict[int, Stream] = {}
        self._finished: list[Stream] = []
        self._early: dict[int, str] = {}

    def feed(self, data: bytes) -> list[Stream]:
        """The streams that wait for an answer to the last of their records.

        Raises:
          BadMessage: when the compiler does not keep to the format, asks before it is
            answered, or asks more than is kept.
        """
        asking = []
        for number, message in self.codec.feed(data):
            if type(message) is Question:
                stream = self._streams[number]
                self._ask(stream, message)
                asking.append(stream)
            else:
                self._note(number, message)
        return asking

    def _ask(self, stream: Stream, question: Question) -> None:
        if stream.waits():
            raise BadMessage("a question before the last one was answered")
        if question.number is not None:
            self._count(stream, question.number)
        self._room -= len(question.record)
        if self._room < 0:
            raise BadMessage("more questions than are kept")
        stream.records.append(question.record)

    def _count(self, stream: Stream, number: int) -> None:
        """A number that is not the next one of its context means that some are lost."""
        expected = stream.expected.get(stream.context, 0)
        if number != expected:
            raise BadMessage(
                f"question {number} of context {stream.context!r}: expected {expected}"
            )
        stream.expected[stream.context] = expected + 1

    def _note(self, number: int, message: Message) -> None:
        if isinstance(message, Header):
            header = self._headers.setdefault(message, message)
            if header.advice is None:
                raise BadMessage("a header that does not say what the advice is")
            stream = self._streams[number] = Stream(number, header, header.advice)
            if name := self._early.pop(number, ""):
                stream.context = name
                stream.contexts.append((0, name))
            return
        stream = self._streams.get(number)
        if stream is None:
            if not isinstance(message, Context):
                raise BadMessage(f"{message} before the header")
            # Where a header comes with the first question.
            self._early[number] = message.name
        elif isinstance(message, Context):
            stream.context = message.name
            stream.contexts.append((len(stream.records), message.name))
        elif isinstance(message, Outcome):
            if not stream.records:
                raise BadMessage("a reward before any question")
            stream.outcomes[len(stream.records) - 1] = message.score
        elif isinstance(message, Done):
            stream.done = True
            self._finished.append(self._streams.pop(number))

    def advise(self, stream: Stream, raw: bytes) -> bytes:
        """Notes an answer; the bytes to be sent."""
        stream.advice.append(raw)
        return self.codec.advise(raw, stream.number)

    def trajectories(self, *, says_done: bool) -> list[Trajectory]:
        """All streams, once the compiler has ended.

        Args:
          says_done: whether this codec has a word for the end.

        Raises:
          BadMessage: when something is missing.
        """
        if not self.codec.between:
            raise BadMessage("ended in the middle of a message")
        rest = list(self._streams.values())
        for stream in (*self._finished, *rest):
            if stream.waits():
                raise BadMessage("ended before it was answered")
        if says_done and rest:
            raise BadMessage("ended without a word: it went on without our advice")
        return [stream.trajectory() for stream in (*self._finished, *rest)]


def rows(advice: Any, spec: TensorSpec, count: int) -> list[bytes]:
    """A policy's answers as raw bytes, one for each question.

    Raises:
      ValueError: when they are of another number, shape or kind.
    """
    array, dtype, shape = np.asarray(advice), spec.dtype, (count, *spec.shape)
    fits = array.shape == shape or (spec.size == 1 and array.shape == (count,))
    # Whole numbers for whole numbers; a bool is one.
    if array.dtype != dtype and array.dtype.kind != "b":
        fits = fits and np.can_cast(array.dtype, dtype, "same_kind")
    if not fits:
        raise ValueError(
            f"the policy gave {array.dtype}{list(array.shape)} for {count} questions: "
            f"expected {dtype.name}{list(shape)} for {spec}"
        )
    raw = array.astype(dtype, copy=False).tobytes()
    if count == 1:
        return [raw]
    return [raw[at : at + spec.nbytes] for at in range(0, len(raw), spec.nbytes)]
