"""ML-Compiler-Bridge's bitstream (Venkatakeerthy et al., CC 2024, arXiv 2311.10800).

    u64 length, then that many bytes:  {"features":[…]}\\n  raw tensors  \\n
    reply: u64 length, raw advice

The header comes with every question and says nothing of the advice, so that is given
by whoever knows the compiler; the published Python side sends 32-bit integers.
"""

from __future__ import annotations

import json
import struct

from t2t.bridge.codecs.llvm import header_of
from t2t.bridge.codecs.reader import Emit, Format
from t2t.bridge.codecs.sides import OnCompilerSide, OnPolicySide
from t2t.bridge.messages import Advice, BadMessage, Question
from t2t.bridge.specs import Header, TensorSpec

LENGTH = struct.Struct("<Q")
ADVICE = TensorSpec("advice", "int32_t")


class PolicySide(OnPolicySide):
    """Has one stream, 0.

    Args:
      advice: what the compiler wants.
    """

    def __init__(self, advice: TensorSpec | None = None) -> None:
        self._advice = advice or ADVICE
        super().__init__(self._messages)

    def advise(self, raw: bytes, stream: int = 0) -> bytes:
        return LENGTH.pack(len(raw)) + raw

    def _messages(self, emit: Emit) -> Format:
        known, size = b"", 0
        while True:
            (length,) = LENGTH.unpack((yield LENGTH.size))
            body = yield length
            line, _, rest = body.partition(b"\n")
            if not known:
                found = header_of(line)
                header = Header(found.features, self._advice)
                known, size = line, header.record.itemsize
                emit((0, header))
            elif line != known:
                raise BadMessage("a second header: the tensors must not change")
            if len(rest) != size + 1 or rest[-1:] != b"\n":
                raise BadMessage(f"{len(rest)} bytes of tensors: expected {size + 1}")
            emit((0, Question(rest[:-1])))


class CompilerSide(OnCompilerSide):
    """Sends its header with every question."""

    def __init__(self, header: Header) -> None:
        super().__init__(header, self._replies)
        plain = {"features": [spec.plain() for spec in header.features]}
        self._line = (
            json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()
            + b"\n"
        )

    def ask(self, record: bytes) -> bytes:
        body = self._line + record + b"\n"
        return LENGTH.pack(len(body)) + body

    def _replies(self, emit: Emit) -> Format:
        size = self._advice.nbytes
        while True:
            (length,) = LENGTH.unpack((yield LENGTH.size))
            if length != size:
                raise BadMessage(f"an answer of {length} bytes: expected {size}")
            emit(Advice((yield length)))
