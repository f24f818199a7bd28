"""Judges that others made, and what they are asked: what an answer says, and who."""

from __future__ import annotations

import dataclasses
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_toys import tone

from t2t.media.messages import Sound, Text
from t2t.media.speech import synthesise
from t2t.problems.omni import (
    judges,
    ocr,
    pictures,
    recordings,
    sphinx,
    tasks,
    voiceprints,
    voices,
)
from t2t.problems.omni.examination import Examination, Judge
from t2t.problems.omni.scores import Cell, Score, Verdict
from t2t.problems.omni.sentences import spoken_sentence
from t2t.problems.problem import DataUnavailable

DIGITS = ("four nine nine", "eight three one zero", "two six", "seven two one four")


def _pattern(task: str) -> re.Pattern[str]:
    """A task's grammar for texts without spaces."""
    text = sphinx.grammar(sphinx.SAID.get(task, ("{number}",)))
    rules = dict(re.findall(r"<(\w+)> = (.*);", text))
    said = rules["answer"]
    while "<" in said:
        said = re.sub(r"<(\w+)>", lambda name: f"({rules[name[1]]})", said)
    said = said.replace("[", "(").replace("]", ")?").replace("(", "(?:")
    return re.compile(said.replace(" ", ""))


def test_a_grammar_has_all_that_its_task_says() -> None:
    rng = np.random.default_rng(0)
    grammars = [_pattern(t) for t in ("text_to_speech", "video_to_speech", "other")]
    sentences = [spoken_sentence(rng, unseen=i % 2 > 0) for i in range(500)]
    films = ("red seven left and blue ring right", "white star up and red two up")
    for said, pattern in zip((sentences, films, DIGITS), grammars, strict=True):
        for text in said:
            assert pattern.fullmatch(text.replace(" ", "")), text
    for wrong in ("five", "onetwothreefourfive", "redseven"):
        assert not any(pattern.fullmatch(wrong) for pattern in grammars)


def test_what_is_said_is_read_and_each_sound_by_itself() -> None:
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("espeakng_loader")
    said = synthesise([voices.say(text, "alto") for text in DIGITS])
    sounds = [sound.samples for sound in said]
    judge = sphinx.Sphinx()
    read = judge(sounds, "speech_to_speech")
    assert sum(a == b for a, b in zip(read, DIGITS, strict=True)) >= 2
    assert judge(sounds[::-1], "speech_to_speech") == read[::-1]
    assert judge([np.zeros(0, np.float32)], "text_to_speech") == [""]


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(DataUnavailable, match=r"pip install -e '\.\[judges\]'"):
        sphinx.Sphinx()


def test_numbers_are_spliced_of_recordings(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with pytest.raises(DataUnavailable, match="apt-get install asterisk"):
        recordings.Recordings(tmp_path / "none")
    for digit in range(10):
        with av.open(str(tmp_path / f"{digit}.g722"), "w", format="g722") as file:
            stream = file.add_stream("g722", rate=16_000, layout="mono")
            samples = tone(0.02 * (digit + 1), hertz=300) * 32767
            frame = av.AudioFrame.from_ndarray(
                samples.astype(np.int16)[None], "s16", "mono"
            )
            frame.sample_rate = 16_000
            file.mux([*stream.encode(frame), *stream.encode(None)])
    people = recordings.Recordings(tmp_path)
    said = people.say("one four")
    assert said is not None and abs(len(said) - 16_000 * 0.14) < 700
    assert 0.4 < np.abs(said).max() < 0.6
    assert people.say("red") is None and people.say("") is None


def test_the_network_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    lstm, linear = torch.nn.LSTM(40, 16, 3, batch_first=True), torch.nn.Linear(16, 16)
    state = {f"lstm.{name}": p for name, p in lstm.state_dict().items()}
    state |= {f"linear.{name}": p for name, p in linear.state_dict().items()}
    stream = io.BytesIO()
    torch.save({"model_state": state}, stream, _use_new_zipfile_serialization=False)
    arrays = voiceprints.weights(stream.getvalue())
    mels = np.random.default_rng(0).random((5, 20, 40)).astype(np.float32)
    with torch.no_grad():
        _, (hidden, _) = lstm(torch.from_numpy(mels))
        wanted = torch.nn.functional.normalize(torch.relu(linear(hidden[-1])))
    found = voiceprints._encode(arrays, mels)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_mel_bands_are_librosas() -> None:
    """Figures of librosa.filters.mel(sr=16000, n_fft=400, n_mels=40)."""
    bands = voiceprints._mel_matrix()
    assert bands.shape == (201, 40)
    assert bands.argmax(axis=0)[[0, 10, 20, 39]].tolist() == [2, 20, 44, 185]
    assert abs(bands.sum() - 0.9994972) < 1e-4


def test_as_many_pass_as_fail() -> None:
    right = np.array([0, 1, 0, 1])
    apart = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.3, 0.9]])
    assert voiceprints.equal_error_rate(apart, right) == 0.0
    apart[0] = 0.1, 0.9
    assert voiceprints.equal_error_rate(apart, right) == 0.25


@dataclasses.dataclass
class _Ear:
    """Takes what it hears for what it heard first, from a moment of it on."""

    label: str
    words: dict[int, str]

    def __call__(self, sounds: Sequence[np.ndarray], task: str) -> list[str]:
        return [self.words.get(len(sound), "") for sound in sounds]


class _Chat:
    """Codes nothing, and answers with all but the last of the right answers."""

    def __init__(self, right: Sequence[Any]) -> None:
        self.problem, self._right = self, right

    def code(self, conversations: Any) -> Any:
        return conversations

    def answers(self, asked: Any, wanted: Any) -> list[list[Any]]:
        silent = [Text("six"), Sound(np.zeros(0, np.float32))]
        return [*([*parts] for parts in self._right[:-1]), silent]

    def decoded(self, part: Any) -> Any:
        return part


def test_every_judge_gives_its_verdict_beside_its_ceiling() -> None:
    texts = ("one two", "three four", "five")
    sounds = [np.ones(8 + i, np.float32) for i in range(3)]
    right = [(Text(t), Sound(s)) for t, s in zip(texts, sounds, strict=True)]
    turns = [
        [tasks.user("say"), dataclasses.replace(tasks.written(t), parts=p, voice=v,
                                                wants=("text", "audio"))]
        for t, p, v in zip(texts, right, ("alto", "bass", "alto"), strict=True)
    ]  # fmt: skip
    good = _Ear("good", {8: "one two", 9: "three four", 10: "five", 7: "five"})
    poor = _Ear("poor", {8: "one two", 9: "three one", 7: "two"})

    class Prints:
        label, voices = "prints", ("alto", "bass")

        def __call__(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
            alike = {8: (0.9, 0.1), 9: (0.2, 0.8), 10: (0.8, 0.3), 0: (0.0, 0.0)}
            return np.array([alike[len(sound)] for sound in sounds])

    class People:
        def say(self, text: str) -> np.ndarray | None:
            return np.ones(7, np.float32) if text == "five" else None

    chat = _Chat(right)
    people: Any = People()
    prints: Any = Prints()
    judge = Judge(chat, [good, poor], [], people=people, prints=prints)
    score = judge(Cell("to speech", "any", "exact", goal=0.9), turns)
    one, two = score.verdicts
    assert score.value == one.value == pytest.approx(2 / 3) and score.met is False
    assert (one.raw, one.coded, one.human, one.of) == (1.0, 1.0, 1.0, 1)
    assert two.value == two.raw == pytest.approx(1 / 3) and two.human == 0.0
    heard = judge.voices()
    assert heard.count == 3 and heard.value == pytest.approx(2 / 3)
    assert heard.verdicts[0].raw == 1.0 and "0.000 raw" in heard.verdicts[0].note
    lines = Examination().row(score).split("\n")
    assert "good: 1.000 raw, 1.000 coded, 1.000 human (1)" in lines[0]
    assert lines[1].index("poor: 0.333") == lines[0].index("good: 1.000")


def test_cells_are_named_and_coloured_by_each_judge() -> None:
    inks = [pictures.shape("square"), pictures.shape("ring")]
    right = tasks.things_picture(
        ["red square", "blue ring"],
        [pictures.paint(inks[0], "red"), pictures.paint(inks[1], "blue")],
    )
    assert (
        right.pixels.shape == (24, 24, 3) and right.shows == "red square and blue ring"
    )
    blank = np.zeros((24, 24, 3), np.uint8)

    def by_middle(inks: Sequence[np.ndarray]) -> list[str]:
        return ["square" if ink[6, 6] > 9 else "ring" for ink in inks]

    def blind(inks: Sequence[np.ndarray]) -> list[str]:
        return ["square" for _ in inks]

    assert judges.things(blank, by_middle) == ""
    assert judges.things(right.pixels, by_middle) == right.shows
    by_middle.label, blind.label = "by the middle", "blind"  # type: ignore[attr-defined]
    turns = [[tasks.user("draw"), tasks.drawn(right)]] * 2
    chat = _Chat([(right,), (right,)])
    score = Judge(chat, [], [by_middle, blind])(
        Cell("to image", "any", "things"), turns
    )
    one, two = score.verdicts
    # The last answer has no picture at all.
    assert (one.value, one.raw, one.coded) == (0.5, 1.0, 1.0)
    assert (two.value, two.raw, two.coded) == (0.25, 0.5, 0.5)


def test_a_digit_is_shown_as_a_line_of_print() -> None:
    ink = np.zeros((12, 12), np.uint8)
    ink[2:10, 6] = 255
    drawn = ocr.line(ink)
    assert drawn.shape == (1, 3, 48, 144) and drawn.dtype == np.float32
    dark = drawn[0, 0, 24] < 0  # black on white, three times
    assert np.diff(dark.astype(int)).clip(0).sum() == 3
    assert drawn.max() >= 1.0 and (drawn[0, 0] == drawn[0, 2]).all()


def test_the_readers_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DataUnavailable, match=r"PP-OCRv4.*'\.\[judges\]'"):
        ocr.Ocr(tmp_path)


def test_a_row_without_judges_is_one_line() -> None:
    score = Score(Cell("a", "b", "errors"), 7, 0.5, 0.4, 0.6, note="noted")
    assert Examination().row(score).endswith("noted")
    assert Verdict("me", 1, 1, 1, raw=0.5, coded=0.25).ceiling.endswith("0.250 coded")
