"""How messages are written down: five formats, read piece by piece, never waiting.

Each module has a `PolicySide`, which reads a compiler and writes to it, and a
`CompilerSide`, the other way round.

llvm       LLVM's interactive channel and training log
bitstream  ML-Compiler-Bridge's binary format
json       ML-Compiler-Bridge's JSON
protobuf   one tensor message, by hand
frames     our own; the only one with streams, an end and refusals
"""

from __future__ import annotations

from typing import Any, Protocol

from t2t.bridge.codecs import bitstream, frames, jsons, llvm, protobuf
from t2t.bridge.messages import Message, Reply
from t2t.bridge.specs import Header, TensorSpec
from t2t.names import close_to

_MODULES = {
    "llvm": llvm,
    "bitstream": bitstream,
    "json": jsons,
    "protobuf": protobuf,
    "frames": frames,
}
CODECS = tuple(_MODULES)


class PolicySide(Protocol):
    """One connection, seen from the policy."""

    @property
    def between(self) -> bool:
        """Whether no message is half read."""
        ...

    def feed(self, data: bytes) -> list[tuple[int, Message]]:
        """(stream, message) for each that these bytes complete.

        Raises:
          BadMessage: when they belong to none.
        """
        ...

    def advise(self, raw: bytes, stream: int = 0) -> bytes:
        """The bytes of an answer."""
        ...

    def refuse(self, reason: str, stream: int = 0) -> bytes:
        """The bytes that send a compiler its own way; b'' where there are none."""
        ...


class CompilerSide(Protocol):
    """One connection, seen from the compiler; all but `feed` give bytes to send."""

    def header(self) -> bytes: ...

    def context(self, name: str) -> bytes: ...

    def ask(self, record: bytes) -> bytes: ...

    def reward(self, score: bytes) -> bytes: ...

    def done(self) -> bytes: ...

    def feed(self, data: bytes) -> list[Reply]: ...


def policy_side(codec: str, *, advice: TensorSpec | None = None) -> PolicySide:
    """Reads and answers a compiler that speaks this codec.

    Args:
      codec: one of `CODECS`.
      advice: what it wants, where the wire does not say so.

    Raises:
      ValueError: when there is no such codec.
    """
    return _module(codec).PolicySide(advice)


def compiler_side(codec: str, header: Header) -> CompilerSide:
    """The other side, for compilers that are written in Python.

    Raises:
      ValueError: when there is no such codec, or the header has no advice.
    """
    return _module(codec).CompilerSide(header)


def _module(codec: str) -> Any:
    if codec not in _MODULES:
        raise ValueError(
            f"there is no codec {codec!r}.{close_to(codec, CODECS)} "
            f"Codecs: {', '.join(CODECS)}"
        )
    return _MODULES[codec]
