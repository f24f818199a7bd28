"""Runs over texts behind the server: answers are the decoder's, many at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import kit
import openai
import pytest
from fakes import FakeAnswerer
from prometheus_client.parser import text_string_to_metric_families

from t2t.decode.answering import answerer
from t2t.decode.decoder import Decoder
from t2t.decode.options import DecodeOptions
from t2t.run import checkpoints
from t2t.serve.reloading import Checkpoint, Watch
from t2t.serve.server import Running
from t2t.serve.service import ServeOptions

TEXTS = ["1 2 3", "4", "", "5 6 7 8 9 0 1 2", "9 9", "3 1", "1 2 3 4 5 6", "7 7 7"]
BEAMS = DecodeOptions(beam_size=3, extra_length=6, batch_size=1)


class Texts:
    """A problem as far as a decoder looks at it."""

    def __init__(self, model: str) -> None:
        self._features = kit.features(model)

    def offered(self) -> Any:
        return self._features


def _decoder(name: str) -> Decoder:
    model = kit.make(name, shallow=True)
    kit.randomise(model)
    return Decoder(Texts(name), model, max_length=16)


Served = tuple[Running, Decoder, httpx.Client]


def _served(name: str) -> Iterator[Served]:
    decoder = _decoder(name)
    running = Running("toy", ServeOptions(port=0, max_sessions=8))
    with running.beside(), httpx.Client(base_url=running.url, timeout=120) as http:
        running.load(answerer(decoder, options=BEAMS, rows=3), step=7)
        yield running, decoder, http


@pytest.fixture(scope="module")
def translator() -> Iterator[Served]:
    yield from _served("transformer")


@pytest.fixture(scope="module")
def writer() -> Iterator[Served]:
    yield from _served("transformer_lm")


def _metrics(http: httpx.Client) -> dict[str, float]:
    families = text_string_to_metric_families(http.get("/metrics").text)
    return {
        s.name + "".join(f" {v}" for v in s.labels.values()): s.value
        for family in families
        for s in family.samples
    }


def test_translations_are_the_decoders(translator: Served) -> None:
    """Whatever is decoded beside them: eight clients, three rows."""
    _, decoder, http = translator
    every = DecodeOptions(**{**vars(BEAMS), "return_beams": True})
    expected = list(decoder.outputs(TEXTS, every))

    def ask(i: int) -> Any:
        body = {"texts": TEXTS[i:] + TEXTS[:i], "n": 2, "model": "toy"}
        return http.post("/v1/translate", json=body).json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(len(TEXTS))))
    for i, answer in enumerate(answers):
        assert answer["step"] == 7 and answer["usage"]["total_tokens"] > 0
        for j, found in enumerate(answer["data"]):
            right = expected[(i + j) % len(TEXTS)]
            assert found["index"] == j and len(found["translations"]) == 2
            for one, output in zip(found["translations"], right, strict=False):
                assert one["text"] == output.text
                assert one["score"] == pytest.approx(output.score, abs=1e-4)
    found = _metrics(http)
    assert found["t2t_rows_taken"] == found["t2t_waiting"] == 0
    assert found["t2t_rows"] == 6 and found["t2t_checkpoint_step"] == 7
    assert found["t2t_requests_total /v1/translate 200"] >= 8
    assert found["t2t_request_seconds_count /v1/translate"] >= 8
    assert found["t2t_tokens_total answers"] > 0


def test_greedy_and_chat_are_the_decoders_too(translator: Served) -> None:
    running, decoder, http = translator
    body = {"texts": TEXTS, "beam_size": 1, "alpha": 0}
    found = http.post("/v1/translate", json=body).json()["data"]
    greedy = DecodeOptions(beam_size=1, alpha=0.0, extra_length=6)
    texts = [one["translations"][0]["text"] for one in found]
    assert texts == decoder.decode(TEXTS, greedy)
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none")
    ask: Any = [{"role": "user", "content": "1 2 3"}]
    answer = client.chat.completions.create(model="toy", messages=ask)
    assert answer.choices[0].message.content == decoder.decode(["1 2 3"], BEAMS)[0]
    (model,) = client.models.list()
    assert model.model_extra is not None
    assert model.model_extra["step"] == 7
    assert model.model_extra["abilities"] == ["chat", "translate"]


@pytest.mark.parametrize(
    "body, why",
    [
        ({"texts": []}, "1 to 128"),
        ({"texts": [3]}, "a string is expected"),
        ({"texts": "1", "n": 4}, "beams of 1 and 3"),
        ({"texts": "1", "beam_size": 2}, "beams of 1 and 3"),
        ({"texts": "x"}, "'x'"),
        ({"texts": "1 " * 40}, "at most 16"),
        ({"texts": "1", "beam": 4}, "beam_size"),
        ({"texts": "1", "model": "tye"}, "no model 'tye'"),
    ],
)
def test_what_is_wrong_is_named(translator: Served, body: Any, why: str) -> None:
    answer = translator[2].post("/v1/translate", json=body)
    assert answer.status_code in (400, 404), answer.text
    assert why in answer.json()["error"]["message"]


def test_a_run_says_which_routes_it_answers(translator: Served, writer: Served) -> None:
    wrong = translator[2].post("/v1/completions", json={"prompt": "1"})
    assert wrong.json()["error"]["code"] == "unsupported_route"
    assert "/v1/translate" in wrong.json()["error"]["message"]
    wrong = writer[2].post("/v1/translate", json={"texts": "1"})
    assert "/v1/completions" in wrong.json()["error"]["message"]


def test_completions_are_the_decoders(writer: Served) -> None:
    running, decoder, _ = writer
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    prompts = ["1 2 3", "4"]
    greedy = DecodeOptions(beam_size=1, alpha=0.0, extra_length=6)
    expected = decoder.decode(prompts, greedy)
    found = client.completions.create(model="toy", prompt=prompts)
    assert [c.text for c in found.choices] == expected
    assert found.usage is not None and found.usage.prompt_tokens == 4
    short = client.completions.create(model="toy", prompt="1 2 3", max_tokens=2)
    words = expected[0].split()
    assert short.choices[0].text.split() == words[:2]
    assert short.choices[0].finish_reason == "length"
    echoed = client.completions.create(model="toy", prompt="1 2 3", echo=True)
    assert echoed.choices[0].text == "1 2 3" + expected[0]
    stop = words[-1]
    stopped = client.completions.create(model="toy", prompt="1 2 3", stop=[stop])
    assert stopped.choices[0].text == expected[0].partition(stop)[0]
    assert stopped.choices[0].finish_reason == "stop"


def test_samples_are_the_decoders_and_stream(writer: Served) -> None:
    running, decoder, _ = writer
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    options = DecodeOptions(
        sampling=True, temperature=0.7, top_p=0.9, seed=5, num_samples=2, extra_length=6
    )
    (expected,) = decoder.outputs(["1 2 3"], options)
    asked: Any = {
        "model": "toy", "prompt": "1 2 3", "n": 2, "temperature": 0.7, "top_p": 0.9,
        "seed": 5,
    }  # fmt: skip
    found = client.completions.create(**asked)
    assert [c.text for c in found.choices] == [output.text for output in expected]
    stream: Any = client.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    texts, finishes, usage = ["", ""], [], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            finishes.append(choice.finish_reason)
    assert texts == [c.text for c in found.choices]
    assert sorted(f for f in finishes if f) == sorted(
        c.finish_reason for c in found.choices
    )
    assert usage == found.usage


# -- checkpoints, and the end ----------------------------------------------------------


def test_a_newer_checkpoint_answers_and_the_older_finishes(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    checkpoints.path_of(folder, 1).touch()
    made: list[FakeAnswerer] = []

    def load(path: Path) -> FakeAnswerer:
        if checkpoints.step_of(path) == 2:
            raise checkpoints.CheckpointError("it is damaged")
        made.append(FakeAnswerer())
        return made[-1]

    checkpoint = Checkpoint(lambda: checkpoints.resolve(tmp_path), load)
    running = Running("toy", ServeOptions(port=0))
    failed: list[str] = []

    def take() -> None:
        try:
            running.load(*checkpoint.take())
        except checkpoints.CheckpointError as error:
            failed.append(str(error))

    def until(what: Any) -> None:
        ends = time.monotonic() + 20
        while not what():
            assert time.monotonic() < ends
            time.sleep(0.01)

    with running.beside(), httpx.Client(base_url=running.url, timeout=60) as http:
        take()
        watch = Watch(checkpoint, take, seconds=0.02)
        body = {"messages": [{"role": "user", "content": "wait"}]}
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(http.post, "/v1/chat/completions", json=body)
            until(lambda: made[0].begun == 1)
            checkpoints.path_of(folder, 2).touch()
            until(lambda: failed)
            assert http.get("/v1/models/toy").json()["step"] == 1
            checkpoints.path_of(folder, 3).touch()
            until(lambda: running.service.step == 3)
            made[0].release.set()
            assert waiting.result().json()["choices"][0]["message"]["content"]
        assert made[0].left == 0 and made[1].begun == 0
        ask = {"messages": [{"role": "user", "content": "x"}]}
        assert http.post("/v1/chat/completions", json=ask).status_code == 200
        assert made[1].begun == 1 and len(failed) == 1
        watch.close()


def test_what_was_accepted_is_answered_before_the_end() -> None:
    running, fake = Running("toy", ServeOptions(port=0)), FakeAnswerer()
    with ThreadPoolExecutor(1) as pool, httpx.Client(timeout=60) as http:
        with running.beside():
            running.load(fake)
            body = {"messages": [{"role": "user", "content": "wait"}]}
            url = f"{running.url}/v1/chat/completions"
            waiting = pool.submit(http.post, url, json=body)
            while not fake.begun:
                time.sleep(0.01)
            threading.Timer(0.3, fake.release.set).start()
        assert waiting.result().status_code == 200
        with pytest.raises(httpx.ConnectError):
            http.post(url, json=body)
