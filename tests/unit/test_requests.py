"""Requests in OpenAI's form: read as messages, refused by name, answered alike."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import media_toys
import numpy as np
import pytest
import toy_omni

import t2t
from t2t.decode.answering import Delta, Reply, answerer
from t2t.decode.fields import RequestError, read_json
from t2t.decode.requests import Request, parse
from t2t.decode.responses import WIRE_RATE, Chunks, reply_json
from t2t.media import audio, pictures
from t2t.media.fetch import Access
from t2t.media.layout import VOICES
from t2t.media.limits import Limits
from t2t.media.messages import Film, Message, Picture, Sound, Text


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _png() -> str:
    return _data(pictures.encode_png(media_toys.picture(40, 60)), "image/png")


def _wav(rate: int = 8_000) -> bytes:
    return audio.encode_wav(media_toys.tone(rate=rate), rate)


def ask(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}], **fields}


SAY = {"type": "text", "text": "say seven"}


def test_every_kind_of_part_is_read(tmp_path: Path) -> None:
    from t2t.media import video

    film = video.encode_mp4(
        media_toys.film(6), 5.0, samples=media_toys.tone(1.2), rate=16_000
    )
    (tmp_path / "film.mp4").write_bytes(film)
    (tmp_path / "tone.wav").write_bytes(_wav())
    encoded = base64.b64encode(_wav()).decode()
    request = parse(
        ask(
            SAY,
            {"type": "image_url", "image_url": {"url": _png(), "detail": "low"}},
            {"type": "image", "image": _png()},
            {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}},
            {"type": "audio_url", "audio_url": {"url": "tone.wav"}},
            {"type": "audio", "audio": "tone.wav"},
            {"type": "video_url", "video_url": {"url": "film.mp4"}},
            {"type": "video", "video": "film.mp4"},
        ),
        access=Access(folder=tmp_path),
        side=24,
    )
    (message,) = request.messages
    kinds = [type(part) for part in message.parts]
    assert kinds == [Text, Picture, Picture, Sound, Sound, Sound, *[Film, Sound] * 2]
    assert message.parts[1].pixels.shape == (24, 24, 3)
    assert abs(len(message.parts[3].samples) - 4_000) < 10  # resampled to 16 kHz
    assert message.parts[6].frames.shape == (6, 24, 24, 3)
    assert abs(len(message.parts[7].samples) - 1.2 * 16_000) < 2_000


def test_what_is_asked_for() -> None:
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "say seven"},
        {"role": "assistant", "content": "seven", "refusal": None, "tool_calls": None},
        {"role": "user", "content": [SAY], "name": "me"},
    ]
    request = parse(
        {
            "model": "m", "messages": messages, "modalities": ["audio"], "seed": 7,
            "audio": {"voice": "bass", "format": "flac"}, "temperature": 0.5, "n": 2,
            "max_completion_tokens": 3, "user": "someone", "tools": None, "top_p": 1,
        }
    )  # fmt: skip
    assert [m.role for m in request.messages] == ["system", "user", "assistant", "user"]
    # Speech has its words written, too.
    assert request.modalities == ("text", "audio")
    assert (request.voice, request.audio_format) == ("bass", "flac")
    assert (request.n, request.model, request.stream) == (2, "m", False)
    assert (request.options.temperature, request.options.seed) == (0.5, 7)
    assert (request.options.limits.pieces, request.options.limits.frames) == (3, 3)
    assert parse(ask(SAY)).options.limits.pieces > 3


PICTURE = {"type": "image_url", "image_url": {"url": "x"}}
WRONG = [
    ([], "an object is expected", ""),
    ({}, "no messages", "messages"),
    ({"messages": []}, "0 messages", "messages"),
    ({"messages": [3]}, "messages[0] is 3", "messages[0]"),
    ({"messages": [{"content": "x"}]}, "no messages[0].role", "messages[0].role"),
    ({"messages": [{"role": "usr", "content": "x"}]}, "'user'", "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "a string or", "messages[0].content"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "the last message", None),
    (
        {"messages": [{"role": "assistant", "audio": {"id": "a"}}]},
        "by its id is not kept", "messages[0].audio",
    ),
    (ask({"type": "txt", "text": "x"}), "'text'", "messages[0].content[0].type"),
    (ask({"type": "text"}), "a string", "messages[0].content[0].text"),
    (ask({"type": "text", "txt": "x"}), "'text'", "messages[0].content[0].txt"),
    (ask("say"), "an object", "messages[0].content[0]"),
    (ask({"type": "image_url"}), "a reference", "messages[0].content[0].image_url"),
    (ask(PICTURE), "paths are not allowed", "messages[0].content[0].image_url.url"),
    (
        ask({"type": "image", "image": "file:///etc/passwd"}),
        "file: URLs are not read", "messages[0].content[0].image",
    ),
    (
        ask({"type": "image", "image": "http://127.0.0.1/x"}),
        "http: URLs are not allowed", None,
    ),
    (ask({"type": "image", "image": "data:image/png;base64,"}), "0 bytes", None),
    (ask({"type": "image", "image": _data(_wav(), "audio/wav")}), "wav is given", None),
    (
        ask({"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}),
        "base64 is expected", "messages[0].content[0].input_audio.data",
    ),
    (ask({"type": "input_audio", "input_audio": {"data": "AA"}}), "format", None),
    (ask(SAY, temprature=1), "'temperature'", "temprature"),
    (ask(SAY, temperature="warm"), "a number", "temperature"),
    (ask(SAY, temperature=True), "a number", "temperature"),
    (ask(SAY, temperature=3), "0 to 2", "temperature"),
    (ask(SAY, n=0), "1 to 8", "n"),
    (ask(SAY, n=1.5), "an integer", "n"),
    (ask(SAY, seed=2**80), "9223372036854775807", "seed"),
    (ask(SAY, stream=1), "true or false", "stream"),
    (ask(SAY, modalities=["sound"]), "text, audio, image", "modalities"),
    (ask(SAY, modalities=[["text"]]), "text, audio, image", "modalities"),
    (ask(SAY, modalities=[]), "some of", "modalities"),
    (ask(SAY, audio={"voice": "alt"}), "'alto'", "audio.voice"),
    (ask(SAY, audio={"voice": "alto", "format": "aac"}), "wav, flac", "audio.format"),
    (
        ask(SAY, audio={"format": "mp3"}, modalities=["audio"], stream=True),
        "pcm16", "audio.format",
    ),
    (ask(SAY, top_p=0.5), "is not supported", "top_p"),
    (ask(SAY, tools=[{"type": "function"}]), "is not supported", "tools"),
    (ask({"type": "text", "text": "\ud800"}), "surrogate", None),
    (ask(SAY, **{"\ud800": 1}), "no field", None),
    (ask({"type": "text", "text": "x" * 200_000}), "at most 100,000", "messages"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "words", "param"), WRONG)
def test_a_wrong_request_is_refused_by_name(
    request_: Any, words: str, param: str | None
) -> None:
    with pytest.raises(RequestError) as refused:
        parse(request_)
    error = refused.value.json()["error"]
    assert words in error["message"]
    assert len(error["message"]) < 400
    if param is not None:
        assert error["param"] == (param or None)
    assert error["type"] == "invalid_request_error"
    json.dumps(error, ensure_ascii=False).encode()  # it can be sent


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[" * 200_000, "too deeply"),
        (b'{"a":' * 100_000, "too deeply"),
        (b"", "JSON is expected"),
        (b'{"n": NaN}', "NaN"),
        (b'{"n": -Infinity}', "-Infinity"),
        (b'{"n": ' + b"9" * 9999 + b"}", "JSON is expected"),
        (b'"\xff\xfe"', "JSON is expected"),
    ],
)
def test_json_that_is_none(text: bytes, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        read_json(text)


def test_too_many_media_and_too_large_ones_are_refused() -> None:
    part = {"type": "image", "image": _png()}
    with pytest.raises(RequestError, match="more than 16 pictures"):
        parse(ask(*[part] * 17))
    with pytest.raises(RequestError, match="at most 1,000 are read"):
        parse(ask(part), limits=Limits(pixels=1_000))


# -- answers -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return t2t.load(toy_omni.omni_run(tmp_path_factory.mktemp("omni") / "run"))


def _answer(chat: Any, request: Request) -> tuple[list[Delta], Reply]:
    *deltas, reply = answerer(chat).answer(request)
    assert isinstance(reply, Reply)
    assert all(isinstance(delta, Delta) for delta in deltas)
    return deltas, reply  # type: ignore[return-value]


def test_an_answer_is_what_the_chat_gives(chat: Any) -> None:
    asked = ask(SAY, modalities=["text", "audio", "image"], audio={"voice": "tenor"})
    request = parse(asked, side=answerer(chat).side)
    _, reply = _answer(chat, request)
    same = chat.chat(
        request.messages, request.modalities, voice="tenor", options=request.options
    )
    assert reply.messages == (same,)
    again = chat.chat(
        asked["messages"], request.modalities, voice="tenor", options=request.options
    )
    assert again == same
    made = json.loads(json.dumps(reply_json(reply, request)))
    found = made["choices"][0]["message"]
    words, picture = found["content"]
    assert found["audio"]["transcript"] == words["text"]
    assert picture["image_url"]["url"].startswith("data:image/png;base64,")
    heard, rate = audio.read_audio(base64.b64decode(found["audio"]["data"]))
    assert (rate, len(heard)) == (16_000, len(same.parts[1].samples))
    usage = made["usage"]
    split = usage["completion_tokens_details"]
    assert split["audio_tokens"] == len(heard) / 640
    assert split["image_tokens"] == chat.engine.side**2
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    # An answer may be given back as it is.
    again = [{"role": "user", "content": "x"}, found, {"role": "user", "content": "y"}]
    del found["audio"]
    assert len(parse({"messages": again}).messages) == 3


def test_a_stream_holds_what_the_whole_does(chat: Any) -> None:
    fields: dict[str, Any] = {"modalities": ["text", "audio", "image"], "n": 2}
    whole = parse(ask(SAY, temperature=1, **fields))
    spoken = {"voice": VOICES[0], "format": "pcm16"}
    counted = {"include_usage": True}
    streamed = parse(
        ask(SAY, temperature=1, **fields, stream=True, audio=spoken,
            stream_options=counted)
    )  # fmt: skip
    _, one = _answer(chat, whole)
    deltas, two = _answer(chat, streamed)
    assert one == two
    assert one.messages[0] != one.messages[1]
    for number, message in enumerate(one.messages):
        mine = [d for d in deltas if d.number == number]
        words, sound, picture = message.parts
        assert "".join(d.text for d in mine) == words.text
        heard = np.concatenate([d.samples for d in mine if d.samples is not None])
        np.testing.assert_allclose(heard, sound.samples, atol=2e-5)
        assert [d.picture for d in mine if d.picture] == [picture]
        assert [d.finish for d in mine if d.finish] == [one.finishes[number]]
        assert len([d for d in mine if d.samples is not None]) > 2
    chunks = Chunks(streamed)
    made = [*chunks.first(), *(c for d in deltas for c in chunks.of(d))]
    assert len({c["id"] for c in made}) == 1
    sounds = [c["choices"][0] for c in made if "audio" in c["choices"][0]["delta"]]
    first = [c["delta"]["audio"] for c in sounds if c["index"] == 0]
    data = b"".join(base64.b64decode(a.get("data", "")) for a in first)
    expected = len(one.messages[0].parts[1].samples) * WIRE_RATE / 16_000
    assert abs(len(data) / 2 - expected) <= 2
    (last,) = chunks.last(two)
    assert last["choices"] == [] and last["usage"]["completion_tokens"] > 0


def test_an_answer_ends_where_it_is_told_to(chat: Any) -> None:
    request = parse(ask(SAY, modalities=["audio"], max_tokens=4, temperature=1))
    _, reply = _answer(chat, request)
    assert reply.finishes == ("length",)
    assert reply.answered.audio <= 4
    assert reply.answered.text <= 8  # other pieces may spell the same text


def test_a_conversation_that_is_too_long_is_refused_before_it_is_coded(
    chat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Message("user", (Sound(np.zeros(16_000 * 30, np.float32)),))
    monkeypatch.setattr(chat.problem, "code", None)
    with pytest.raises(RequestError, match="at most 256") as refused:
        list(answerer(chat).answer(Request((long,))))
    assert refused.value.code == "context_length_exceeded"
    monkeypatch.undo()
    long = Message("user", (Text("seven " * 300),))
    with pytest.raises(RequestError, match="at most 256"):
        list(answerer(chat).answer(Request((long,))))
