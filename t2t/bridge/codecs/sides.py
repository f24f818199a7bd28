"""What the two sides of every codec have in common."""

from __future__ import annotations

from collections.abc import Callable

from t2t.bridge.codecs.reader import Emit, Format, Reader
from t2t.bridge.messages import Message, Reply
from t2t.bridge.specs import BadSpec, Header, TensorSpec


class OnPolicySide:
    """Reads a compiler and writes to it.

    Args:
      messages: the format that compilers write.
    """

    def __init__(self, messages: Callable[[Emit], Format]) -> None:
        self._reader = Reader(messages)
        self.feed: Callable[[bytes], list[tuple[int, Message]]] = self._reader.feed

    @property
    def between(self) -> bool:
        """Whether no message is half read."""
        return self._reader.between

    def refuse(self, reason: str, stream: int = 0) -> bytes:
        """Most wires have no word for it: who asks waits until it is ended."""
        return b""


class OnCompilerSide:
    """Writes what a compiler writes, reads what it is answered.

    Args:
      header: with the advice, or nobody knows how long an answer is.
      replies: the format that policies write.
    """

    def __init__(self, header: Header, replies: Callable[[Emit], Format]) -> None:
        self._advice = advice_of(header)
        self._reader = Reader(replies)
        self.feed: Callable[[bytes], list[Reply]] = self._reader.feed

    # What follows says nothing on wires that have no word for it.

    def header(self) -> bytes:
        return b""

    def context(self, name: str) -> bytes:
        return b""

    def reward(self, score: bytes) -> bytes:
        """Of the last question."""
        return b""

    def done(self) -> bytes:
        return b""


def advice_of(header: Header) -> TensorSpec:
    """What is wanted for an answer.

    Raises:
      BadSpec: when the header does not say it.
    """
    if header.advice is None:
        raise BadSpec("a header that does not say what the advice is")
    return header.advice
