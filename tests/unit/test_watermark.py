"""The watermark of codes: who has the secret finds it, nobody else does."""

from __future__ import annotations

import numpy as np
import pytest
from test_omni_chat import _asked, _model, _problem

from t2t.decode.chat import Chat, ChatOptions
from t2t.decode.grammar import Limits
from t2t.decode.watermark import PICTURE, SOUND, Lists
from t2t.media.messages import Coded, Message


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
    problem = _problem(head)
    chat = Chat(problem, _model(problem, head))
    answer = Message("assistant", (), wants=("text", "audio", "image"))

    def said(strength: float) -> list[object]:
        options = ChatOptions(
            audio_temperature=0.0, picture_temperature=0.0,
            limits=Limits(pieces=5, frames=9), watermark=strength,
            watermark_secret="s",
        )  # fmt: skip
        return chat.answers(_asked(2), [answer] * 2, options)[1]

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
