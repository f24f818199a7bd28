"""What strangers send: refused in a line with a status below 500, and no harm done."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import media_toys
import numpy as np
import pytest
from fakes import FakeAnswerer
from running import Served, started

from t2t.decode.fields import RequestError
from t2t.media import audio
from t2t.serve.replies import Events
from t2t.serve.service import ServeOptions, Service
from t2t.serve.worker import Worker

ASK = {"messages": [{"role": "user", "content": "say seven"}]}
WAIT = {"messages": [{"role": "user", "content": "wait"}]}


def _part(part: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


def _wav(data: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode()
    return _part(
        {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}
    )


def _nan() -> bytes:
    """A WAV of floats, one of them none."""
    body = np.array([0.1, np.nan, 0.2], "<f4").tobytes()
    return media_toys.wav(bits=32, kind=3, body=body)


def _image(url: str) -> dict[str, Any]:
    return _part({"type": "image_url", "image_url": {"url": url}})


BODIES: list[tuple[str, bytes | dict[str, Any], int, str]] = [
    ("nothing", b"", 400, "JSON is expected"),
    ("half", b'{"messages": [', 400, "JSON is expected"),
    ("deep", b"[" * 250_000, 400, "too deeply"),
    ("deep parts", b'{"messages":' * 20_000, 400, "too deeply"),
    ("no object", b"3", 400, "an object is expected"),
    ("NaN", b'{"messages": NaN}', 400, "NaN"),
    ("huge number", b'{"seed": 1e999, "messages": 3}', 400, "an integer"),
    ("UTF-16", '{"messages": "é"}'.encode("utf-16"), 400, "an array"),
    ("no UTF", b'{"messages": "\xff\xfe\xfd"}', 400, "JSON is expected"),
    ("surrogate", b'{"\\ud800": 1, "messages": []}', 400, "no field"),
    ("wrong types", {"messages": {"role": "user"}}, 400, "an array is expected"),
    ("another model", {**ASK, "model": "gpt-5"}, 404, "there is no model 'gpt-5'"),
    ("no sound", _wav(b"RIFFnothing"), 400, "is given"),
    ("0 bytes", _wav(b""), 400, "0 bytes"),
    ("NaN in a sound", _wav(_nan()), 400, "NaN"),
    ("a rate of 7", _wav(media_toys.wav(rate=7)), 400, "samples a second"),
    ("a rate of 4 GHz", _wav(media_toys.wav(rate=2**32 - 1)), 400, "samples a second"),
    ("too long", _wav(audio.encode_wav(np.zeros(99_000, "f4"), 1_000)), 400, "30 s"),
    ("a bomb", _image("data:image/png;base64," + base64.b64encode(
        media_toys.png(60_000, 60_000, pixels=b"")).decode()), 400, "pixels"),
    ("a file URL", _image("file:///etc/passwd"), 400, "file: URLs are not read"),
    ("a path", _image("/etc/passwd"), 400, "in the folder"),
    ("a way up", _image("../../etc/passwd"), 400, "without '..'"),
    ("this machine", _image("http://127.0.0.1:22/"), 400, "not allowed here"),
    ("metadata", _image("http://169.254.169.254/latest"), 400, "not allowed here"),
    ("gopher", _image("gopher://x"), 400, "gopher: URLs are not read"),
    ("long scheme", _image("a" * 5000 + ":x"), 400, "in the folder"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "words"), [b[1:] for b in BODIES], ids=[b[0] for b in BODIES]
)
def test_a_bad_request_is_told_so(
    served: Served, body: Any, status: int, words: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with served.http() as http:
        for path in ("/v1/chat/completions", "/v1/audio/speech"):
            answer = http.post(path, content=content)
            error = answer.json()["error"]
            assert 400 <= answer.status_code < 500, error
            assert len(error["message"]) < 500
            if path.endswith("completions"):
                assert (answer.status_code, words in error["message"]) == (
                    status,
                    True,
                ), error
        assert http.post("/v1/chat/completions", json=ASK).status_code == 200
    assert len(served.answerer.asked) == 1


OTHERS: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", "/v1/audio/transcriptions", {"content": b"x"}, 400),
    ("POST", "/v1/audio/transcriptions", {"data": {"model": "toy"}}, 400),
    ("POST", "/v1/audio/transcriptions", {"data": {"file": "text"}}, 400),
    ("POST", "/v1/audio/transcriptions", {"files": {"file": b""}}, 400),
    ("POST", "/v1/audio/transcriptions", {"files": {"file": b"no sound"}}, 400),
    (
        "POST", "/v1/audio/transcriptions",
        {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data"}},
        400,
    ),
    (
        "POST", "/v1/audio/transcriptions",
        {"content": b"\0\xff" * 50,
         "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400,
    ),
    ("POST", "/v1/audio/transcriptions",
     {"files": [("file", b"a"), ("file", b"b")]}, 400),
    ("POST", "/v1/audio/speech", {"json": {"input": ""}}, 400),
    ("POST", "/v1/audio/speech", {"json": {"input": "x" * 5000}}, 400),
    ("POST", "/v1/audio/speech", {"json": {"input": "x", "voice": "tuba"}}, 400),
    ("POST", "/v1/images/generations", {"json": {"prompt": 3}}, 400),
    ("POST", "/v1/images/generations", {"json": {"prompt": "x", "n": 99}}, 400),
    ("POST", "/v1/chat/completion", {"json": ASK}, 404),
    ("GET", "/v1/chat/completions", {}, 405),
    ("GET", "/page/../../setup.py", {}, 404),
    ("GET", "/%2e%2e/%2e%2e/etc/passwd", {}, 404),
    ("DELETE", "/v1/models/toy", {}, 405),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "sent", "status"), OTHERS)
def test_other_routes(
    served: Served, method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    with served.http() as http:
        answer = http.request(method, path, **sent)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_a_large_body_is_refused_by_what_it_promises(served: Served) -> None:
    """Nothing of it is sent, and the answer comes all the same."""
    answer = _raw(served, "POST /v1/chat/completions", ["content-length: 999999999"])
    assert answer.startswith(b"HTTP/1.1 413")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    answer = _raw(
        served, "POST /v1/chat/completions", ["transfer-encoding: chunked"],
        body=chunk * 6,
    )  # fmt: skip
    assert answer.startswith(b"HTTP/1.1 413")
    for length in ("-1", "a", "1" * 5_000):
        answer = _raw(
            served, "POST /v1/chat/completions", [f"content-length: {length}"]
        )
        assert answer[9:12] in (b"400", b"413")


def test_pages_of_others_and_other_names_are_refused(served: Served) -> None:
    with served.http() as http:
        for headers in (
            {"origin": "http://evil.example"},
            {"origin": "null"},
            {"origin": "http://["},
            {"host": "evil.example"},
            {"host": "evil.example:80", "origin": "http://evil.example:80"},
        ):
            answer = http.post("/v1/chat/completions", json=ASK, headers=headers)
            assert answer.status_code == 403, headers
        own = {"origin": served.url}
        assert http.post("/v1/chat/completions", json=ASK, headers=own).is_success


def test_a_fault_of_ours_says_nothing_of_itself(served: Served) -> None:
    body = {"messages": [{"role": "user", "content": "fail"}]}
    with served.http() as http:
        answer = http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 500
        assert answer.json()["error"]["message"] == "the server failed"
        assert http.post("/v1/chat/completions", json=ASK).status_code == 200


def test_a_body_that_never_comes_is_not_waited_for() -> None:
    for served in started(ServeOptions(port=0, reading=0.2, max_sessions=1)):
        answer = _raw(
            served, "POST /v1/chat/completions", ["content-length: 100"], body=b"{"
        )
        assert answer.startswith(b"HTTP/1.1 408")
        with served.http() as http:
            assert http.post("/v1/chat/completions", json=ASK).status_code == 200


def test_an_answer_that_takes_too_long_ends() -> None:
    for served in started(ServeOptions(port=0, deadline=0.2, max_sessions=1)):
        with served.http() as http:
            answer = http.post("/v1/chat/completions", json=WAIT)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "timeout"
            assert http.post("/v1/chat/completions", json=ASK).status_code == 200
        assert served.answerer.left == 1


# -- crowds --------------------------------------------------------------------------


def test_of_many_at_once_each_is_answered_or_told_when_to_come(served: Served) -> None:
    async def all_at_once() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=served.url, timeout=60, limits=limits
        ) as http:
            asked = [http.post("/v1/chat/completions", json=WAIT) for _ in range(64)]
            tasks = [asyncio.ensure_future(one) for one in asked]
            # Those that found no place are told at once.
            while sum(task.done() for task in tasks) < 60:
                await asyncio.sleep(0.01)
            served.answerer.release.set()
            return await asyncio.gather(*tasks)

    answers = asyncio.run(all_at_once())
    statuses = [answer.status_code for answer in answers]
    assert sorted(set(statuses)) == [200, 429]
    assert statuses.count(200) == 4
    for answer in answers:
        if answer.status_code == 429:
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert answer.json()["error"]["type"] == "rate_limit_error"
    with served.http() as http:
        assert http.post("/v1/chat/completions", json=ASK).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_who_goes_away_leaves_a_place(served: Served, stream: bool) -> None:
    body = json.dumps({**WAIT, "stream": stream}).encode()
    answerer = served.answerer
    for _ in range(2):
        begun = answerer.begun
        sockets = [_send(served, body) for _ in range(4)]
        # One lane: one is being answered, three wait.
        _until(lambda: served.running.service.worker.waiting == 4)
        _until(lambda begun=begun: answerer.begun > begun)
        with served.http() as http:
            assert http.post("/v1/chat/completions", json=ASK).status_code == 429
        for one in sockets:
            one.close()
        _until(lambda: served.running.service.worker.waiting == 0)
        assert answerer.left == answerer.begun
    steps = answerer.steps
    with served.http() as http:
        assert http.post("/v1/chat/completions", json=ASK).status_code == 200
    assert answerer.steps == steps


def test_who_reads_nothing_is_let_go() -> None:
    """A stream whose client takes nothing: its work ends and its place is free."""

    async def streamed() -> None:
        service = Service("toy", ServeOptions(max_sessions=1))
        answerer = FakeAnswerer()
        service.ready(answerer)
        place = service.admit()
        request = service.parse({**WAIT, "stream": True})
        work = service.submit("x", request)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) > 2:
                await asyncio.Event().wait()

        async def receive() -> Any:
            await asyncio.Event().wait()

        events = Events(
            work, lambda item: ["an item"],
            first=[1], items=aiter(work), place=place, stalled=0.1,
        )  # fmt: skip
        with pytest.raises(RequestError):
            service.admit()
        await events({"type": "http"}, receive, send)
        service.admit().free()
        while service.worker.waiting:
            await asyncio.sleep(0.01)
        assert answerer.left == 1
        service.worker.close()

    asyncio.run(streamed())


def test_lanes_take_turns() -> None:
    """A long answer of one client, and then short ones of others, step by step."""
    order: list[str] = []

    def steps(name: str, count: int) -> Iterator[int]:
        for i in range(count):
            order.append(name)
            yield i

    async def ask() -> None:
        worker = Worker()
        async with asyncio.timeout(30):
            first = worker.submit("a", lambda: steps("a", 400), deadline=60)
            second = worker.submit("a", lambda: steps("A", 2), deadline=60)
            third = worker.submit("b", lambda: steps("b", 3), deadline=60)
            assert await third.last() == 2
            assert await first.last() == 399 and await second.last() == 1
        worker.close()

    asyncio.run(ask())
    assert order.index("A") > 400  # the same client's second waits for its first
    at = [i for i, name in enumerate(order) if name == "b"]
    assert [order[i + 1] for i in at[:2]] == ["a", "a"]  # nor waits a client for it


# -- plain sockets -------------------------------------------------------------------


def _connect(served: Served) -> socket.socket:
    options = served.running.options
    return socket.create_connection((options.host, options.port), timeout=30)


def _send(served: Served, body: bytes) -> socket.socket:
    """A request whose answer is not read."""
    made = _connect(served)
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
    made.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return made


def _raw(served: Served, line: str, headers: list[str], *, body: bytes = b"") -> bytes:
    """The first bytes of the answer to a request written by hand."""
    with _connect(served) as made:
        head = "\r\n".join([f"{line} HTTP/1.1", "host: localhost", *headers, "", ""])
        made.sendall(head.encode())
        try:
            made.sendall(body)
        except OSError:
            pass  # it has been answered already
        return made.recv(65_536)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
