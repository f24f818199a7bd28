"""The five formats: there and back in any pieces, hostile bytes, golden bytes."""

from __future__ import annotations

import dataclasses
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from toys import INLINE, headers, pieces, records, specs

from t2t.bridge import codecs
from t2t.bridge.codecs import frames, jsons, llvm, protobuf
from t2t.bridge.messages import (
    Advice,
    BadMessage,
    Context,
    Done,
    Outcome,
    Question,
    Refusal,
)
from t2t.bridge.specs import BadSpec, Header, TensorSpec

seeds = st.integers(0, 1 << 30)
CODECS = st.sampled_from(codecs.CODECS)


def side_of(codec: str, header: Header) -> Any:
    """A policy's side that knows what the wire does not say."""
    if codec == "json":
        return jsons.PolicySide(header=header)
    return codecs.policy_side(codec, advice=header.advice)


@given(CODECS, headers, seeds)
def test_questions_get_through_in_any_pieces(codec: str, header: Header, seed: int):
    compiler, policy = codecs.compiler_side(codec, header), side_of(codec, header)
    rows = records(header, 3, seed)
    sent = compiler.header() + compiler.context("f\n\"ü") + compiler.ask(
        rows[0].tobytes()
    )  # fmt: skip
    sent += compiler.ask(rows[1].tobytes()) + compiler.ask(rows[2].tobytes())
    found = []
    for piece in pieces(sent + compiler.done(), seed):
        found += policy.feed(piece)
    assert policy.between
    messages = [message for _, message in found]
    seen = [m for m in messages if isinstance(m, Header)]
    assert len(seen) == 1
    assert seen[0].record == header.record and seen[0].advice == header.advice
    asked = [m for m in messages if isinstance(m, Question)]
    numbered = [0, 1, 2] if codec == "llvm" else [None] * 3
    assert [m.number for m in asked] == numbered
    assert b"".join(m.record for m in asked) == rows.tobytes()
    if codec in ("llvm", "frames", "protobuf"):
        assert Context('f\n"ü') in messages
    assert (Done() in messages) == (codec == "frames")


@given(CODECS, headers, seeds)
def test_answers_get_through_in_any_pieces(codec: str, header: Header, seed: int):
    compiler, policy = codecs.compiler_side(codec, header), side_of(codec, header)
    advice = header.advice
    assert advice is not None
    answers = records(Header((advice,)), 3, seed)
    if codec == "frames":
        policy.feed(compiler.header())
    sent = b"".join(policy.advise(row.tobytes()) for row in answers)
    found = []
    for piece in pieces(sent, seed):
        found += compiler.feed(piece)
    assert found == [Advice(row.tobytes()) for row in answers]


@given(CODECS, st.binary(max_size=200))
@example("llvm", b'{"features":[]}\n')
@example("llvm", b"[" * 100_000 + b"\n")
@example("llvm", b'{"features":[{"name":"a","type":"float","shape":[-1]}]}\n')
@example("llvm", b'{"features":[{"name":"a","type":"float","shape":[1e9]}]}\n')
@example("llvm", b'{"features":[{"name":"a","type":"float","shape":[9999999999]}]}\n')
@example("bitstream", struct.pack("<Q", 1 << 63))
@example("json", struct.pack("<Q", 2) + b"{}")
@example("json", struct.pack("<Q", 10) + b'{"a":1e999}')
@example("frames", struct.pack("<IBBH", 1 << 31, 1, 0, 0))
@example("frames", struct.pack("<IBBH", 4, 3, 0, 0))
@example("protobuf", b"\xff" * 20)
@example("protobuf", b"\x05\x0a\x7fabc")
def test_nonsense_is_a_bad_message_or_not_enough(codec: str, data: bytes):
    for side in (
        codecs.policy_side(codec),
        codecs.compiler_side(codec, INLINE),
    ):
        try:
            side.feed(data)
        except BadMessage:
            pass


@given(CODECS, headers, seeds, st.data())
def test_a_bit_that_flips_is_noticed_or_harmless(
    codec: str, header: Header, seed: int, data: st.DataObject
):
    """Never another exception, and never more memory than was sent."""
    compiler, policy = codecs.compiler_side(codec, header), side_of(codec, header)
    row = records(header, 1, seed)[0].tobytes()
    sent = bytearray(compiler.header() + compiler.context("c") + compiler.ask(row))
    at = data.draw(st.integers(0, len(sent) - 1))
    sent[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        policy.feed(bytes(sent))
    except BadMessage:
        pass


def test_the_bytes_of_llvms_channel():
    """As clang 22 writes them."""
    header = (
        b'{"features":[{"name":"li_size","type":"int64_t","port":0,"shape":[1]},'
        b'{"name":"weight","type":"float","port":0,"shape":[1]}],'
        b'"advice":{"name":"priority","type":"float","port":0,"shape":[1]}}\n'
    )
    sent = header + b'{"context":"f"}\n{"observation":0}\n'
    sent += struct.pack("<qf", 7, 0.5) + b"\n"
    side = llvm.PolicySide()
    (_, seen), context, question = side.feed(sent)
    assert isinstance(seen, Header)
    assert context == (0, Context("f"))
    assert question == (0, Question(struct.pack("<qf", 7, 0.5), 0))
    compiler = llvm.CompilerSide(seen)
    written = compiler.header() + compiler.context("f")
    assert written + compiler.ask(struct.pack("<qf", 7, 0.5)) == sent
    assert len(side.advise(struct.pack("<f", 1.0))) == 4


def test_a_second_header_is_refused():
    for codec in codecs.CODECS:
        one = codecs.compiler_side(codec, INLINE)
        other = codecs.compiler_side(
            codec, Header((TensorSpec("x", "float"),), INLINE.advice)
        )
        side = side_of(codec, INLINE)
        side.feed(one.header() + one.ask(bytes(INLINE.record.itemsize)))
        with pytest.raises(BadMessage):
            side.feed(other.header() + other.ask(bytes(4)))


def test_a_log_has_outcomes():
    header = Header((TensorSpec("x", "float"),), None, TensorSpec("r", "double"))
    logged = dataclasses.replace(header, advice=header.features[0])
    written = llvm.CompilerSide(logged)
    sent = llvm.line(header.plain()) + written.context("m")
    for n in range(2):
        sent += written.ask(struct.pack("<f", n))
        sent += written.reward(struct.pack("<d", n))
    found = [message for _, message in llvm.PolicySide().feed(sent)]
    assert found[2:] == [
        Question(struct.pack("<f", 0), 0),
        Outcome(struct.pack("<d", 0)),
        Question(struct.pack("<f", 1), 1),
        Outcome(struct.pack("<d", 1)),
    ]


def test_the_published_bitstream_reader_would_read_ours():
    """Transcribed from ML-Compiler-Bridge's SerDes.py and log_reader.py."""
    compiler = codecs.compiler_side("bitstream", INLINE)
    row = records(INLINE, 1, 0)[0]
    sent = compiler.ask(row.tobytes())
    line, rest = sent[8:].split(b"\n", 1)
    names = [spec["name"] for spec in json.loads(line)["features"]]
    assert names == list(INLINE.names)
    values = np.frombuffer(rest[:-1], "<i8")
    assert values.tolist() == [row[name].item() for name in names]
    assert int.from_bytes(sent[:8], "little") == len(sent) - 8
    side = codecs.policy_side("bitstream")
    reply = (3).to_bytes(4, "little", signed=True)
    assert side.advise(reply) == len(reply).to_bytes(8, "little") + reply


def test_json_without_a_header_guesses_doubles():
    side = codecs.policy_side("json")
    body = json.dumps({"a": 1, "b": [1, 2.5]}).encode()
    (_, header), (_, question) = side.feed(struct.pack("<Q", len(body)) + body)
    assert isinstance(header, Header) and isinstance(question, Question)
    assert [str(s) for s in header.features] == ["a double[1]", "b double[2]"]
    assert np.frombuffer(question.record).tolist() == [1, 1, 2.5]
    reply = side.advise(struct.pack("<i", 4))
    assert json.loads(reply[8:]) == {"out": 4}


def test_frames_have_streams_an_end_and_refusals():
    side = frames.PolicySide()
    one, two = (frames.CompilerSide(INLINE, stream=n) for n in (1, 2))
    row = bytes(INLINE.record.itemsize)
    sent = one.header() + two.header() + two.ask(row) + one.ask(row) + one.done()
    found = side.feed(sent)
    assert [number for number, _ in found] == [1, 2, 2, 1, 1]
    assert side.feed(one.header()) == [(1, found[0][1])]  # the number is free again
    with pytest.raises(BadMessage, match="second header"):
        side.feed(two.header())
    assert two.feed(side.refuse("no policy", 2)) == [Refusal("no policy")]
    with pytest.raises(BadMessage):
        two.feed(side.advise(bytes(8), 1))


@given(st.lists(specs, max_size=4), st.text(max_size=5), seeds)
def test_protobuf_writes_and_reads_what_the_package_does(
    given_specs: list[TensorSpec], context: str, seed: int
):
    rng = np.random.default_rng(seed)
    tensors = [(spec, rng.bytes(spec.nbytes)) for spec in given_specs]
    raw = protobuf.encode(tensors, context)
    theirs = tensors_class()()
    theirs.context = context
    for spec, data in tensors:
        theirs.tensors.add(name=spec.name, type=spec.type, shape=spec.shape, data=data)
    assert raw == theirs.SerializeToString(deterministic=True)
    assert protobuf.decode(raw) == (tensors, context)


def tensors_class() -> Any:
    """The message, made by the protobuf package."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="t", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    tensor = file.message_type.add(name="Tensor")
    fields = [("name", "STRING"), ("type", "STRING"), ("shape", "INT64")]
    for number, (name, kind) in enumerate([*fields, ("data", "BYTES")], 1):
        many = kinds.LABEL_REPEATED if name == "shape" else kinds.LABEL_OPTIONAL
        of = getattr(kinds, f"TYPE_{kind}")
        tensor.field.add(name=name, number=number, type=of, label=many)
    tensors = file.message_type.add(name="Tensors")
    tensors.field.add(
        name="tensors",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=".Tensor",
        label=kinds.LABEL_REPEATED,
    )
    tensors.field.add(
        name="context", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL
    )
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Tensors"))


def test_protobuf_skips_fields_that_it_does_not_know():
    spec = TensorSpec("x", "float")
    unknown = b"\x48\x05" + b"\x51" + bytes(8) + b"\x5d" + bytes(4) + b"\x62\x01a"
    raw = protobuf.encode([(spec, bytes(4))])
    assert protobuf.decode(raw + unknown) == ([(spec, bytes(4))], "")


def test_an_unknown_codec_is_named_with_what_is_close():
    with pytest.raises(ValueError, match="no codec 'frame'. Did you mean 'frames'"):
        codecs.policy_side("frame")
    with pytest.raises(BadSpec, match="what the advice is"):
        codecs.compiler_side("llvm", Header(INLINE.features))
