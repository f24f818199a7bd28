"""A conversation by voice is the conversation that it would be in writing."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from toy_omni import toy_model, toy_problem

from t2t.decode.chat import Chat
from t2t.decode.decoder import DecodeError
from t2t.decode.engine import ChatOptions
from t2t.decode.grammar import Limits
from t2t.decode.turns import TurnDetector, TurnOptions
from t2t.decode.voice import Chunk, Conversation, VoiceSession
from t2t.features import EOS, Feature
from t2t.media import tokenizers
from t2t.media.messages import Coded, Message, Sound, Text
from t2t.models.speech_codec import SpeechCodec

FRAME = 640
OPTIONS = ChatOptions(
    audio_temperature=0.0, picture_temperature=0.0, limits=Limits(pieces=4, frames=9)
)


@pytest.fixture(scope="module", params=["delay", "parallel"])
def chat(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Chat:
    keras.utils.set_random_seed(0)
    features = {"audio": Feature("audio", (4 * FRAME,), "int16", "N")}
    codec = SpeechCodec(
        features, hidden_size=32, wave_size=16, encoder_blocks=2, decoder_blocks=1,
        wave_blocks=1,
    )  # fmt: skip
    codec({"audio": np.zeros((1, 4 * FRAME), np.int16)})
    folder: Path = tmp_path_factory.mktemp("tokenizers")
    (folder / "speech_codec.npz").write_bytes(tokenizers.freeze(codec, features))
    problem = toy_problem(request.param)
    problem.sounds.load(folder)
    return Chat(problem, toy_model(problem, request.param))


@pytest.fixture
def session(chat: Chat) -> VoiceSession:
    return chat.voice_session(voice="tenor", turn_detection=False, options=OPTIONS)


def _speech(frames: int, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).normal(size=frames * FRAME)).astype("f4")


def _say(session: VoiceSession, samples: np.ndarray) -> None:
    for begin in range(0, len(samples), 1000):
        session.feed(samples[begin : begin + 1000])
    session.commit()


def _joined(chunks: list[Chunk]) -> tuple[str, np.ndarray]:
    return "".join(c.text for c in chunks), np.concatenate([c.samples for c in chunks])


def test_what_is_heard_and_said_is_as_in_one_piece(
    chat: Chat, session: VoiceSession
) -> None:
    speech = _speech(7)
    _say(session, speech)
    text, samples = _joined(list(session.respond()))
    asked = Message("user", (Coded("sound", chat.problem.sounds.encode([speech])[0]),))
    answer = Message("assistant", (), voice="tenor", wants=("text", "audio"))
    (parts,) = chat.answers([[asked]], [answer], OPTIONS)
    prompt = chat.layout.prompt([asked], answer)
    slots = session.conversation.slots
    count = len(prompt.main)
    for name, array in slots.arrays(0, count).items():
        if name != "learned":
            np.testing.assert_array_equal(array, prompt.arrays()[name], err_msg=name)
    found = chat.layout.parts(slots.main[count:], np.array(slots.audio[count:]))
    assert found == parts
    sounds = [p for p in parts if isinstance(p, Coded)]
    np.testing.assert_allclose(
        samples, chat.problem.sounds.decode(sounds[0].codes), atol=1e-4
    )
    assert text == "".join(p.text for p in parts if isinstance(p, Text))


@pytest.mark.parametrize("finished", [True, False])
def test_what_was_not_heard_of_an_answer_is_forgotten(
    chat: Chat, session: VoiceSession, finished: bool
) -> None:
    _say(session, _speech(5))
    answer = session.respond()
    heard = 0
    for chunk in answer:
        heard += len(chunk.samples) > 0
        if heard == 4 and not finished:
            break
    slots, mark = session.conversation.slots, chat.layout.vocabulary.mark
    begin = len(slots.main) - slots.main[::-1].index(mark("<sound>"))
    ends = [mark("</sound>"), EOS]
    written = [i for i in slots.main[begin:] if i not in ends]
    session.interrupt(3 * FRAME / 16_000)
    assert slots.main[begin:] == written[:4] + ends
    session.interrupt(0.0)  # a second time there is nothing to forget
    count = len(slots.main)
    _say(session, _speech(4, seed=1))
    assert len(slots.main) > count
    _joined(list(session.respond()))
    _as_pushed_anew(chat, session)


def test_an_answer_that_is_forgotten_whole_is_not_interrupted(
    chat: Chat, session: VoiceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a turn begins for which there is no room, nothing is left of any before."""
    _say(session, _speech(5))
    _joined(list(session.respond()))
    monkeypatch.setattr("t2t.decode.voice.TURN", 10**6)
    session.feed(_speech(3, seed=2))
    session.interrupt(FRAME / 16_000)
    begin = session.conversation.slots.main[:2]
    assert begin == [chat.layout.vocabulary.mark(m) for m in ("<user>", "<sound>")]
    monkeypatch.undo()
    session.commit()
    _joined(list(session.respond()))
    _as_pushed_anew(chat, session)


def test_who_interrupts_is_heard_after_what_was_heard(
    chat: Chat, session: VoiceSession
) -> None:
    """The same slots, whether the answer is cut before or after speech is noticed."""
    other = chat.voice_session(voice="tenor", turn_detection=False, options=OPTIONS)
    for one, early in ((session, True), (other, False)):
        _say(one, _speech(5))
        for _, chunk in zip(range(4), one.respond(), strict=False):
            assert isinstance(chunk, Chunk)
        if early:
            one.interrupt(FRAME / 16_000)
        one.feed(_speech(3, seed=2))
        if not early:
            one.interrupt(FRAME / 16_000)
        one.feed(_speech(2, seed=3))
        one.commit()
        one.conversation.mark()
    first, second = (s.conversation.slots.arrays() for s in (session, other))
    for name, array in first.items():
        if name != "learned":
            np.testing.assert_array_equal(array, second[name], err_msg=name)
    _as_pushed_anew(chat, other)


def _as_pushed_anew(chat: Chat, session: VoiceSession) -> None:
    """What the caches hold is what the slots say."""
    conversation = session.conversation
    conversation.mark()
    other = Conversation(chat.engine)
    other.slots = conversation.slots
    other.mark()
    question = Message("user", (Text("what"),))
    found = []
    for one in (conversation, other):
        before = one.mark()
        chat.layout.add(one.slots, question)
        found.append(one.push()[2])
        one.cut(before)
    np.testing.assert_allclose(*found, rtol=1e-3)


def test_written_words_and_speech_mix(chat: Chat, session: VoiceSession) -> None:
    with pytest.raises(DecodeError, match="nothing to answer"):
        next(session.respond())
    with pytest.raises(DecodeError, match="nothing was said"):
        session.commit()
    session.add(Message("user", (Text("what is"), Sound(_speech(3)))))
    text, samples = _joined(list(session.respond(("text",))) or [Chunk(np.zeros(0))])
    assert not len(samples) and isinstance(text, str)
    _say(session, _speech(3))
    assert any(len(chunk.samples) for chunk in session.respond())
    _as_pushed_anew(chat, session)


def test_what_is_cleared_was_never_said(chat: Chat, session: VoiceSession) -> None:
    session.feed(_speech(4))
    session.clear()
    _say(session, _speech(5))
    other = chat.voice_session(voice="tenor", turn_detection=False, options=OPTIONS)
    other.rehearse()
    _say(other, _speech(5))
    one, two = (s.conversation.slots.arrays() for s in (session, other))
    np.testing.assert_array_equal(one["audio"], two["audio"])
    np.testing.assert_array_equal(one["places"], two["places"])
    assert _joined(list(session.respond()))[0] == _joined(list(other.respond()))[0]


def test_a_full_session_forgets_what_was_before(session: VoiceSession) -> None:
    for turn in range(12):
        _say(session, _speech(60, seed=turn))
        assert list(session.respond())
    assert len(session.conversation.slots.main) < 1024


def test_turns_begin_loud_and_end_in_silence() -> None:
    options = TurnOptions(least=4, sure=0.7, most=10)
    detector = TurnDetector(options)
    quiet, loud = _speech(1) * 1e-3, _speech(1)
    assert not any(detector.hear(quiet) for _ in range(5))
    assert detector.hear(loud) and not detector.hear(loud)
    assert not detector.over(1.0)  # while it is loud the network is not believed

    def ends(chance: float) -> int:
        """Quiet frames until a turn is over."""
        detector.hear(loud)
        for count in range(1, 50):
            detector.hear(quiet)
            if detector.over(chance):
                return count
        raise AssertionError("it never ends")

    assert ends(0.9) == options.least
    assert ends(0.0) == options.most
    assert options.least < ends(0.15) < options.most
    detector.hear(loud)
    for _ in range(7):  # a pause of 280 ms
        detector.hear(quiet)
        assert not detector.over(0.01)
    assert not detector.hear(loud) and detector.speaking
