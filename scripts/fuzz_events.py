"""Sessions of events on /v1/realtime that should not be, for fuzz_serve."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import numpy as np
from fuzz_cases import DEADLINE, Cases
from fuzz_requests import VALUES, Rng, file, one, spoil, spoilt, url
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

RATES = (8_000, 11_025, 16_000, 24_000, 44_100, 48_000)


def voice(cases: Cases, count: int) -> None:
    """As many sessions: up to 25 events, or a talk until the session is full."""
    begun = cases.parts[cases.name].count
    for number in range(begun, begun + count):
        rng = np.random.default_rng([cases.seed, 1, number])
        sent: list[Any] = [event(rng) for _ in range(int(rng.integers(1, 26)))]
        pauses = [0.0, 0.0, 0.0, 0.02, 0.3]
        if rng.random() < 0.1:
            pauses = []  # who reads nothing must harm nobody
        elif rng.random() < 0.02:
            sent, pauses = talk(rng), [0.3]
        what = f"session {number}: " + " | ".join(_short(one) for one in sent)
        with cases.case(what) as ends:
            _connected(cases, rng, sent, pauses, what, ends)


def _connected(
    cases: Cases, rng: Rng, sent: list[Any], pauses: list[float], what: str, ends: Any
) -> None:
    try:
        with connect(cases.server.voice_url, max_size=None) as socket:
            heard = _session(rng, socket, sent, pauses)
        ends["answered to the end" if heard else "left"] += 1
        if heard:
            _check(cases, heard, what)
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 1006
        ends[f"closed {code}"] += 1
        if code in (1006, 1011):  # without a word, or by a fault
            cases.fail("status", f"closed with {code}", what)
    except InvalidStatus as refused:
        status = refused.response.status_code
        ends[str(status)] += 1
        if status != 429:  # places are given back a moment later
            cases.fail("status", f"{status} at connecting", what)


def _short(sent: str | bytes) -> str:
    return repr(sent if len(sent) < 200 else sent[:200])


def _session(
    rng: Rng, socket: ClientConnection, sent: list[Any], pauses: list[float]
) -> list[dict[str, Any]]:
    """Sends all, and reads until some seconds of silence after each.

    Returns:
      all events that came; none when it left in the middle.

    Raises:
      TimeoutError: when the last is not answered.
    """
    heard: list[dict[str, Any]] = []
    for event in sent:
        socket.send(event)
        if pauses and (seconds := float(one(rng, pauses))):
            _hear(socket, heard, seconds=seconds)
    if not pauses or (len(pauses) > 1 and rng.random() < 0.15):
        return []
    socket.send(json.dumps({"type": "response.cancel"}))
    socket.send(json.dumps({"type": "that is all", "event_id": "last"}))
    until = time.monotonic() + DEADLINE
    while not (heard and _is_last(heard[-1])):
        if time.monotonic() > until:
            raise TimeoutError
        _hear(socket, heard, seconds=1.0)
    return heard


def _hear(socket: ClientConnection, heard: list[Any], *, seconds: float) -> None:
    """What comes within some seconds of silence."""
    try:
        while not (heard and _is_last(heard[-1])):
            heard.append(json.loads(socket.recv(timeout=seconds)))
    except TimeoutError:
        return


def _is_last(event: dict[str, Any]) -> bool:
    return event["type"] == "error" and event["error"]["event_id"] == "last"


def _check(cases: Cases, heard: list[dict[str, Any]], what: str) -> None:
    kinds = [event["type"] for event in heard]
    for event in heard:
        if event["type"] == "error" and event["error"]["code"] == "failed":
            cases.fail("status", f"an event: {event['error']}", what)
    if kinds[0] != "session.created":
        cases.fail("schema", f"{kinds[0]} comes first", what)
    if kinds.count("response.created") != kinds.count("response.done"):
        cases.fail("places", "a response does not end", what)
    done = [e["response"]["status"] for e in heard if e["type"] == "response.done"]
    if unknown := set(done) - {"completed", "cancelled", "failed"}:
        cases.fail("schema", f"a response is {unknown.pop()}", what)


# -- events --------------------------------------------------------------------------


def talk(rng: Rng) -> list[str]:
    """Turns that the server itself tells apart, over its answers or after them."""
    format = {"type": "audio/pcm", "rate": 16_000}
    audio = {"input": {"format": format, "turn_detection": {"type": "server_vad"}}}
    sent = [{"type": "session.update", "session": {"type": "realtime", "audio": audio}}]
    for _ in range(16):
        sent += [_sound(rng, 16_000, loud=6_000), _sound(rng, 16_000, loud=0)]
    return [json.dumps(event) for event in sent]


def event(rng: Rng) -> str | bytes:
    """What is sent at once, two thirds of it right."""
    made = _right(rng)
    how = rng.random()
    if how < 0.67:
        return json.dumps(made)
    if how < 0.85:
        return json.dumps(spoil(rng, made))
    text = json.dumps(made)
    return one(rng, [
        text[: int(rng.integers(len(text)))], rng.bytes(100), b"", "", "null", "[]",
        text.encode(), "[" * 100_000, '{"type": NaN}', "\0" * 100, text + text,
        spoilt(rng, text.encode())[:5_000].decode("latin1"),
        json.dumps({"type": one(rng, VALUES)}), json.dumps({**made, "event_id": "e"}),
    ])  # fmt: skip


def _right(rng: Rng) -> dict[str, Any]:
    kind = one(rng, [*MAKERS, "append", "append", "append"])
    return MAKERS[kind](rng)


def _append(rng: Rng) -> dict[str, Any]:
    """Speech, silence or noise: a frame of it, a second, or far too much."""
    size = int(one(rng, [0, 1, 7, 320, 960, 3_000, 24_000, 24_000, 100_000]))
    if rng.random() < 0.01:
        size = 5_000_000
    loud = one(rng, [0, 0, 6_000, 6_000, 32_767])
    return _sound(rng, size, loud=loud)


def _sound(rng: Rng, size: int, *, loud: int) -> dict[str, Any]:
    samples = np.clip(rng.normal(size=size) * loud, -32_768, 32_767).astype("<i2")
    data = base64.b64encode(samples.tobytes()).decode()
    return {"type": "input_audio_buffer.append", "audio": data}


def _update(rng: Rng) -> dict[str, Any]:
    turns = one(rng, [
        None, {"type": "server_vad"}, {"type": "semantic_vad", "eagerness": "high"},
        {"type": "server_vad", "create_response": False, "interrupt_response": False},
    ])  # fmt: skip
    format = {"type": "audio/pcm", "rate": one(rng, RATES)}
    audio: dict[str, Any] = {
        "input": {"format": format, "turn_detection": turns},
        "output": {"format": {**format, "rate": one(rng, RATES)}, "voice": "bass"},
    }
    session = {"type": "realtime", "audio": audio}
    session["output_modalities"] = [one(rng, ["audio", "text"])]
    return {"type": "session.update", "session": session}


def _item(rng: Rng) -> dict[str, Any]:
    sound = base64.b64encode(rng.bytes(2 * int(rng.integers(20_000)))).decode()
    part = one(rng, [
        {"type": "input_text", "text": "say seven"}, {"type": "input_text", "text": ""},
        {"type": "input_image", "image_url": url(rng, "picture")},
        {"type": "input_audio", "audio": sound},
        {"type": "input_audio", "audio": base64.b64encode(file(rng, "sound")).decode()},
        {"type": "output_text", "text": "seven " * int(rng.integers(300))},
    ])  # fmt: skip
    role = one(rng, ["user", "user", "assistant", "system"])
    content = [part] * int(one(rng, [0, 1, 1, 1, 3]))
    item = {"type": "message", "role": role, "content": content}
    return {"type": "conversation.item.create", "item": item}


def _truncate(rng: Rng) -> dict[str, Any]:
    return {
        "type": "conversation.item.truncate", "content_index": 0,
        "item_id": one(rng, ["item_1", "", "x" * 1_000]),
        "audio_end_ms": one(rng, [0, 40, 1_000, 2**31]),
    }  # fmt: skip


def _respond(rng: Rng) -> dict[str, Any]:
    wants = {"output_modalities": [one(rng, ["audio", "text"])]}
    return {"type": "response.create", **one(rng, [{}, {"response": wants}])}


MAKERS = {
    "append": _append,
    "update": _update,
    "item": _item,
    "truncate": _truncate,
    "respond": _respond,
    "commit": lambda rng: {"type": "input_audio_buffer.commit"},
    "clear": lambda rng: {"type": "input_audio_buffer.clear"},
    "cancel": lambda rng: {"type": "response.cancel"},
}
