"""OpenAI's own client, as it is, against every route."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import media_toys
import numpy as np
import openai
import pytest
from fakes import SAMPLES
from running import Served, started

from t2t.media import audio, pictures
from t2t.media.messages import Picture, Sound
from t2t.serve.service import ServeOptions

ASK: list[Any] = [{"role": "user", "content": "say seven"}]


def test_a_chat_completion(served: Served) -> None:
    client = served.client()
    found = client.chat.completions.create(
        model="toy", messages=ASK, n=2, temperature=0.5, seed=3,
        max_completion_tokens=9, user="me",
    )  # fmt: skip
    assert [c.message.content for c in found.choices] == ["heard: say seven"] * 2
    assert found.choices[0].finish_reason == "stop" and found.model == "toy"
    assert found.usage is not None and found.usage.total_tokens == 26
    request = served.answerer.asked[-1]
    assert (request.options.seed, request.options.limits.pieces) == (3, 9)


def test_speech_and_pictures_in_and_out(served: Served, tmp_path: Path) -> None:
    png = pictures.encode_png(media_toys.picture())
    (tmp_path / "seen.png").write_bytes(png)
    sound = base64.b64encode(audio.encode_wav(media_toys.tone(), 16_000)).decode()
    parts: list[Any] = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "seen.png"}},
        {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
    ]
    found: Any = served.client().chat.completions.create(
        model="toy",
        messages=[{"role": "user", "content": parts}],
        modalities=["text", "audio", "image"],  # type: ignore[list-item]
        audio={"voice": "bass", "format": "wav"},
    )
    message = found.choices[0].message
    assert message.audio.transcript == "heard: look, picture, sound"
    samples, rate = audio.read_audio(base64.b64decode(message.audio.data))
    assert rate == 16_000
    np.testing.assert_allclose(samples, SAMPLES, atol=1e-4)
    url = message.content[1]["image_url"]["url"]
    pixels = pictures.read_picture(base64.b64decode(url.partition(",")[2]))
    np.testing.assert_array_equal(pixels, media_toys.picture(24, 24))
    request = served.answerer.asked[-1]
    assert request.voice == "bass"
    _, seen, heard = request.messages[0].parts
    assert isinstance(seen, Picture) and seen.pixels.shape == (24, 24, 3)
    assert isinstance(heard, Sound)


def test_a_stream(served: Served) -> None:
    stream: Any = served.client().chat.completions.create(
        model="toy", messages=ASK, stream=True,
        modalities=["text", "audio"], audio={"voice": "alto", "format": "pcm16"},
        stream_options={"include_usage": True},
    )  # fmt: skip
    text, sound, finishes, usage = "", b"", [], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            spoken = choice.delta.audio
            sound += base64.b64decode(spoken.data or "") if spoken else b""
            finishes.append(choice.finish_reason)
    assert text == "heard: say seven"
    assert abs(len(sound) / 2 - len(SAMPLES) * 1.5) <= 2
    assert [f for f in finishes if f] == ["stop"]
    assert usage is not None and usage.completion_tokens == 23


def test_a_stream_in_plain_text(served: Served) -> None:
    body = {"messages": ASK, "stream": True}
    with (
        served.http() as http,
        http.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert {json.loads(x[6:])["object"] for x in lines[:-1]} == {
        "chat.completion.chunk"
    }


@pytest.mark.parametrize("format", ["mp3", "wav", "flac", "opus", "pcm"])
def test_speech(served: Served, format: Any) -> None:
    found = served.client().audio.speech.create(
        model="toy", voice="tenor", input="seven", response_format=format
    )
    assert served.answerer.asked[-1].messages[0].parts[0].text == "say seven"
    if format == "pcm":
        assert abs(len(found.content) / 2 - 1.5 * len(SAMPLES)) <= 2
    else:
        samples, _ = audio.read_audio(found.content, rate=16_000, declared=format)
        assert abs(len(samples) - len(SAMPLES)) < 2_500


def test_a_transcription(served: Served) -> None:
    client = served.client()
    file = ("x.wav", io.BytesIO(audio.encode_wav(media_toys.tone(), 8_000)))
    found = client.audio.transcriptions.create(model="toy", file=file)
    assert found.text == "heard: write down, sound"
    plain: Any = client.audio.transcriptions.create(
        model="toy",
        file=("x.flac", media_toys.sound_file("FLAC")),
        response_format="text",
    )
    assert plain == "heard: write down, sound\n"
    with pytest.raises(openai.BadRequestError, match="wav, flac, ogg"):
        client.audio.transcriptions.create(model="toy", file=("x.wav", b"no sound"))


def test_pictures(served: Served) -> None:
    found = served.client().images.generate(
        model="toy", prompt="seven in red", n=2, response_format="b64_json"
    )
    assert found.data is not None and len(found.data) == 2
    data = base64.b64decode(found.data[0].b64_json or "")
    np.testing.assert_array_equal(
        pictures.read_picture(data), media_toys.picture(24, 24)
    )
    assert served.answerer.asked[-1].messages[0].parts[0].text == "draw seven in red"
    with pytest.raises(openai.BadRequestError, match="24x24"):
        served.client().images.generate(model="toy", prompt="x", size="1024x1024")


def test_models_health_and_the_page(served: Served) -> None:
    client = served.client()
    assert [m.id for m in client.models.list()] == ["toy"]
    assert client.models.retrieve("toy").owned_by == "t2t"
    with pytest.raises(openai.NotFoundError, match="there is no model 'tye'"):
        client.models.retrieve("tye")
    with served.http() as http:
        assert http.get("/healthz").json()["status"] == "ok"
        page = http.get("/")
        assert page.status_code == 200 and "<html" in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        script = http.get("/page.js").text + http.get("/sound.js").text
        for name in ("/page.js", "/sound.js", "/recorder.js", "/page.css"):
            assert name[1:] in page.text + script
            assert http.get(name).status_code == 200


def test_a_key_is_asked_for(locked: Served) -> None:
    assert locked.client().chat.completions.create(model="toy", messages=ASK).choices
    wrong = locked.client().with_options(api_key="open")
    with pytest.raises(openai.AuthenticationError, match="API key is wrong"):
        wrong.chat.completions.create(model="toy", messages=ASK)
    with pytest.raises(openai.AuthenticationError):
        wrong.models.list()
    with locked.http() as http:
        assert http.get("/healthz", headers={"authorization": ""}).status_code == 200


def test_while_it_is_being_loaded_clients_are_told_to_come_again() -> None:
    for served in started(ServeOptions(port=0), load=False):
        with served.http() as http:
            health = http.get("/healthz")
            assert health.status_code == 503
            assert health.json()["status"] == "loading"
            answer = http.post("/v1/chat/completions", json={"messages": ASK})
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["code"] == "loading"
        answerer = served.answerer
        served.running.load(answerer)
        assert served.client().chat.completions.create(model="", messages=ASK).choices
