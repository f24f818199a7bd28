"""The watermark of codes: who has the secret finds it, nobody else does."""

from __future__ import annotations

import keras
import kit
import numpy as np
import pytest
from toy_omni import asked, toy_model, toy_problem

from t2t.decode.chat import Chat
from t2t.decode.engine import ChatOptions
from t2t.decode.grammar import Limits
from t2t.decode.inversion import SoundInversion
from t2t.decode.watermark import (
    PICTURE,
    SOUND,
    Detector,
    Found,
    Lists,
    distinct,
    tail,
    threshold,
)
from t2t.features import Feature
from t2t.media.messages import Coded, Message
from t2t.models.speech_codec import SpeechCodec


def test_half_of_a_book_is_green_and_only_the_secret_tells_which() -> None:
    one, other = Lists("a secret"), Lists("another")
    green = one.green(SOUND, books=4, codes=240)
    assert green.shape == (4, 240) and 0.4 < green.mean() < 0.6
    assert not np.array_equal(green[0], green[1])
    assert not np.array_equal(green, other.green(SOUND, books=4, codes=240))
    assert not np.array_equal(green[:1], one.green(PICTURE, books=1, codes=240))
    assert "hush" not in repr(ChatOptions(watermark=1.0, watermark_secret="hush"))
    with pytest.raises(ValueError, match="needs a watermark_secret"):
        ChatOptions(watermark=1.0)


@pytest.mark.parametrize("head", ["delay", "depth"])
def test_greedy_answers_carry_it_and_their_words_do_not_change(head: str) -> None:
    problem = toy_problem(head)
    chat = Chat(problem, toy_model(problem, head))
    answer = Message("assistant", (), wants=("text", "audio", "image"))

    def said(strength: float) -> list[object]:
        options = ChatOptions(
            audio_temperature=0.0, picture_temperature=0.0,
            limits=Limits(pieces=5, frames=9), watermark=strength,
            watermark_secret="s",
        )  # fmt: skip
        return chat.answers(asked(2), [answer] * 2, options)[1]

    plain, marked = said(0.0), said(30.0)
    assert plain[0] == marked[0]
    for part in marked[1:]:
        assert isinstance(part, Coded)
        codes = part.codes.reshape(-1, 4 if part.kind == "sound" else 1)
        size = problem.sounds.book_size if codes.shape[1] == 4 else 1000
        green = Lists("s").green(part.kind, books=codes.shape[1], codes=size)
        found = np.take_along_axis(green.T, codes, axis=0)
        assert found.all()
    assert not all(a == b for a, b in zip(plain[1:], marked[1:], strict=True))


def test_the_chance_is_the_binomials() -> None:
    assert tail(0, 10) == 1.0 and tail(10, 10) == 2.0**-10 and tail(11, 10) == 0.0
    assert tail(5, 9) == 0.5
    assert threshold(100) == 63 and tail(63, 100) <= 0.01 < tail(62, 100)
    assert threshold(3) == 4, "three codes cannot tell"
    found = Found(63, 100)
    assert found.z == pytest.approx(2.6) and found.marked()
    assert not Found(62, 100).marked() and Found(62, 100).marked(false_positives=0.05)


def test_false_alarms_are_as_rare_as_is_said_over_secrets() -> None:
    """Whatever the content, with codes that come again and again."""
    rng = np.random.default_rng(0)
    codes = np.minimum(rng.geometric(0.05, size=(25, 4)), 239)
    codes[:10] = 7
    alarms = [
        distinct(codes, Lists(f"{i}").green(SOUND, books=4, codes=240)).marked()
        for i in range(3000)
    ]
    assert np.mean(alarms) <= 0.0155  # 0.01 and three standard errors


class _Book:
    book_size = 240


@pytest.mark.parametrize("share", [0.8, 1.0])
def test_who_has_the_secret_finds_it(share: float) -> None:
    rng = np.random.default_rng(0)
    lists = Lists("s").green(SOUND, books=4, codes=240)
    codes = rng.integers(240, size=(25, 4))
    for book in range(4):
        greens = np.flatnonzero(lists[book])
        marked = rng.random(25) < share
        codes[marked, book] = rng.choice(greens, marked.sum())
    own = Detector("s", sounds=_Book(), pictures=_Book())
    other = Detector("t", sounds=_Book(), pictures=_Book())
    assert own.score(codes, SOUND).chance < 1e-5
    assert other.score(codes, SOUND).chance > 1e-3
    with pytest.raises(ValueError, match="no watermark of 'text'"):
        own.score(codes, "text")


def test_a_decoder_is_inverted() -> None:
    """Codes that no encoder would give come back from 16 bits of sound."""
    keras.utils.set_random_seed(0)
    features = {"audio": Feature("audio", (2560,), "int16", "N")}
    codec = SpeechCodec(
        features, hidden_size=16, wave_size=16, encoder_blocks=1, decoder_blocks=1,
        wave_blocks=1, books=1,
    )  # fmt: skip
    codec({"audio": np.zeros((1, 2560), np.int16)})
    kit.randomise(codec, scale=0.2)
    codes = np.random.default_rng(0).integers(240, size=(1, 30, 1))
    heard, past = codec.decode(codes.astype(np.int32))
    whole = np.concatenate([kit.array(heard), kit.array(past["tail"])], axis=1)
    whole = np.round(whole[:, 480:] * 32768.0) / 32768.0
    invert = SoundInversion(codec)
    encoded, found = invert(whole, steps=0), invert(whole, steps=150)
    assert found.shape == codes.shape
    # This encoder knows nothing, so the search begins anywhere: with a trained one
    # it begins near, and all come back.
    assert (encoded == codes).mean() < 0.1 < 0.4 < (found == codes).mean()
