"""What is stopped between a run and who talks to it, and what is said instead."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from toy_omni import omni_run

from t2t.decode.answering import ChatAnswerer, Delta, Reply
from t2t.decode.chat import Chat
from t2t.decode.engine import ChatOptions
from t2t.decode.grammar import Limits
from t2t.decode.guard import GuardOptions, Listener
from t2t.decode.mitigations import (
    BLOCKED,
    FILTERED,
    Blocked,
    Event,
    Mitigations,
    Terms,
    plain,
)
from t2t.decode.requests import Request
from t2t.decode.screening import Screened, ScreenedChat
from t2t.features import Feature
from t2t.media import provenance
from t2t.media.messages import Message, Sound, Text
from t2t.media.pictures import encode_png
from t2t.models.voice_guard import VoiceGuard

STOPPING = pytest.mark.parametrize(
    "stage", ["input_moderation", "output_moderation", "voice_guard"]
)
ANYTHING = GuardOptions(threshold=1.0, doubt=-20.0)  # each frame counts against
ASKED = Request(
    (Message("user", (Text("say one two"),)),),
    ("text", "audio"),
    options=ChatOptions(
        temperature=3.0, audio_temperature=0.0, limits=Limits(pieces=4, frames=9)
    ),
)


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> ChatAnswerer:
    return ChatAnswerer(Chat.from_run(omni_run(tmp_path_factory.mktemp("run") / "run")))


@pytest.fixture(scope="module")
def listener() -> Listener:
    keras.utils.set_random_seed(0)
    features = {
        "audio": Feature("audio", (640 * 4,), "int16", "N"),
        "label": Feature("label", (), "int32", "", classes=5),
    }
    model = VoiceGuard(features, hidden_size=16, num_layers=1)
    model({"audio": np.zeros((1, 640 * 4), np.int16)})
    return Listener(model)


def _with_words(write: Callable[[ChatOptions], str]) -> tuple[ChatOptions, str]:
    """Options with which something is written that has words, and what that is."""
    for seed in range(50):
        options = dataclasses.replace(ASKED.options, seed=seed)
        if plain(text := write(options)):
            return options, text
    raise AssertionError("no answer has words")


@pytest.fixture(scope="module")
def asked(answerer: ChatAnswerer) -> tuple[Request, str]:
    """A request, and what the run writes when nothing stands in its way."""

    def write(options: ChatOptions) -> str:
        request = dataclasses.replace(ASKED, options=options)
        (message,) = _reply(list(answerer.answer(request))).messages
        assert any(isinstance(p, Sound) for p in message.parts)
        return _text(message)

    options, text = _with_words(write)
    return dataclasses.replace(ASKED, options=options), text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("how do I make a Zorbel?", "zorbel"),
        ("hurdle -- wisp", "hurdle wisp"),
        ("ＺＯＲＢＥＬ", "zorbel"),
        ("zor\u200bbel", "zorbel"),
        ("zorbels and hurdle a wisp", ""),
        ("", ""),
    ],
)
def test_terms_are_found_however_they_are_written(text: str, found: str) -> None:
    assert Terms(["zorbel", "Hurdle  wisp"]).find(text) == found


def test_a_word_is_judged_and_told_when_it_is_whole() -> None:
    screen = Mitigations(written=Terms(["kit"])).screen("alto")
    for text, told in (("a k", "a "), ("a kit", "a "), ("a kite", "a ")):
        assert screen.wrote(text, whole=False) == told
    assert screen.wrote("a kite ", whole=False) == "a kite "
    assert screen.wrote("a kite") == "a kite"
    for text, whole in (("a kit ", False), ("a kit", True)):
        with pytest.raises(Blocked, match="output_moderation blocked: kit"):
            screen.wrote(text, whole=whole)
    assert Mitigations().screen("alto").wrote("a k", whole=False) == "a k"


def test_terms_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "terms.txt"
    path.write_text("# not said\nzorbel\n\nvunt\n")
    assert Terms.from_file(path).find("a vunt") == "vunt"
    path.write_text("# nothing\n")
    with pytest.raises(ValueError, match="terms.txt: there are no terms"):
        Terms.from_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="terms.txt: .*utf-8"):
        Terms.from_file(path)


def test_with_no_stage_nothing_changes(
    answerer: ChatAnswerer, asked: tuple[Request, str]
) -> None:
    request, text = asked
    told = list(Screened(answerer, Mitigations()).answer(request))
    assert _text(_reply(told).messages[0]) == text
    assert _reply(told).finishes == _reply(list(answerer.answer(request))).finishes


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "stage", ["input_moderation", "output_moderation", "voice_guard"]
)
def test_a_stage_stops_an_answer(
    answerer: ChatAnswerer,
    listener: Listener,
    asked: tuple[Request, str],
    stage: str,
    stream: bool,
) -> None:
    request, text = asked
    log: list[Event] = []
    stages: dict[str, Any] = {
        "input_moderation": {"asked": Terms(["one two"])},
        "output_moderation": {"written": Terms([text])},
        "voice_guard": {"listener": listener, "guard": ANYTHING},
    }
    screened = Screened(answerer, Mitigations(**stages[stage], log=log.append))
    request = dataclasses.replace(request, stream=stream, n=2)
    told = list(screened.answer(request))
    reply = _reply(told)
    blocked = [e.stage for e in log if e.action == "blocked"]
    # What the second answer says is drawn anew, and need not be what is moderated.
    assert blocked[0] == stage and reply.finishes[0] == FILTERED
    assert _text(reply.messages[0]) == BLOCKED
    assert not any(isinstance(p, Sound) for p in reply.messages[0].parts)
    first = [d for d in told if isinstance(d, Delta) and d.number == 0]
    assert first[-1].finish == FILTERED or not stream
    if stream and stage != "voice_guard":
        assert all(d.samples is None for d in first)
        assert "".join(d.text for d in first).endswith(BLOCKED)


def test_what_the_network_refuses_is_logged(
    answerer: ChatAnswerer, asked: tuple[Request, str]
) -> None:
    log: list[Event] = []
    request, text = asked
    mitigations = Mitigations(refusals=(text[:2],), log=log.append)
    list(Screened(answerer, mitigations).answer(request))
    assert log == [Event("refusal", "refused", text)]


@pytest.mark.parametrize(
    "stage", ["input_moderation", "output_moderation", "voice_guard"]
)
def test_a_voice_is_stopped_and_its_exchange_forgotten(
    answerer: ChatAnswerer, listener: Listener, stage: str
) -> None:
    log: list[Event] = []
    message = Message("user", (Text("say one two"),))

    def write(options: ChatOptions) -> str:
        free = answerer.voice_session(Mitigations())
        free.options = options
        free.add(message)
        return "".join(chunk.text for chunk in free.respond())

    options, said = _with_words(write)
    stages: dict[str, Any] = {
        "input_moderation": {"asked": Terms(["one two"])},
        "output_moderation": {"written": Terms([said])},
        "voice_guard": {"listener": listener, "guard": ANYTHING},
    }
    session = answerer.voice_session(Mitigations(**stages[stage], log=log.append))
    session.options = options
    before = list(session.conversation.slots.main)
    session.add(message)
    *_, last = session.respond()
    assert (last.text, last.finish, len(last.samples)) == (BLOCKED, FILTERED, 0)
    assert [e.stage for e in log if e.action == "blocked"] == [stage]
    assert session.conversation.slots.main == before
    session.add(Message("user", (Text("nine"),)))  # and it goes on
    assert "".join(chunk.text for chunk in session.respond())


def test_speech_is_moderated_by_what_the_network_hears(
    answerer: ChatAnswerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what it writes down beside a sound, here always in letters."""
    chat = answerer.chat
    vocabulary, listening = chat.layout.vocabulary, chat.engine.listening
    ids = range(vocabulary.pieces)
    letters = [vocabulary.processor.id_to_piece(i).isalpha() for i in ids]
    allowed = np.resize([*letters, *[False] * vocabulary.size], vocabulary.size)
    monkeypatch.setattr(listening, "allowed", listening.allowed & allowed)
    sound = Sound(0.1 * np.random.default_rng(0).normal(size=8000).astype("f4"))
    said = answerer.transcript([Message("user", (sound,))])
    written = answerer.transcript([Message("user", (Text("write down"),))])
    assert said and written == "write down"
    log: list[Event] = []
    screened = Screened(answerer, Mitigations(asked=Terms([said]), log=log.append))
    request = dataclasses.replace(ASKED, messages=(Message("user", (sound,)),))
    assert _reply(list(screened.answer(request))).finishes == (FILTERED,)
    assert log[0].stage == "input_moderation" and log[0].action == "blocked"


def test_what_leaves_is_signed(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    signer, log = provenance.Signer.from_file(tmp_path / "key"), list[Event]()
    mitigations = Mitigations(signer=signer, claims={"model": "x"}, log=log.append)
    data = encode_png(np.zeros((8, 8, 3), np.uint8))
    found = provenance.verify(mitigations.seal(data), signer.public_key)
    assert found.holds and found.claims == {"model": "x"}
    assert log[0].stage == "provenance" and Mitigations().seal(data) == data


def _reply(told: list[Any]) -> Reply:
    assert isinstance(told[-1], Reply)
    return told[-1]


def _text(message: Message) -> str:
    return "".join(p.text for p in message.parts if isinstance(p, Text))


def test_an_examination_is_answered_behind_moderation(
    answerer: ChatAnswerer, asked: tuple[Request, str]
) -> None:
    request, text = asked
    chat, wants = answerer.chat, Message("assistant", (), wants=("text", "audio"))
    questions = [request.messages, (Message("user", (Text("a kite"),)),)]
    behind = ScreenedChat(chat, Mitigations(asked=Terms(["kite"]), refusals=(text,)))
    free = chat.answers(questions, [wants] * 2, request.options)
    given = behind.answers(questions, [wants] * 2, request.options)
    assert given[0] is not free[0] and str(given[0]) == str(free[0])
    assert given[1] == [Text(BLOCKED)]
    assert behind.stopped == {"input_moderation": 1, "refusal": 1}
