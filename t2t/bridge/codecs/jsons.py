"""ML-Compiler-Bridge's JSON (Venkatakeerthy et al., CC 2024, arXiv 2311.10800).

    u64 length, then an object: {"name":number or [numbers],…}
    reply: u64 length, then {"out":number or [numbers]}

JSON has no types: without a header of the host's own, numbers are doubles, for 1.0 and
1 may be written alike. Integers beyond 2^53 want such a header.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from t2t.bridge.codecs.bitstream import ADVICE, LENGTH
from t2t.bridge.codecs.reader import Emit, Format, object_of
from t2t.bridge.codecs.sides import OnCompilerSide, OnPolicySide
from t2t.bridge.messages import Advice, BadMessage, Question
from t2t.bridge.specs import BadSpec, Header, TensorSpec


class PolicySide(OnPolicySide):
    """Has one stream, 0.

    Args:
      advice: what the compiler wants.
      header: names, types and shapes, where they are known.
    """

    def __init__(
        self, advice: TensorSpec | None = None, *, header: Header | None = None
    ) -> None:
        self._advice = advice or (header and header.advice) or ADVICE
        self._given = header
        super().__init__(self._messages)

    def advise(self, raw: bytes, stream: int = 0) -> bytes:
        return _framed({"out": _plain(raw, self._advice)})

    def _messages(self, emit: Emit) -> Format:
        header, begun = self._given, False
        while True:
            (length,) = LENGTH.unpack((yield LENGTH.size))
            values = object_of((yield length))
            header = header or _guessed(values, self._advice)
            if not begun:
                emit((0, header))
                begun = True
            emit((0, Question(_record(values, header))))


def _guessed(values: dict[str, Any], advice: TensorSpec) -> Header:
    shapes = {n: (len(v),) if isinstance(v, list) else (1,) for n, v in values.items()}
    try:
        features = tuple(TensorSpec(n, "double", s) for n, s in shapes.items())
        return Header(features, advice)
    except BadSpec as error:
        raise BadMessage(str(error)) from None


def _record(values: dict[str, Any], header: Header) -> bytes:
    if values.keys() != set(header.names):
        raise BadMessage(f"tensors {sorted(values)[:20]}: expected {header.names[:20]}")
    return b"".join(_tensor(values[spec.name], spec) for spec in header.features)


def _tensor(value: Any, spec: TensorSpec) -> bytes:
    """The bytes of a number or of a flat list of them."""
    flat = value if isinstance(value, list) else [value]
    kinds = (int, float) if spec.dtype.kind == "f" else (int,)
    if len(flat) == spec.size and all(type(x) in kinds for x in flat):
        try:
            return np.array(flat, spec.dtype).tobytes()
        except OverflowError:
            pass
    raise BadMessage(f"{spec.name} is {str(value)[:80]}: expected {spec}")


def _plain(raw: bytes, spec: TensorSpec) -> Any:
    numbers = np.frombuffer(raw, spec.dtype).tolist()
    return numbers if spec.size != 1 else numbers[0]


def _framed(value: Any) -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


class CompilerSide(OnCompilerSide):
    """Sends names with every question."""

    def __init__(self, header: Header) -> None:
        super().__init__(header, self._replies)
        self._header = header

    def ask(self, record: bytes) -> bytes:
        (row,) = np.frombuffer(record, self._header.record)
        values = {
            spec.name: _plain(row[spec.name].tobytes(), spec)
            for spec in self._header.features
        }
        return _framed(values)

    def _replies(self, emit: Emit) -> Format:
        while True:
            (length,) = LENGTH.unpack((yield LENGTH.size))
            found = object_of((yield length))
            emit(Advice(_tensor(found.get("out"), self._advice)))
