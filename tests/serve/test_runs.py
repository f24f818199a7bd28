"""Runs themselves behind the server: a text model as a process, an omni here."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import media_toys
import numpy as np
import openai
import pytest
import toy_omni

import t2t
from t2t.decode.answering import answerer
from t2t.decode.decoder import Decoder
from t2t.media import audio
from t2t.serve.server import Running
from t2t.serve.service import ServeOptions

ROOT = Path(__file__).resolve().parents[2]


def _client(url: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300
    )


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a step, on a generated problem."""
    return t2t.train(
        problem="algorithmic_copy", hparams_set="transformer_test", strategy="none",
        output_dir=tmp_path_factory.mktemp("runs") / "copy", train_steps=1,
        eval_steps=1, decode_examples=1, tokens_per_batch=64,
    )  # fmt: skip


@pytest.fixture(scope="module")
def process(text_run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`t2t-serve` of the text run, and where it is."""
    words = [sys.executable, "-m", "t2t.bin.serve", f"--output_dir={text_run}"]
    started = subprocess.Popen(
        [*words, "--port=0", "--max_sessions=2"],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert started.stderr is not None
    try:
        for line in started.stderr:
            found = re.search(r"copy answers at (\S+)", line)
            if found:
                break
        else:
            raise AssertionError("it does not answer")
        yield started, found[1]
    finally:
        started.kill()
        started.wait()


def test_a_text_run_answers_on_the_text_routes(
    process: tuple[subprocess.Popen[str], str], text_run: Path
) -> None:
    client = _client(process[1])
    ask: Any = [{"role": "system", "content": "x"}, {"role": "user", "content": "3 1"}]
    found = client.chat.completions.create(model="copy", messages=ask)
    decoder = t2t.load(text_run)
    assert isinstance(decoder, Decoder)
    (expected,) = decoder.decode(["3 1"])
    assert found.choices[0].message.content == expected
    assert found.usage is not None and found.usage.prompt_tokens == 2
    cut = client.chat.completions.create(model="copy", messages=ask, max_tokens=1)
    assert cut.choices[0].message.content == " ".join(expected.split()[:1])
    assert cut.choices[0].finish_reason in ("length", "stop")
    stream = client.chat.completions.create(model="copy", messages=ask, stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in stream)
    assert text == expected
    sampled = [
        client.chat.completions.create(
            model="copy", messages=ask, temperature=1.0, seed=seed, n=2
        ).choices
        for seed in (1, 1, 2)
    ]
    assert sampled[0] == sampled[1] and len(sampled[0]) == 2
    assert [m.id for m in client.models.list()] == ["copy"]


def test_a_text_run_says_what_it_does_not_do(
    process: tuple[subprocess.Popen[str], str],
) -> None:
    client = _client(process[1])
    with pytest.raises(openai.BadRequestError, match="answers in text only"):
        client.audio.speech.create(model="copy", voice="alto", input="3 1")
    with pytest.raises(openai.BadRequestError, match="answers in text only"):
        client.images.generate(model="copy", prompt="3 1")
    wav = io.BytesIO(audio.encode_wav(media_toys.tone(), 16_000))
    with pytest.raises(openai.BadRequestError, match="reads no sound"):
        client.audio.transcriptions.create(model="copy", file=("x.wav", wav))
    with pytest.raises(openai.BadRequestError, match="has no symbol|'x'"):
        client.chat.completions.create(
            model="copy", messages=[{"role": "user", "content": "x y"}]
        )


def test_it_ends_when_it_is_told_to(
    process: tuple[subprocess.Popen[str], str],
) -> None:
    started = process[0]
    started.send_signal(signal.SIGINT)
    assert started.wait(60) in (0, 130)


# -- an omni -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def omni(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    run = toy_omni.omni_run(tmp_path_factory.mktemp("runs") / "omni")
    running = Running("omni", ServeOptions(port=0))
    with running.beside():
        running.load(answerer(t2t.load(run)))
        yield _client(running.url)


def test_an_omni_answers_on_every_route(omni: openai.OpenAI) -> None:
    spoken = omni.audio.speech.create(
        model="omni", voice="alto", input="seven", response_format="wav"
    )
    samples, rate = audio.read_audio(spoken.content)
    assert rate == 16_000 and len(samples) >= 640
    heard = audio.encode_wav(samples[:16_000], rate)
    text = omni.audio.transcriptions.create(model="omni", file=("x.wav", heard)).text
    assert isinstance(text, str)
    drawn = omni.images.generate(model="omni", prompt="seven")
    assert drawn.data is not None and drawn.data[0].b64_json
    seen: Any = {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{drawn.data[0].b64_json}"},
    }
    asked: Any = [{"role": "user", "content": [seen, {"type": "text", "text": "what"}]}]
    stream: Any = omni.chat.completions.create(
        model="omni", messages=asked, modalities=["text", "audio"], stream=True,
        audio={"voice": "bass", "format": "pcm16"}, seed=1, max_tokens=20,
    )  # fmt: skip
    count = sum(
        len(base64.b64decode(c.choices[0].delta.audio.data or ""))
        for c in stream
        if c.choices and c.choices[0].delta.audio
    )
    assert count > 0
    long: Any = [{"role": "user", "content": "seven " * 500}]
    with pytest.raises(openai.BadRequestError, match="at most 256"):
        omni.chat.completions.create(model="omni", messages=long)


def _frames(count: int, *, loud: bool) -> list[str]:
    """Pieces of 40 ms at 16 kHz."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(count, 640)) * (6_000 if loud else 0)
    return [base64.b64encode(n.astype("<i2").tobytes()).decode() for n in noise]


def test_an_omni_is_talked_with_and_interrupted(omni: openai.OpenAI) -> None:
    format: Any = {"type": "audio/pcm", "rate": 16_000}
    with omni.realtime.connect(model="omni") as connection:
        events: list[str] = []

        def until(kind: str) -> Any:
            while True:
                event = connection.recv()
                events.append(event.type)
                assert event.type != "error", event
                if event.type == kind:
                    return event

        def hear(count: int, *, loud: bool) -> None:
            for piece in _frames(count, loud=loud):
                connection.input_audio_buffer.append(audio=piece)

        until("session.created")
        connection.session.update(
            session={
                "type": "realtime",
                "audio": {"input": {"format": format}, "output": {"format": format}},
            }
        )
        until("session.updated")
        hear(5, loud=False)
        for turn in range(2):
            hear(12, loud=True)
            until("input_audio_buffer.speech_started")
            hear(20, loud=False)
            until("input_audio_buffer.speech_stopped")
            until("response.output_audio.delta")
            if turn == 0:
                hear(8, loud=True)  # over its answer
                until("input_audio_buffer.speech_started")
                hear(20, loud=False)
                until("input_audio_buffer.speech_stopped")
            assert until("response.done").response.status in ("completed", "cancelled")
        item: Any = {
            "type": "message", "role": "user",
            "content": [{"type": "input_text", "text": "say seven"}],
        }  # fmt: skip
        time.sleep(0.1)
        if events.count("response.done") < events.count("response.created"):
            until("response.done")
        connection.conversation.item.create(item=item)
        connection.response.create(response={"output_modalities": ["text"]})
        until("response.output_text.done")
        assert until("response.done").response.status == "completed"
