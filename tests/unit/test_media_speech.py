"""Text to speech: the same list, the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from t2t.media import speech
from t2t.media.speech import SpeechError, Utterance, synthesise

pytest.importorskip("espeakng_loader", reason=speech.HINT)
pytest.importorskip("soxr", reason=speech.HINT)

LIST = [
    Utterance("seven", variant="f2"),  # a voice that breathes at random
    Utterance("seven", variant="f2"),
    Utterance("fünf", language="de", rate=300),
    Utterance("two", language="en-gb-scotland", variant="m3", pitch=80),
]


def test_a_list_is_the_same_every_time() -> None:
    one, two = synthesise(LIST), synthesise(LIST)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.float32 and 0.05 < np.abs(a).max() <= 1.0
        assert 0.15 < len(a) / 16_000 < 2.0


def test_faster_is_shorter_and_voices_differ() -> None:
    slow, fast, other = synthesise(
        [
            Utterance("three four five", rate=120),
            Utterance("three four five", rate=240),
            Utterance("three four five", rate=120, variant="f3"),
        ]
    )
    assert len(fast) < 0.75 * len(slow)
    size = min(len(slow), len(other))
    assert not np.allclose(slow[:size], other[:size], atol=0.01)


def test_nothing_to_say() -> None:
    assert synthesise([]) == []
    (silence,) = synthesise([Utterance("")])
    assert len(silence) < 16_000


def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(SpeechError, match="no voice 'xx'"):
        synthesise([Utterance("hi", language="xx")])


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "DEADLINE", 0.0)
    with pytest.raises(SpeechError, match="did not finish 1 utterances.*hello"):
        synthesise([Utterance("hello " * 3000)])


def test_variants_are_without_jokes() -> None:
    found = speech.variants()
    assert len(found) > 60 and not set(found) & set(speech.NOVELTY)
