"""Our own frames: what t2t_bridge.h speaks. Little-endian, 8 bytes before each.

    u32 bytes that follow, u8 kind, u8 0, u16 stream

kind  from a compiler             kind  to a compiler
 1    header, JSON                 16   advice, raw
 2    context, UTF-8               17   refusal, UTF-8: decide yourself from now on
 3    question, raw tensors
 4    reward, one double
 5    done

A header opens a stream, once; done closes it, so an end without done is an accident.
Many compilers or agents may share a connection, each with a stream of its own.
"""

from __future__ import annotations

import json
import struct

from t2t.bridge.codecs.llvm import header_of
from t2t.bridge.codecs.reader import MOST, Emit, Format
from t2t.bridge.codecs.sides import OnCompilerSide, OnPolicySide
from t2t.bridge.messages import (
    Advice,
    BadMessage,
    Context,
    Done,
    Message,
    Outcome,
    Question,
    Refusal,
)
from t2t.bridge.specs import Header, TensorSpec

PREFIX = struct.Struct("<IBBH")
HEADER, CONTEXT, QUESTION, REWARD, DONE = range(1, 6)
ADVICE, REFUSAL = 16, 17
SCORE = TensorSpec("reward", "double")
MOST_STREAMS = 1 << 16


class PolicySide(OnPolicySide):
    """Has as many streams as compilers open."""

    def __init__(self, advice: TensorSpec | None = None) -> None:
        self._sizes: dict[int, int] = {}  # stream -> bytes of a question
        super().__init__(self._messages)

    def advise(self, raw: bytes, stream: int = 0) -> bytes:
        return PREFIX.pack(len(raw), ADVICE, 0, stream) + raw

    def refuse(self, reason: str, stream: int = 0) -> bytes:
        raw = reason.encode()[:4096]
        return PREFIX.pack(len(raw), REFUSAL, 0, stream) + raw

    def _messages(self, emit: Emit) -> Format:
        sizes = self._sizes
        while True:
            length, kind, zero, stream = PREFIX.unpack((yield 8))
            if zero:
                raise BadMessage(f"not a frame: {zero} in place of 0")
            if kind == QUESTION:
                # The size is known: nothing else is waited for.
                if length != sizes.get(stream):
                    raise BadMessage(self._wrong(length, stream))
                raw = yield length
                emit((stream, Question(raw)))
                continue
            raw = (yield min(length, MOST + 1)) if length else b""
            emit((stream, self._other(kind, stream, raw)))

    def _wrong(self, length: int, stream: int) -> str:
        wanted = self._sizes.get(stream)
        if wanted is None:
            return f"stream {stream} asks before its header"
        return f"a question of {length} bytes: expected {wanted}"

    def _other(self, kind: int, stream: int, raw: bytes) -> Message:
        """Anything but a question."""
        if kind == HEADER:
            if stream in self._sizes:
                raise BadMessage(f"a second header on stream {stream}")
            header = header_of(raw)
            if header.advice is None:
                raise BadMessage("a header that does not say what the advice is")
            self._sizes[stream] = header.record.itemsize
            return header
        if stream not in self._sizes:
            raise BadMessage(f"stream {stream} begins without its header")
        if kind == CONTEXT:
            return Context(raw.decode(errors="replace"))
        if kind == REWARD and len(raw) == SCORE.nbytes:
            return Outcome(raw)
        if kind == DONE and not raw:
            del self._sizes[stream]
            return Done()
        raise BadMessage(f"a frame of kind {kind} and {len(raw)} bytes")


class CompilerSide(OnCompilerSide):
    """Is one stream of a connection.

    Args:
      header: of one stream.
      stream: its number on the connection.
    """

    def __init__(self, header: Header, *, stream: int = 0) -> None:
        super().__init__(header, self._replies)
        self._header, self._stream = header, stream
        self._question = PREFIX.pack(header.record.itemsize, QUESTION, 0, stream)

    def header(self) -> bytes:
        plain = json.dumps(
            self._header.plain(), separators=(",", ":"), ensure_ascii=False
        )
        return self._frame(HEADER, plain.encode())

    def context(self, name: str) -> bytes:
        return self._frame(CONTEXT, name.encode())

    def ask(self, record: bytes) -> bytes:
        return self._question + record

    def reward(self, score: bytes) -> bytes:
        """Of the last question."""
        return self._frame(REWARD, score)

    def done(self) -> bytes:
        return self._frame(DONE, b"")

    def _frame(self, kind: int, raw: bytes) -> bytes:
        return PREFIX.pack(len(raw), kind, 0, self._stream) + raw

    def _replies(self, emit: Emit) -> Format:
        while True:
            length, kind, zero, stream = PREFIX.unpack((yield 8))
            if zero or stream != self._stream or kind not in (ADVICE, REFUSAL):
                raise BadMessage(f"a frame of kind {kind} on stream {stream}")
            if kind == ADVICE and length != self._advice.nbytes:
                raise BadMessage(f"an answer of {length} bytes: not {self._advice}")
            raw = (yield min(length, MOST + 1)) if length else b""
            if kind == ADVICE:
                emit(Advice(raw))
            else:
                emit(Refusal(raw.decode(errors="replace")))
