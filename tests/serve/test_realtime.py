"""Voice sessions, by OpenAI's own client where it can say what is said."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import media_toys
import numpy as np
import openai
import pytest
import websockets
from fakes import FakeVoice
from running import Served, started
from websockets.sync.client import connect

from t2t.media import pictures
from t2t.media.messages import Message, Picture, Sound, Text
from t2t.serve.service import ServeOptions

PROTOCOLS: Any = ["realtime", "openai-insecure-api-key.sesame"]


def pcm(samples: np.ndarray) -> str:
    levels = np.round(samples * 32767).astype("<i2")
    return base64.b64encode(levels.tobytes()).decode()


def tone(seconds: float, rate: int = 24_000) -> str:
    return pcm(media_toys.tone(seconds, rate=rate))


def silence(seconds: float, rate: int = 24_000) -> str:
    return pcm(np.zeros(round(seconds * rate), np.float32))


class Voice:
    """OpenAI's connection, with what it says until some event."""

    def __init__(self, connection: Any, served: Served) -> None:
        self.connection, self.served = connection, served
        self.created = self.until("session.created")[-1]

    @property
    def session(self) -> FakeVoice:
        return self.served.answerer.voices[-1]

    def until(self, kind: str) -> list[Any]:
        found = []
        while not found or found[-1].type != kind:
            found.append(self.connection.recv())
        return found

    def ask(self, **event: Any) -> None:
        self.connection.send(event)

    def update(self, **session: Any) -> Any:
        self.ask(type="session.update", session={"type": "realtime", **session})
        return self.until("session.updated")[-1].session


@pytest.fixture
def voice(served: Served) -> Iterator[Voice]:
    with served.client().realtime.connect(model="toy") as connection:
        yield Voice(connection, served)


def _heard(events: list[Any]) -> int:
    """Samples that were told."""
    deltas = [e.delta for e in events if e.type == "response.output_audio.delta"]
    return sum(len(base64.b64decode(delta)) // 2 for delta in deltas)


def test_a_turn_by_voice(voice: Voice) -> None:
    session = voice.created.session
    assert session.output_modalities == ["audio"]
    assert session.audio.input.format.rate == 24_000
    assert session.audio.output.voice == "alto"
    append = voice.connection.input_audio_buffer.append
    append(audio=tone(0.5))
    begins = voice.until("input_audio_buffer.speech_started")[-1]
    append(audio=silence(0.5))
    events = voice.until("response.done")
    assert [e.type for e in events if "delta" not in e.type] == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert events[1].item_id == events[0].item_id == begins.item_id
    assert abs(_heard(events) - 0.5 * 24_000) < 10
    words = [e.delta for e in events if e.type.endswith("transcript.delta")]
    assert "".join(words) == "w0 w1 w2 w3 w4 "
    response = events[-1].response
    assert response.status == "completed"
    assert response.output[0].content[0].transcript == "w0 w1 w2 w3 w4 "
    assert abs(voice.session.heard - 16_000) < 500  # resampled
    assert voice.session.log[-1] == ("respond", ("text", "audio"), "alto")


def test_a_turn_by_hand_at_another_rate(voice: Voice) -> None:
    heard: Any = {
        "input": {
            "format": {"type": "audio/pcm", "rate": 8_000},
            "turn_detection": None,
        },
        "output": {"format": {"type": "audio/pcm", "rate": 16_000}, "voice": "bass"},
    }
    session = voice.update(audio=heard)
    assert session.audio.input.turn_detection is None
    assert session.audio.output.voice == "bass"
    for _ in range(3):
        voice.ask(type="input_audio_buffer.append", audio=tone(0.1, 8_000))
    voice.connection.input_audio_buffer.commit()
    voice.until("input_audio_buffer.committed")
    voice.connection.response.create()
    events = voice.until("response.done")
    assert _heard(events) == 0.5 * 16_000
    commit, respond = voice.session.log
    assert commit == ("commit", 4_800)  # the resampler's rest is heard, too
    assert respond == ("respond", ("text", "audio"), "bass")


def test_words_and_pictures_are_put_into_it(voice: Voice) -> None:
    png = base64.b64encode(pictures.encode_png(media_toys.picture())).decode()
    content: Any = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{png}"},
        {"type": "input_audio", "audio": tone(0.2)},
    ]
    item: Any = {"type": "message", "role": "user", "content": content}
    voice.connection.conversation.item.create(item=item)
    done = voice.until("conversation.item.done")[-1]
    assert done.item.content[0].text == "look"
    voice.connection.response.create(response={"output_modalities": ["text"]})
    events = voice.until("response.done")
    assert _heard(events) == 0
    text = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert "".join(text) == events[-1].response.output[0].content[0].text
    message, respond = voice.session.log
    assert isinstance(message, Message)
    words, picture, sound = message.parts
    assert words == Text("look") and isinstance(picture, Picture)
    assert picture.pixels.shape == (24, 24, 3)
    assert isinstance(sound, Sound) and abs(len(sound.samples) - 3_200) < 10
    assert respond[1] == ("text",)


def _begin_long_answer(voice: Voice) -> Any:
    """Of 20 s, in chunks of 100 ms."""
    voice.session.chunks, voice.session.pause = 200, 0.01
    item: Any = {
        "type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "go on"}],
    }  # fmt: skip
    voice.connection.conversation.item.create(item=item)
    voice.connection.response.create()
    return voice.until("response.output_audio.delta")[-1]


def test_a_voice_interrupts_an_answer(voice: Voice) -> None:
    _begin_long_answer(voice)
    voice.connection.input_audio_buffer.append(audio=silence(0.2))
    voice.connection.input_audio_buffer.append(audio=tone(0.5))
    events = voice.until("response.done")
    assert "input_audio_buffer.speech_started" in [e.type for e in events]
    response = events[-1].response
    assert response.status == "cancelled"
    assert response.status_details.reason == "turn_detected"
    voice.session.chunks, voice.session.pause = 2, 0.0
    voice.connection.input_audio_buffer.append(audio=silence(0.5))
    assert voice.until("response.done")[-1].response.status == "completed"
    log = voice.session.log[2:]
    # The turn that had begun is forgotten, and begins again after the answer's cut.
    assert log[:3] == ["started", "left", "clear"]
    what, played = log[3]
    assert what == "interrupt" and 0 < played < 5
    assert log[4:6] == ["started", "stopped"]


def test_an_answer_is_cancelled_and_cut_where_it_was_heard(voice: Voice) -> None:
    delta = _begin_long_answer(voice)
    voice.connection.response.cancel()
    done = voice.until("response.done")[-1]
    assert done.response.status == "cancelled"
    assert done.response.status_details.reason == "client_cancelled"
    voice.connection.conversation.item.truncate(
        item_id=delta.item_id, content_index=0, audio_end_ms=80
    )
    assert voice.until("conversation.item.truncated")[-1].audio_end_ms == 80
    assert voice.session.log[-2:] == ["left", ("interrupt", 0.08)]
    # Without a word from the client, what can have been heard counts.
    voice.session.due = True
    voice.connection.response.create()
    voice.until("response.output_audio.delta")
    voice.connection.response.cancel()
    voice.until("response.done")
    voice.connection.input_audio_buffer.append(audio=silence(0.1))
    voice.connection.response.cancel()
    assert voice.until("error")[-1].error.code == "response_cancel_not_active"
    assert voice.session.log[-1][0] == "interrupt"


def test_one_answer_at_a_time(voice: Voice) -> None:
    _begin_long_answer(voice)
    voice.connection.response.create()
    error = voice.until("error")[-1].error
    assert error.code == "conversation_already_has_active_response"
    voice.connection.response.cancel()
    voice.until("response.done")


WRONG: list[tuple[Any, str, str | None]] = [
    ("{", "JSON is expected", None),
    ("[" * 100_000, "too deeply", None),
    ("3", "an object is expected", "event"),
    ({}, "no type", "type"),
    ({"type": "sesion.update"}, "'session.update'", "type"),
    ({"type": "session.update"}, "no session", "session"),
    ({"type": "response.create", "respons": {}}, "'response'", "respons"),
    ({"type": "response.create"}, "there is nothing to answer", None),
    ({"type": "response.cancel"}, "no answer is being given", None),
    ({"type": "input_audio_buffer.commit"}, "nothing was said", None),
    ({"type": "input_audio_buffer.append", "audio": "AA"}, "two for each", "audio"),
    ({"type": "input_audio_buffer.append", "audio": "%"}, "base64", "audio"),
    ({"type": "input_audio_buffer.append", "audio": 3}, "a string", "audio"),
    (
        {"type": "session.update", "session": {"audio": {"output": {"voice": "al"}}}},
        "'alto'", "session.audio.output.voice",
    ),
    (
        {"type": "session.update", "session": {"audio": {"input": {"format": {
            "type": "audio/pcm", "rate": 10**9}}}}},
        "8000 to 48000", "session.audio.input.format.rate",
    ),
    (
        {"type": "session.update", "session": {"audio": {"input": {"format": {
            "type": "audio/pcmu"}}}}},
        "audio/pcm is expected", "session.audio.input.format.type",
    ),
    ({"type": "session.update", "session": {"tools": [1]}}, "not supported", None),
    (
        {"type": "conversation.item.create", "item": {"type": "function_call"}},
        "message is expected", "item.type",
    ),
    (
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user",
         "content": [{"type": "input_image", "image_url": "file:///etc/passwd"}]}},
        "file: URLs are not read", "item.content[0].image_url",
    ),
    (
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user",
         "content": [{"type": "input_image", "image_url": "http://10.0.0.1/"}]}},
        "not allowed here", "item.content[0].image_url",
    ),
]  # fmt: skip


def test_a_wrong_event_is_told_and_the_session_goes_on(served: Served) -> None:
    with connect(f"ws{served.url[4:]}/v1/realtime") as socket:
        assert json.loads(socket.recv(timeout=30))["type"] == "session.created"
        for number, (event, words, param) in enumerate(WRONG):
            if isinstance(event, dict):
                event = json.dumps({**event, "event_id": f"e{number}"})
            socket.send(event)
            while (told := json.loads(socket.recv(timeout=30)))["type"] != "error":
                assert told["type"].startswith(("response.", "conversation.item."))
            error = told["error"]
            assert words in error["message"], error
            if param is not None:
                assert error["param"] == param
                assert error["event_id"] in (f"e{number}", None)
        socket.send(b"\x00\x01")
        while (told := json.loads(socket.recv(timeout=30)))["type"] != "error":
            pass
        assert "text, of JSON" in told["error"]["message"]
        socket.send(json.dumps({"type": "input_audio_buffer.clear"}))
        while (
            json.loads(socket.recv(timeout=30))["type"] != "input_audio_buffer.cleared"
        ):
            pass


def test_what_is_no_speech_is_heard_as_it_is(voice: Voice) -> None:
    """Nothing, a sample, noise at its loudest, at rates that divide by nothing."""
    rng = np.random.default_rng(0)
    for rate in (8_000, 11_025, 44_100, 48_000):
        format: Any = {"type": "audio/pcm", "rate": rate}
        voice.update(audio={"input": {"format": format, "turn_detection": None}})
        for count in (0, 1, 7, 999):
            noise = rng.choice([-32768, 32767], size=count).astype("<i2").tobytes()
            audio = base64.b64encode(noise).decode()
            voice.connection.input_audio_buffer.append(audio=audio)
    voice.connection.input_audio_buffer.commit()
    told = voice.until("input_audio_buffer.committed")
    assert "error" not in [event.type for event in told]


def test_a_long_sound_is_heard_step_by_step(voice: Voice) -> None:
    """Others have their turn meanwhile."""
    voice.update(audio={"input": {"turn_detection": None}})
    voice.connection.input_audio_buffer.append(audio=tone(10.0))
    voice.connection.input_audio_buffer.commit()
    voice.until("input_audio_buffer.committed")
    assert voice.session.log[-1] == ("commit", 160_000)
    assert voice.session.longest <= 3_200


def test_of_an_item_only_what_is_known_is_told_again(voice: Voice) -> None:
    """Whatever else a client puts into it may be too deep to be written."""
    part = {"type": "input_text", "text": "look", "x": [[[]]], "transcript": {}}
    item = {"type": "message", "role": "user", "content": [part]}
    voice.ask(type="conversation.item.create", item=item)
    done = voice.until("conversation.item.done")[-1].to_dict()
    assert done["item"]["content"] == [{"type": "input_text", "text": "look"}]


def test_there_are_so_many_places(served: Served) -> None:
    url = f"ws{served.url[4:]}/v1/realtime"
    sockets = [connect(url) for _ in range(4)]
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(url)
    assert refused.value.response.status_code == 429
    assert int(refused.value.response.headers["retry-after"]) >= 1
    sockets[0].close()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            connect(url).close()
            break
        except websockets.exceptions.InvalidStatus:
            time.sleep(0.02)
    else:
        raise AssertionError("its place is never free")
    for socket in sockets[1:]:
        socket.close()


def test_who_leaves_in_the_middle_of_an_answer_is_forgotten(served: Served) -> None:
    with served.client().realtime.connect(model="toy") as connection:
        voice = Voice(connection, served)
        _begin_long_answer(voice)
        session = voice.session
    deadline = time.monotonic() + 30
    while "left" not in session.log and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "left" in session.log


def test_keys_origins_and_names(locked: Served) -> None:
    url = f"ws{locked.url[4:]}/v1/realtime"
    with connect(url, subprotocols=PROTOCOLS) as socket:
        assert socket.subprotocol == "realtime"  # as browsers do
        assert json.loads(socket.recv(timeout=30))["type"] == "session.created"
    with locked.client().realtime.connect(model="toy") as connection:
        assert connection.recv().type == "session.created"
    bearer = {"authorization": "Bearer sesame"}
    wrong: list[tuple[dict[str, Any], int]] = [
        ({}, 401),
        ({"additional_headers": {"authorization": "Bearer open"}}, 401),
        ({"additional_headers": bearer, "origin": "http://evil.example"}, 403),
    ]
    for more, status in wrong:
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            connect(url, **more)
        assert refused.value.response.status_code == status
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(f"{url}?model=other", additional_headers=bearer)
    assert refused.value.response.status_code == 404


def test_who_is_silent_for_too_long_is_left() -> None:
    for served in started(ServeOptions(port=0, idle=0.2)):
        with connect(f"ws{served.url[4:]}/v1/realtime") as socket:
            assert json.loads(socket.recv(timeout=30))["type"] == "session.created"
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                socket.recv(timeout=30)


def test_openai_asks_where_it_is_told(served: Served) -> None:
    """Its client makes ws:// of http:// by itself."""
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none")
    with client.realtime.connect(model="toy") as connection:
        assert connection.recv().type == "session.created"
