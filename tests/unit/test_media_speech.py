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
        assert a == b
        samples = a.samples
        assert samples.dtype == np.float32 and 0.05 < np.abs(samples).max() <= 1.0
        assert 0.15 < len(samples) / 16_000 < 2.0


def test_faster_is_shorter_and_voices_differ() -> None:
    text = "three four five"
    said = synthesise(
        [
            Utterance(text, rate=120),
            Utterance(text, rate=240),
            Utterance(text, rate=120, variant="f3"),
        ]
    )
    slow, fast, other = (sound.samples for sound in said)
    assert len(fast) < 0.75 * len(slow)
    size = min(len(slow), len(other))
    assert not np.allclose(slow[:size], other[:size], atol=0.01)


def test_nothing_to_say() -> None:
    assert synthesise([]) == []
    (silence,) = synthesise([Utterance("")])
    assert len(silence.samples) < 16_000 and silence.words == ()


def test_words_are_told_where_they_begin() -> None:
    """A word that begins with a hiss does so where it is said to begin."""
    texts = ("three six  seven", "fünf sechs", "the number of the one")
    said = synthesise(
        [
            Utterance(t, language=g)
            for t, g in zip(texts, ("en", "de", "en"), strict=True)
        ]
    )
    for text, sound in zip(texts, said, strict=True):
        places, words = zip(*sound.words, strict=True)
        assert " ".join(words).split() == text.split()
        assert list(places) == sorted(set(places)) and places[0] == 0
        assert places[-1] < len(sound.samples)
    samples, words = said[0].samples, said[0].words
    for at, word in words[1:]:
        assert word in ("six", "seven")
        hiss, vowel = samples[at : at + 960], samples[at + 1920 : at + 2880]
        assert _crossings(hiss) > 2 * _crossings(vowel)


def _crossings(samples: np.ndarray) -> int:
    """Of zero, by the slope."""
    return int((np.diff(np.sign(np.diff(samples))) != 0).sum())


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
