"""Conversations laid out and read back, and the grammar of answers."""

from __future__ import annotations

import numpy as np
import pytest

from t2t.decode.grammar import STATES, Grammar, Limits
from t2t.features import EOS
from t2t.media.layout import (
    ALL,
    LEAD,
    MARKS,
    WHETHER,
    Layout,
    OmniVocabulary,
    Slots,
)
from t2t.media.messages import Coded, Message, Picture, Text

TEXTS = ["draw three four two in red", "what number is this", "seven eight", "say nine"]
DELAYS = [(0, 1, 1, 1), (0, 0, 0, 0), (0, 1, 0, 1)]


class Fifty:
    """A tokenizer of fifty codes."""

    book_size = 50


@pytest.fixture(scope="module")
def vocabulary() -> OmniVocabulary:
    made = OmniVocabulary("omni", 300, pictures=Fifty())
    made.build(TEXTS * 20)
    return made


def _sound(count: int, seed: int = 0) -> Coded:
    return Coded("sound", np.random.default_rng(seed).integers(240, size=(count, 4)))


def _messages() -> list[Message]:
    rng = np.random.default_rng(1)
    picture = Coded("picture", rng.integers(50, size=(4, 4)))
    film = Coded("film", rng.integers(50, size=(3, 4, 4)))
    return [
        Message("system", (Text("say nine"),)),
        Message("user", (Text("what number is this"), picture, _sound(7), film)),
        Message(
            "assistant",
            (Text("seven eight"), _sound(5, 2), picture),
            voice="bass",
            wants=("text", "audio", "image"),
        ),
    ]


@pytest.mark.parametrize("delays", DELAYS)
def test_an_answer_is_read_back(
    vocabulary: OmniVocabulary, delays: tuple[int, ...]
) -> None:
    layout, messages = Layout(vocabulary, delays=delays), _messages()
    whole = layout.example(messages)
    prompt = layout.prompt(
        messages[:-1], Message("assistant", (), "bass", messages[-1].wants)
    )
    begin = len(prompt.main)
    np.testing.assert_array_equal(whole["targets"][:begin], prompt.main)
    np.testing.assert_array_equal(whole["places"][:begin], prompt.places)
    goes_on = [vocabulary.mark(name) for name in ("<audio>", "</sound>")]
    heard = np.isin(whole["targets"][:begin], goes_on)
    np.testing.assert_array_equal(whole["learned"][:begin], WHETHER * heard)
    assert heard.any() and (whole["learned"][begin:] == ALL).all()
    parts = layout.parts(whole["targets"][begin:], whole["audio"][begin:])
    assert [p if isinstance(p, Text) else p.kind for p in parts] == [
        Text("seven eight"), "sound", "picture",
    ]  # fmt: skip
    for found, given in zip(parts[1:], messages[-1].parts[1:], strict=True):
        np.testing.assert_array_equal(found.codes, given.codes)


@pytest.mark.parametrize("delays", DELAYS)
def test_books_are_delayed_and_aligned(
    vocabulary: OmniVocabulary, delays: tuple[int, ...]
) -> None:
    layout, codes = Layout(vocabulary, delays=delays), _sound(6).codes
    streams = layout.delayed(codes)
    assert streams.shape == (6 + max(delays), 4)
    for k, delay in enumerate(delays):
        assert (streams[:delay, k] == 0).all() and streams[delay, k] == codes[0, k] + 1
    np.testing.assert_array_equal(layout.aligned(streams), codes)


@pytest.mark.parametrize("delays", DELAYS)
def test_whether_a_sound_goes_on_is_told_without_what_follows(
    vocabulary: OmniVocabulary, delays: tuple[int, ...]
) -> None:
    """Up to any frame, the slots of a sound are those of a longer one."""
    layout, codes = Layout(vocabulary, delays=delays), _sound(6).codes
    short, long = Slots(4), Slots(4)
    layout.sound(short, codes[:4], learned=ALL)
    layout.sound(long, codes, learned=ALL)
    ends = short.main.index(vocabulary.mark("</sound>"))
    assert ends == 5 and long.main[:ends] == short.main[:ends]
    np.testing.assert_array_equal(long.audio[:ends], short.audio[:ends])
    rest = np.array(delays) * (codes[3] + 1)  # of the last frame
    np.testing.assert_array_equal(short.audio[ends], rest)


def test_words_stand_a_little_before_they_sound(vocabulary: OmniVocabulary) -> None:
    """Pieces one after another, none after the sound; reading back they are no text."""
    layout, codes = Layout(vocabulary, delays=(0, 1, 1, 1)), _sound(12).codes
    one, two, late = map(vocabulary.encode, ("seven", "nine", "eight"))
    slots = Slots(4)
    words = ((0, "seven"), (1 + LEAD + len(one), "nine"), (12, "eight"))
    layout.sound(slots, codes, words=words, learned=ALL)
    audio = vocabulary.mark("<audio>")
    between = [audio] * (10 - 1 - len(one) - len(two))
    said = [*one, audio, *two, *between, *late]
    assert slots.main[1:-1] == (said + [audio] * 2)[:12]
    assert slots.arrays()["places"][:, 0].tolist() == list(range(14))
    answer = [*vocabulary.encode("seven nine"), *slots.main, EOS]
    audio = np.pad(slots.arrays()["audio"], [(len(answer) - 15, 1), (0, 0)])
    text, sound = layout.parts(answer, audio)
    assert text == Text("seven nine")
    np.testing.assert_array_equal(sound.codes, codes)


def test_places_follow_time(vocabulary: OmniVocabulary) -> None:
    """A film frame is five ticks after the one before; codes spread over the rows."""
    layout = Layout(vocabulary, delays=(0, 1, 1, 1))
    slots = layout.example(_messages())
    places, main = slots["places"], slots["targets"]
    frames = places[main == vocabulary.mark("<frame>")][:, 0]
    assert np.diff(frames).tolist() == [5, 5]
    first = int(np.argmax(main >= vocabulary.first_picture))
    grid = places[first : first + 16] - places[first]
    assert grid.tolist() == [[0, r, c] for r in range(4) for c in range(4)]
    spoken = places[(main == vocabulary.mark("<audio>"))][:7, 0]
    assert np.diff(spoken).tolist() == [1] * 6
    assert (np.diff(places[:, 0]) >= 0).all()


def test_what_is_not_coded_is_refused(vocabulary: OmniVocabulary) -> None:
    layout = Layout(vocabulary, delays=(0, 1, 1, 1))
    picture = Picture(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="a Picture is to be coded first"):
        layout.example([Message("user", (picture,))])


def test_ids_are_shown_with_their_marks(vocabulary: OmniVocabulary) -> None:
    layout = Layout(vocabulary, delays=(0, 1, 1, 1))
    shown = vocabulary.decode(layout.example(_messages())["targets"])
    assert shown.startswith("<system>say nine<user>what number is this<picture>▦</pic")
    assert "<voice:bass>seven eight<sound><audio>" in shown
    assert vocabulary.size == vocabulary.pieces + len(MARKS) + 50


MODALITIES = [
    ("text",), ("audio",), ("text", "audio"), ("image",), ("text", "image"),
    ("text", "audio", "image"),
]  # fmt: skip


@pytest.mark.parametrize("wants", MODALITIES)
def test_drawn_at_random_an_answer_keeps_its_form(
    vocabulary: OmniVocabulary, wants: tuple[str, ...]
) -> None:
    """2 000 answers for each of five: what was asked for, in order, then an end."""
    layout = Layout(vocabulary, delays=(0, 1, 1, 1))
    grammar = Grammar(layout, codes=16, limits=Limits(pieces=6, frames=9))
    rng = np.random.default_rng(0)
    for _ in range(2000):
        answer, ids = grammar.begin(wants), []
        audio = []
        while not answer.done:
            (allowed,) = np.nonzero(grammar.allowed[answer.state])
            ids.append(int(rng.choice(allowed)))
            audio.append(rng.integers(1, 241, size=4))
            answer.take(ids[-1])
        assert ids[-1] == EOS and len(ids) <= 6 + 9 + 16 + 6
        parts = layout.parts(ids, np.array(audio))
        kinds = [getattr(p, "kind", "text") for p in parts]
        expected = [{"audio": "sound", "image": "picture"}.get(w, w) for w in wants]
        if wants == ("audio",):  # its words come with it
            expected = ["text", "sound"]
        assert [k for k in kinds if k != "text"] == [k for k in expected if k != "text"]
        for part in parts:
            if isinstance(part, Coded) and part.kind == "picture":
                assert part.codes.shape == (4, 4)
            elif isinstance(part, Coded):
                assert 1 <= len(part.codes) <= 9


def test_an_id_out_of_turn_is_refused(vocabulary: OmniVocabulary) -> None:
    layout = Layout(vocabulary, delays=(0, 0, 0, 0))
    answer = Grammar(layout, codes=4, limits=Limits()).begin(("image",))
    assert STATES[answer.state] == "picture"
    with pytest.raises(ValueError, match="not allowed in the state 'picture'"):
        answer.take(EOS)


def test_slots_without_a_place_take_the_next_tick() -> None:
    slots = Slots(2, tick=3)
    slots.add(5, learned=True)
    slots.add(6, learned=False, place=(9, 8, 7))
    slots.add(7, learned=False)
    assert slots.arrays()["places"].tolist() == [[3] * 3, [9, 8, 7], [4] * 3]
