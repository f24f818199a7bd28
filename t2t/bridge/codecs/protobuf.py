"""One protobuf message for all compilers and tasks, written and read by hand.

    message Tensor  { string name = 1; string type = 2; repeated int64 shape = 3;
                      bytes data = 4; }
    message Tensors { repeated Tensor tensors = 1; string context = 2; }

On the wire a varint length goes before each, as protobuf's own `writeDelimitedTo`
does. `Tensors` is a question, or a context alone; its answer is a `Tensors` of one.
Readers skip what they do not know, as protobuf demands.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from t2t.bridge.codecs.bitstream import ADVICE
from t2t.bridge.codecs.reader import Emit, Format
from t2t.bridge.codecs.sides import OnCompilerSide, OnPolicySide
from t2t.bridge.messages import Advice, BadMessage, Context, Question
from t2t.bridge.specs import BadSpec, Header, TensorSpec

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST = 10  # bytes of a varint

Named = tuple[TensorSpec, bytes]


class PolicySide(OnPolicySide):
    """Has one stream, 0.

    Args:
      advice: what the compiler wants.
    """

    def __init__(self, advice: TensorSpec | None = None) -> None:
        self._advice = advice or ADVICE
        super().__init__(self._messages)

    def advise(self, raw: bytes, stream: int = 0) -> bytes:
        return delimited(encode([(self._advice, raw)]))

    def _messages(self, emit: Emit) -> Format:
        header = None
        while True:
            tensors, context = decode((yield from _body()))
            if not tensors:
                emit((0, Context(context)))
                continue
            specs = tuple(spec for spec, _ in tensors)
            if header is None:
                header = _header(specs, self._advice)
                emit((0, header))
            elif specs != header.features:
                raise BadMessage("a second header: the tensors must not change")
            emit((0, Question(b"".join(data for _, data in tensors))))


class CompilerSide(OnCompilerSide):
    """Sends names and types with every question."""

    def __init__(self, header: Header) -> None:
        super().__init__(header, self._replies)
        self._header = header

    def context(self, name: str) -> bytes:
        return delimited(encode([], name))

    def ask(self, record: bytes) -> bytes:
        tensors, at = [], 0
        for spec in self._header.features:
            tensors.append((spec, record[at : at + spec.nbytes]))
            at += spec.nbytes
        return delimited(encode(tensors))

    def _replies(self, emit: Emit) -> Format:
        while True:
            tensors, _ = decode((yield from _body()))
            if len(tensors) != 1 or len(tensors[0][1]) != self._advice.nbytes:
                raise BadMessage(f"an answer that is not {self._advice}")
            emit(Advice(tensors[0][1]))


def _header(specs: tuple[TensorSpec, ...], advice: TensorSpec) -> Header:
    try:
        return Header(specs, advice)
    except BadSpec as error:
        raise BadMessage(str(error)) from None


def _body() -> Generator[int, bytes, bytes]:
    """A delimited message; returns its bytes."""
    length, shift = 0, 0
    while True:
        (byte,) = yield 1
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
        if shift >= 7 * _LONGEST:
            raise BadMessage("a length without an end")
    if not length:
        return b""
    return (yield length)


def encode(tensors: list[Named], context: str = "") -> bytes:
    """A `Tensors`, as protobuf would write it."""
    parts = [_field(1, _tensor(spec, data)) for spec, data in tensors]
    if context:
        parts.append(_field(2, context.encode()))
    return b"".join(parts)


def _tensor(spec: TensorSpec, data: bytes) -> bytes:
    shape = b"".join(map(varint, spec.shape))
    contents = (spec.name.encode(), spec.type.encode(), shape, data)
    # What is empty is not written, as protobuf 3 has it.
    parts = [_field(n, content) for n, content in enumerate(contents, 1) if content]
    return b"".join(parts)


def decode(raw: bytes) -> tuple[list[Named], str]:
    """The tensors and the context of a `Tensors`.

    Raises:
      BadMessage: when it is none.
    """
    tensors, context = [], b""
    for number, kind, value in _fields(raw):
        if (number, kind) == (1, _BYTES):
            tensors.append(_named(value))
        elif (number, kind) == (2, _BYTES):
            context = value
    return tensors, _text(context)


def _named(raw: bytes) -> Named:
    name, type_, data, shape = b"", b"", b"", []
    for number, kind, value in _fields(raw):
        if (number, kind) == (1, _BYTES):
            name = value
        elif (number, kind) == (2, _BYTES):
            type_ = value
        elif (number, kind) == (3, _BYTES):
            shape += _packed(value)
        elif (number, kind) == (3, _VARINT):
            shape.append(int.from_bytes(value, "little"))
        elif (number, kind) == (4, _BYTES):
            data = value
    try:
        spec = TensorSpec(_text(name), _text(type_), tuple(shape))
    except BadSpec as error:
        raise BadMessage(str(error)) from None
    if len(data) != spec.nbytes:
        raise BadMessage(f"{spec} of {len(data)} bytes: expected {spec.nbytes}")
    return spec, data


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadMessage(f"not UTF-8: {raw[:80]!r}") from None


def _fields(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(number, wire type, content) of each field; a varint's is little-endian."""
    at = 0
    while at < len(raw):
        tag, at = _read_varint(raw, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, end = _read_varint(raw, at)
            yield number, kind, value.to_bytes(8, "little")
        else:
            at, end = _span(raw, at, kind)
            yield number, kind, raw[at:end]
        at = end


def _span(raw: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind == _BYTES:
        size, at = _read_varint(raw, at)
    elif kind in (_FIXED64, _FIXED32):
        size = 8 if kind == _FIXED64 else 4
    else:
        raise BadMessage(f"no protobuf: a field of wire type {kind}")
    if at + size > len(raw):
        raise BadMessage("no protobuf: a field longer than its message")
    return at, at + size


def _packed(raw: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(raw):
        value, at = _read_varint(raw, at)
        numbers.append(value)
    return numbers


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(raw[at : at + _LONGEST]):
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value & ((1 << 64) - 1), at + place + 1
    raise BadMessage("no protobuf: a number without an end")


def varint(value: int) -> bytes:
    """A number of 0 or more, 7 bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | _BYTES) + varint(len(content)) + content


def delimited(raw: bytes) -> bytes:
    """With its length before it."""
    return varint(len(raw)) + raw
