"""What clients are told of an answer that a stage has stopped, and what is signed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from running import Served, started

from t2t.decode.mitigations import BLOCKED, FILTERED, Mitigations, Terms
from t2t.decode.screening import Screened
from t2t.media.provenance import Signer, verify
from t2t.serve.service import ServeOptions


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    pytest.importorskip("cryptography")
    return Signer.from_file(tmp_path / "key")


@pytest.fixture
def served(signer: Signer) -> Iterator[Served]:
    """With terms that are not asked about, and others that are not said."""
    mitigations = Mitigations(
        asked=Terms(["zorbel"]), written=Terms(["vunt"]), signer=signer
    )
    yield from started(
        ServeOptions(port=0, seal=mitigations.seal),
        behind=lambda answerer: Screened(answerer, mitigations),
    )


def _asked(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_what_is_not_asked_about_is_not_answered(served: Served) -> None:
    client = served.client()
    found = client.chat.completions.create(model="toy", messages=_asked("a Zorbel?"))
    (choice,) = found.choices
    assert (choice.message.content, choice.finish_reason) == (BLOCKED, FILTERED)
    assert not served.answerer.asked  # the network was not troubled
    with pytest.raises(openai.BadRequestError, match="was stopped"):
        client.images.generate(model="toy", prompt="a zorbel")
    with pytest.raises(openai.BadRequestError, match="was stopped"):
        client.audio.speech.create(model="toy", voice="alto", input="zorbel")
    found = client.chat.completions.create(model="toy", messages=_asked("a kite"))
    assert found.choices[0].message.content == "heard: a kite"


def test_what_is_not_said_ends_a_stream(served: Served) -> None:
    stream = served.client().chat.completions.create(
        model="toy", messages=_asked("a vunt or two"), stream=True,
        modalities=["text", "audio"], audio={"voice": "alto", "format": "pcm16"},
    )  # fmt: skip
    chunks = [chunk.choices[0] for chunk in stream]
    text = "".join(c.delta.content or "" for c in chunks)
    assert text == f"heard: a {BLOCKED}"  # and nothing of the word itself
    assert [c.finish_reason for c in chunks][-1] == FILTERED
    sounds = [c.delta.model_dump().get("audio") or {} for c in chunks]
    assert not any(sound.get("data") for sound in sounds)


def test_a_voice_that_is_stopped_is_incomplete(served: Served) -> None:
    with served.client().realtime.connect(model="toy") as connection:
        connection.recv()
        voice = served.answerer.voices[-1]
        voice.finish, voice.due = FILTERED, True
        connection.send({"type": "response.create"})
        done: Any = None
        while done is None or done.type != "response.done":
            done = connection.recv()
    assert done.response.status == "incomplete"
    assert done.response.status_details.reason == FILTERED


def test_what_leaves_is_signed(served: Served, signer: Signer) -> None:
    client = served.client()
    drawn = client.images.generate(model="toy", prompt="seven").data
    assert drawn and drawn[0].b64_json
    said = client.audio.speech.create(
        model="toy", voice="alto", input="seven", response_format="wav"
    )
    answer = client.chat.completions.create(
        model="toy", messages=_asked("seven"), modalities=["text", "audio"],
        audio={"voice": "alto", "format": "wav"},
    ).choices[0].message.audio  # fmt: skip
    assert answer is not None
    for data in (
        base64.b64decode(drawn[0].b64_json), said.content, base64.b64decode(answer.data)
    ):  # fmt: skip
        assert verify(data, signer.public_key).holds
