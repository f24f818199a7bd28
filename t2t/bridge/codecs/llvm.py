"""LLVM's interactive channel, and the training log, which is the same with scores.

    {"features":[…],"advice":{…}}\\n       the header; a log has "score" as well
    {"context":"name"}\\n                  where there are several
    {"observation":0}\\n raw tensors \\n    a question; its answer is the raw advice
    {"outcome":0}\\n raw score \\n          only in a log

Little-endian as LLVM writes it on every machine that it runs us on. Answers have no
length and no end: one byte too many shifts all that follow, so sizes are the header's.
https://llvm.org/doxygen/TrainingLogger_8h_source.html
"""

from __future__ import annotations

import json

from t2t.bridge.codecs.reader import LINE, Emit, Format, object_of
from t2t.bridge.codecs.sides import OnCompilerSide, OnPolicySide
from t2t.bridge.messages import Advice, BadMessage, Context, Outcome, Question
from t2t.bridge.specs import BadSpec, Header, TensorSpec

_OBSERVATION = b'{"observation":'
_OUTCOME = b'{"outcome":'


class PolicySide(OnPolicySide):
    """Has one stream, 0."""

    def __init__(self, advice: TensorSpec | None = None) -> None:
        super().__init__(_messages)

    def advise(self, raw: bytes, stream: int = 0) -> bytes:
        return raw


def _messages(emit: Emit) -> Format:
    header = header_of((yield LINE))
    emit((0, header))
    question, number = header.record.itemsize + 1, -1
    while True:
        line = yield LINE
        if line.startswith(_OBSERVATION):
            raw = yield question
            number = _number(line, _OBSERVATION)
            emit((0, Question(_ended(raw), number)))
        elif line.startswith(_OUTCOME) and header.score:
            raw = yield header.score.nbytes + 1
            if _number(line, _OUTCOME) != number:
                raise BadMessage(f"the outcome of another question: {line[:80]!r}")
            emit((0, Outcome(_ended(raw))))
        else:
            emit((0, Context(_context(line))))


def header_of(line: bytes) -> Header:
    """The header in a line.

    Raises:
      BadMessage: when there is none.
    """
    try:
        return Header.from_plain(object_of(line))
    except BadSpec as error:
        raise BadMessage(str(error)) from None


def _number(line: bytes, start: bytes) -> int:
    digits = line[len(start) : -2]
    if line[-2:] != b"}\n" or not digits.isdigit() or len(digits) > 18:
        raise BadMessage(f"not an observation's number: {line[:80]!r}")
    return int(digits)


def _ended(raw: bytes) -> bytes:
    if raw[-1:] != b"\n":
        raise BadMessage(f"tensors end with {raw[-1:]!r} in place of a new line")
    return raw[:-1]


def _context(line: bytes) -> str:
    found = object_of(line)
    if "features" in found:
        raise BadMessage("a second header: one compiler at a time uses a channel")
    if not isinstance(found.get("context"), str):
        raise BadMessage(f"neither an observation nor a context: {line[:80]!r}")
    return found["context"]


class CompilerSide(OnCompilerSide):
    """Numbers its questions in each context."""

    def __init__(self, header: Header) -> None:
        super().__init__(header, self._replies)
        self._header = header
        self._context, self._numbers = "", {"": -1}

    def header(self) -> bytes:
        return line(self._header.plain())

    def context(self, name: str) -> bytes:
        self._context = name
        self._numbers.setdefault(name, -1)
        return line({"context": name})

    def ask(self, record: bytes) -> bytes:
        self._numbers[self._context] += 1
        return b'{"observation":%d}\n%b\n' % (self._numbers[self._context], record)

    def reward(self, score: bytes) -> bytes:
        """Of the last question, in a log; the channel has no word for it."""
        if self._header.score is None:
            return b""
        return b'{"outcome":%d}\n%b\n' % (self._numbers[self._context], score)

    def _replies(self, emit: Emit) -> Format:
        while True:
            emit(Advice((yield self._advice.nbytes)))


def line(value: object) -> bytes:
    """A JSON object as LLVM writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
