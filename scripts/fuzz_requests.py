"""Requests over HTTP that should not be, for fuzz_serve."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import socket
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import media_toys  # pyright: ignore[reportMissingImports]
import numpy as np
from fuzz_cases import DEADLINE, Cases

CHAT, SPEECH = "/v1/chat/completions", "/v1/audio/speech"
HEARD, DRAWN = "/v1/audio/transcriptions", "/v1/images/generations"
Rng = np.random.Generator
Sent = tuple[str, str, dict[str, Any]]  # method, path, more for httpx
MOST = 24 * 2**20  # bytes of a body that the server takes


# -- of the OpenAPI document ---------------------------------------------------------


def schema(cases: Cases, count: int) -> None:
    """As many requests, by schemathesis: half right, half wrong."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis import GenerationMode

    loaded = schemathesis.openapi.from_url(f"{cases.server.url}/openapi.json")
    every: Any = loaded.get_all_operations()
    operations = [found.ok() for found in every]
    # What has no body is soon told all that there is.
    operations.sort(key=lambda operation: operation.method)
    plans = [(o, mode) for o in operations for mode in GenerationMode]
    part, unchecked = cases.parts[cases.name], list[Any](HealthCheck)
    last = part.count + count
    for number, (operation, mode) in enumerate(plans):
        share = (last - part.count) // (len(plans) - number)
        if not share:  # fewer cases than plans: the later ones get them
            continue

        @seed(cases.seed + 1_000 * part.count + number)
        @settings(
            max_examples=min(share, 8) if operation.method == "get" else share,
            database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=unchecked,
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            if part.count < last:
                _send_case(cases, case)

        # There is nothing wrong with a request that has nothing in it.
        with contextlib.suppress(Unsatisfiable):
            send()


def _send_case(cases: Cases, case: Any) -> None:
    """One of schemathesis's."""
    import requests
    from schemathesis.core.failures import FailureGroup

    what = f"{case.method} {case.formatted_path} {case.media_type} {case.body!r}"
    with cases.case(what) as ends:
        try:
            answer = case.call(timeout=DEADLINE)
        except requests.Timeout:
            raise TimeoutError from None
        except (requests.RequestException, ValueError):
            ends["not sent"] += 1  # by requests, which refuses some headers and paths
            return
        ends[str(answer.status_code)] += 1
        headers = {name: values[0] for name, values in answer.headers.items()}
        cases.status(answer.status_code, headers, answer.content, what)
        try:
            case.validate_response(answer, checks=_checks())
        except FailureGroup as group:
            why = "; ".join(str(e) for e in group.exceptions)
            cases.fail("schema", " ".join(why.split())[:500], what)


def _checks() -> list[Any]:
    from schemathesis.specs.openapi import checks

    return [checks.response_schema_conformance, checks.content_type_conformance]


# -- files ---------------------------------------------------------------------------


def one(rng: Rng, values: Any) -> Any:
    """Of a list, whatever it holds."""
    return values[int(rng.integers(len(values)))]


@functools.cache
def whole(kind: str) -> list[bytes]:
    """Files that are what they say."""
    made = {
        "sound": media_toys.sounds,
        "picture": media_toys.still_pictures,
        "film": media_toys.films,
    }
    return list(made[kind]().values())


def spoilt(rng: Rng, data: bytes) -> bytes:
    """A file with some bytes of another value, cut, inserted, or said again."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(found) + 1) ** one(rng, [1, 0.5]))
        how, size = rng.integers(4), int(rng.integers(1, 65))
        if how == 0:
            found[at : at + size] = rng.bytes(len(found[at : at + size]))
        elif how == 1:
            del found[at:]
        elif how == 2:
            found[at:at] = one(rng, [b"\0", b"\xff", b"\x7f\xff\xff\xff"]) * size
        else:
            found[at:at] = found[: int(rng.integers(len(found) + 1))]
    return bytes(found)


def wrong_sound(rng: Rng) -> bytes:
    """A WAV whose head lies, or that is too long, or holds what is no number."""
    kind = one(rng, ["head", "long", "numbers"])
    if kind == "long":
        return media_toys.wav_of(np.zeros(int(rng.integers(450_000, 700_000)), "f4"))
    if kind == "numbers":
        values = np.array([np.nan, np.inf, -np.inf, 1e38, 0, 1e-40], "<f4")
        body = rng.choice(values, int(rng.integers(1, 3_000))).tobytes()
        return media_toys.wav(bits=32, kind=3, body=body)
    return media_toys.wav(
        channels=one(rng, [0, 1, 2, 8, 9, 255]),
        rate=one(rng, [0, 1, 7, 999, 8_000, 16_000, 44_100, 192_001, 2**32 - 1]),
        bits=one(rng, [0, 1, 8, 13, 16, 24, 32, 64]),
        kind=one(rng, [0, 1, 2, 3, 6, 7, 17, 0xFFFE, 65_535]),
        promised=one(rng, [None, 0, 1, 2**31, 2**32 - 1]),
        body=rng.bytes(int(rng.integers(0, 5_000))),
    )


def wrong_picture(rng: Rng) -> bytes:
    """A bomb, of its head, of its pixels, of a text, or of frames."""
    height, width = (int(one(rng, [0, 1, 24, 4_000, 60_000, 2**31 - 1])) for _ in "hw")
    squeezed = zlib.compress(bytes(2**24))
    kind = one(rng, ["head", "pixels", "text", "frames"])
    if kind == "head":
        return media_toys.png(height, width, pixels=b"")
    if kind == "pixels":
        return media_toys.png(24, 24, pixels=squeezed)
    if kind == "text":
        text = media_toys.chunk(b"zTXt", b"x\0\0" + squeezed)
        return media_toys.png(24, 24, between=text * int(rng.integers(1, 40)))
    canvas = int(one(rng, [2, 1_000, 65_535]))
    return media_toys.gif(int(rng.integers(1, 20_000)), canvas=canvas)


def file(rng: Rng, kind: str) -> bytes:
    """A file that is right, or broken, or a lie, or none."""
    how = rng.random()
    if how < 0.1:
        return one(rng, whole(kind))
    if how < 0.6:
        return spoilt(rng, one(rng, whole(kind)))
    if how < 0.7:
        return one(rng, [b"", b"\0" * 100, rng.bytes(2_000), b"<svg/>", b"%PDF-1.4"])
    if how < 0.8:  # of another kind
        return one(rng, whole(one(rng, ["sound", "picture", "film"])))
    return wrong_sound(rng) if kind == "sound" else wrong_picture(rng)


# -- requests ------------------------------------------------------------------------

URLS = (
    "file:///etc/passwd", "/etc/passwd", "../../etc/passwd", "http://127.0.0.1:22/",
    "http://localhost/", "http://10.0.0.1/", "http://169.254.169.254/latest",
    "http://[::1]/", "http://0x7f000001/", "http://2130706433/", "https://192.168.0.1",
    "gopher://x", "ftp://x/y", "javascript:alert(1)", "data:", "data:,",
    "data:image/png;base64,%%%", "data:image/png;base64," + "A" * 100_001, "", ":",
    "data:;base64,",
    "//", "\0", "a" * 100_000, "data:image/png," + "%00" * 3_000, "http://", "é:é",
    "blob:http://x/y", "unix:///var/run/docker.sock", "\\\\host\\share",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0, 1.5,
    "", " ", "\0", "\ud800", "\u202e", "x" * 10_000, "é" * 1_000, [], {}, [[]], [None],
    {"": None}, {"a": {"b": {}}}, [{}] * 300, "true", "NaN", "audio", "text",
)  # fmt: skip


def url(rng: Rng, kind: str) -> str:
    """A reference to a file, or to what should not be read."""
    if rng.random() < 0.3:
        return one(rng, URLS)
    data = base64.b64encode(file(rng, kind)).decode()
    types = ["image/png", "audio/wav", "video/mp4", "text/html", "", "x/y;a=b"]
    return f"data:{one(rng, types)};base64,{data}"


def part(rng: Rng) -> dict[str, Any]:
    """Of a message."""
    kind = one(rng, ["sound", "picture", "film", "input_audio", "text"])
    if kind == "text":
        return {"type": "text", "text": one(rng, ["say seven", "", "x" * 3_000, "\0"])}
    if kind == "input_audio":
        data = base64.b64encode(file(rng, "sound")).decode()
        format = one(rng, ["wav", "mp3", "flac", "pcm16", "exe", ""])
        return {"type": kind, kind: {"data": data, "format": format}}
    name = {"sound": "audio_url", "picture": "image_url", "film": "video_url"}[kind]
    return {"type": name, name: {"url": url(rng, kind)}}


def asked(rng: Rng) -> tuple[str, dict[str, Any]]:
    """A path and what is sent there, right as far as its files are."""
    path = one(rng, [CHAT, CHAT, CHAT, SPEECH, DRAWN])
    if path == SPEECH:
        return path, {"input": "seven", "voice": "alto", "response_format": "wav"}
    if path == DRAWN:
        return path, {"prompt": "seven", "n": 1, "size": "auto"}
    parts = [part(rng) for _ in range(one(rng, [1, 1, 1, 2, 20]))]
    modalities = one(rng, [["text"], ["text", "audio"], ["image"]])
    body = {
        "messages": [{"role": "user", "content": parts}], "modalities": modalities,
        "max_tokens": 20, "stream": bool(rng.random() < 0.2), "temperature": 0.5,
        "audio": {"voice": "alto", "format": one(rng, ["wav", "pcm16", "opus"])},
    }  # fmt: skip
    return path, body


def spoil(rng: Rng, value: Any) -> Any:
    """JSON with one value, somewhere, that does not belong there."""
    if rng.random() < 0.25 or not value or not isinstance(value, dict | list):
        return one(rng, VALUES)
    if isinstance(value, list):
        at = int(rng.integers(len(value)))
        return [*value[:at], spoil(rng, value[at]), *value[at + 1 :]]
    name = one(rng, [*value, *value, "unknown"])
    return {**value, name: spoil(rng, value.get(name))}


def media(rng: Rng) -> Sent:
    path, body = asked(rng)
    return "POST", path, {"json": body}


def fields(rng: Rng) -> Sent:
    path, body = asked(rng)
    return "POST", path, {"content": json.dumps(spoil(rng, body)).encode()}


def broken_json(rng: Rng) -> Sent:
    path, body = asked(rng)
    text = json.dumps(body)
    content = one(rng, [
        text[: int(rng.integers(len(text)))].encode(), spoilt(rng, text.encode()),
        text.encode("utf-16"), b"\xef\xbb\xbf" + text.encode(), b"", b"null", b"[]",
        b"[" * int(rng.integers(1, 200_000)), b'{"messages":' * 50_000,
        b'{"messages": NaN}', b'{"seed": -Infinity}', b"1" * 100_000,
        text.encode() + b"{}", b'{"a": 1, "a": 2}', b"\0" * 1_000,
    ])  # fmt: skip
    kind = one(
        rng, ["application/json", "text/plain", "", "multipart/form-data", "\x7f"]
    )
    return "POST", path, {"content": content, "headers": {"content-type": kind}}


def form(rng: Rng) -> Sent:
    names = ["x.wav", "", "../../x", "x" * 5_000, 'a"b\r\nc: d', "é.wav"]
    files = [("file", (one(rng, names), file(rng, "sound")))]
    how, data = rng.random(), {"response_format": one(rng, ["json", "text", "srt", ""])}
    if how < 0.6:
        return "POST", HEARD, {"files": files, "data": data}
    if how < 0.7:
        return "POST", HEARD, {"files": files * 3}
    if how < 0.8:
        return "POST", HEARD, {"data": {f"f{i}": "x" for i in range(50)}}
    head = one(rng, ["multipart/form-data", "multipart/form-data; boundary=x",
                     "multipart/form-data; boundary=" + "x" * 3_000,
                     "application/x-www-form-urlencoded"])  # fmt: skip
    disposition = b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n"
    content = one(rng, [
        b"", b"--x", b"--x--", disposition, disposition + b"\r\nRIFF",
        disposition * 500, b"--x\r\n" + b"a: b\r\n" * 5_000, rng.bytes(3_000),
        disposition + b"a" * 70_000, b"file=x&" * 5_000,
    ])  # fmt: skip
    return "POST", HEARD, {"content": content, "headers": {"content-type": head}}


def route(rng: Rng) -> Sent:
    paths = [CHAT, SPEECH, HEARD, DRAWN, "/", "/v1/models", "/v1/models/%00",
             "/v1/models/" + "x" * 5_000, "/v1/models/a%2Fb", "/..%2f..%2fetc/passwd",
             "//", "/page.js/x", "/v1/realtime", "/openapi.json", "/%ff", "/v1",
             "/healthz"]  # fmt: skip
    methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "X"]
    headers = one(rng, [
        {}, {"host": "evil.example"}, {"origin": "null"}, {"origin": "http://["},
        {"host": "[::1"}, {"authorization": "x \x7f"},
        {"content-type": "application/json; charset=utf-99"}, {"accept": "x" * 5_000},
        {"expect": "100-continue"}, {"content-encoding": "gzip"}, {"x" * 500: "y"},
        {"upgrade": "websocket", "connection": "upgrade"}, {"range": "bytes=0-0"},
    ])  # fmt: skip
    return one(rng, methods), one(rng, paths), {"headers": headers}


def large(rng: Rng) -> Sent:
    size = int(one(rng, [MOST - 100, MOST + 1, 2 * MOST]))
    letter = one(rng, [b" ", b"[", b'"', b"1"])
    return "POST", one(rng, [CHAT, HEARD]), {"content": letter * size}


MAKERS: tuple[tuple[Callable[[Rng], Sent], float], ...] = (
    (media, 0.34), (fields, 0.2), (broken_json, 0.12), (form, 0.16), (route, 0.08),
    (large, 0.02),
)  # fmt: skip


def hostile(cases: Cases, count: int) -> None:
    """As many requests; the rest of MAKERS are bytes on plain sockets."""
    begun = cases.parts[cases.name].count
    with httpx.Client(base_url=cases.server.url, timeout=DEADLINE) as http:
        for number in range(begun, begun + count):
            rng = np.random.default_rng([cases.seed, number])
            makers = [maker for maker, _ in MAKERS]
            shares = [share for _, share in MAKERS]
            at = int(rng.choice(len(MAKERS) + 1, p=[*shares, 1 - sum(shares)]))
            if at == len(makers):
                _send_bytes(cases, rng, number)
            else:
                _send(cases, http, makers[at](rng), f"{makers[at].__name__} {number}")


def _send(cases: Cases, http: httpx.Client, sent: Sent, name: str) -> None:
    method, path, more = sent
    what = f"{name}: {method} {path} {more!r}"
    with cases.case(what) as ends:
        try:
            answer = http.request(method, path, **more)
        except httpx.TimeoutException:
            raise TimeoutError from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            # Closed, before all was sent or without an answer.
            ends[type(error).__name__] += 1
            return
        ends[str(answer.status_code)] += 1
        cases.status(answer.status_code, answer.headers, answer.content, what)


# -- bytes ---------------------------------------------------------------------------


def _bytes(rng: Rng) -> bytes:
    """What is hardly HTTP."""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n".encode()
    body = b'{"messages": [{"role": "user", "content": "say seven"}], "stream": true}'
    length = b"content-length: %d\r\n\r\n"
    upgrade = (
        b"GET /v1/realtime HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n"
        b"upgrade: websocket\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    whole = head + length % len(body) + body
    return one(rng, [
        whole, whole, whole * 3, whole[: int(rng.integers(len(whole)))],
        spoilt(rng, whole), spoilt(rng, whole[:60]) + whole[60:],
        head + length % 10**9 + body, head + b"content-length: -1\r\n\r\n",
        head + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" + body,
        head + b"transfer-encoding: chunked\r\n\r\nffffffffff\r\n" + body,
        head + b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
        head + b"x: " + b"y" * 100_000 + b"\r\n\r\n", b"GET /\r\n\r\n", b"\r\n" * 999,
        rng.bytes(2_000), b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        upgrade + b"\r\n" + rng.bytes(500), upgrade + b"\r\n\x81\xff" + b"\xff" * 8,
        upgrade + b"sec-websocket-extensions: permessage-deflate; x=y\r\n\r\n",
        upgrade.replace(b"13", b"99") + b"\r\n", spoilt(rng, upgrade + b"\r\n"),
    ])  # fmt: skip


def _send_bytes(cases: Cases, rng: Rng, number: int) -> None:
    """Sends, perhaps reads, and goes away."""
    sent = _bytes(rng)
    what = f"bytes {number}: {sent[:2_000]!r}"
    address = ("127.0.0.1", cases.server.port)
    with cases.case(what) as ends, socket.create_connection(address) as made:
        made.settimeout(DEADLINE)
        try:
            made.sendall(sent)
            if rng.random() < 0.3:
                ends["left"] += 1
                return
            made.shutdown(socket.SHUT_WR)
            answer = made.recv(65_536)
        except TimeoutError:
            raise
        except OSError:
            ends["closed"] += 1
            return
        if not answer.startswith(b"HTTP/1.1 "):
            ends["closed" if not answer else "not HTTP"] += 1
            return
        status = int(answer[9:12])
        ends[str(status)] += 1
        lines = answer.partition(b"\r\n\r\n")[0].decode("latin1").lower().splitlines()
        headers = {
            name: value for name, _, value in (x.partition(": ") for x in lines[1:])
        }
        cases.status(status, headers, answer, what)
