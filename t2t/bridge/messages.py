"""What compilers and policies say to each other, whatever the wire.

compiler   Header, then any number of Context, Question, Outcome; Done where the wire
           has a word for it
policy     Advice to each Question, or Refusal: decide yourself from now on
"""

from __future__ import annotations

from typing import NamedTuple

from t2t.bridge.specs import Header


class BadMessage(ValueError):
    """Bytes that are not what the wire's format allows; the other side must go."""


class Context(NamedTuple):
    """What the next questions are about, such as a function."""

    name: str


class Question(NamedTuple):
    """Tensors in the header's order, packed."""

    record: bytes
    number: int | None = None  # from 0 in its context, where the wire says it


class Outcome(NamedTuple):
    """The reward of the last question, in the header's `score`."""

    score: bytes


class Done(NamedTuple):
    """The compiler asks no more."""


class Advice(NamedTuple):
    """The answer, in the header's `advice`."""

    raw: bytes


class Refusal(NamedTuple):
    """No answers any more, and why."""

    reason: str


Message = Header | Context | Question | Outcome | Done
Reply = Advice | Refusal
