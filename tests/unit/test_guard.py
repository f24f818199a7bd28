"""The voice guard: as it comes as whole, evidence, verdicts, and its table."""

from __future__ import annotations

import itertools
from pathlib import Path

import keras
import kit
import numpy as np
import pytest
from toy_omni import tokenizer_files

from t2t.decode.decoder import DecodeError
from t2t.decode.guard import (
    FrozenGuard,
    Guard,
    GuardOptions,
    Listener,
    Trial,
    against,
    curve,
    paths,
    table,
    trials,
)
from t2t.features import Feature
from t2t.media import tokenizers
from t2t.media.layout import VOICES
from t2t.models.voice_guard import VoiceGuard
from t2t.problems.omni import voices
from t2t.problems.speech import SAMPLES
from t2t.problems.speech_voices import OTHER, Clip, SpeechVoices

FRAME, FRAMES = 640, 12
FEATURES = {
    "audio": Feature("audio", (FRAMES * FRAME,), "int16", "N"),
    "label": Feature("label", (), "int32", "", classes=5),
}


@pytest.fixture(scope="module")
def model() -> VoiceGuard:
    keras.utils.set_random_seed(0)
    made = VoiceGuard(FEATURES, hidden_size=16, num_layers=2, memory=5.0)
    made({"audio": np.zeros((1, FRAMES * FRAME), np.int16)})
    kit.randomise(made, scale=0.3)
    return made


def _sound(rows: int = 2, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(rows, FRAMES * FRAME))
    noise[:, : 3 * FRAME] = 0.0  # it begins with silence
    return (3000 * noise).astype(np.int16)


@pytest.mark.parametrize("step", [1, 4])
def test_as_it_comes_is_as_a_whole(model: VoiceGuard, step: int) -> None:
    sound = _sound()
    whole, inner = model({"audio": sound})
    past, parts, speech = None, [], []
    for start in range(0, FRAMES, step):
        part = sound[:, start * FRAME : (start + step) * FRAME] / 32768.0
        logits, some, past = model.hear(part.astype(np.float32), past)
        parts.append(kit.array(logits))
        speech.append(kit.array(some["speech"]))
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-4)
    np.testing.assert_array_equal(np.concatenate(speech, 1), inner["speech"])
    assert kit.array(inner["speech"])[0].tolist() == [0.0] * 3 + [1.0] * (FRAMES - 3)


def test_it_looks_back_only(model: VoiceGuard) -> None:
    sound = _sound(1)
    later = sound.copy()
    later[:, 6 * FRAME :] //= -2
    one, two = (kit.array(model({"audio": s})[0]) for s in (sound, later))
    np.testing.assert_array_equal(one[:, :6], two[:, :6])
    assert (one[:, 6:] != two[:, 6:]).any()


def test_metrics_count_pairs_of_a_clip_and_a_voice(model: VoiceGuard) -> None:
    batch = {
        "audio": _sound(3),
        "label": np.array([0, 4, 1], np.int32),
        "weights": np.array([1.0, 1.0, 0.0], np.float32),
    }
    _, inner = model.losses(batch, training=False)
    total, weight = inner["metrics"]["deviation_recall"]
    assert 0.0 <= float(total) <= float(weight) == pytest.approx(2.0)
    assert float(inner["metrics"]["accuracy"][1]) == 2.0


def test_evidence_is_the_odds_of_anybody_else() -> None:
    options = GuardOptions(most=50.0)
    logits = np.log(
        np.array([[0.1, 0.2, 0.3, 0.3, 0.1], [0.9, 0.025, 0.025, 0.025, 0.025]])
    )
    expected = np.log([0.9 / 0.1, 0.1 / 0.9])
    np.testing.assert_allclose(against(logits, 0, options), expected)
    assert against(1000 * logits, 0, GuardOptions()).tolist() == [3.0, -3.0]
    with pytest.raises(ValueError, match="above 0"):
        GuardOptions(threshold=0.0)


def test_a_guard_hears_what_the_table_counts(model: VoiceGuard) -> None:
    """The same evidence, in pieces of any length; a verdict stays."""
    (sound,) = _sound(1)
    options = GuardOptions(threshold=1.0)
    trial = Trial(sound, "bass", True)
    (path,) = paths(model, [trial], options)
    guard = Guard(Listener(model), "bass", options=options)
    heard, verdicts = sound / 32768.0, []
    for start in range(0, len(sound), 500):
        verdicts.append(guard.hear(heard[start : start + 500]))
    assert verdicts[-1].seconds == pytest.approx(FRAMES * FRAME / 16_000)
    assert verdicts[-1].evidence == pytest.approx(path[-1], abs=1e-3)
    blocked = [verdict.blocked for verdict in verdicts]
    assert blocked == sorted(blocked) and blocked[-1] == (path.max() >= 1.0)
    guard.reset()
    assert guard.hear(np.zeros(FRAME)).evidence == 0.0, "silence tells nothing"
    with pytest.raises(DecodeError, match="no voice 'baritone', only alto"):
        Guard(Listener(model), "baritone")


def test_the_table_counts_by_group() -> None:
    none = np.zeros(1, np.int16)
    given = [
        Trial(none, "alto", True, ("all", "x")),
        Trial(none, "alto", True, ("all",)),
        Trial(none, "alto", False, ("all", "x")),
        Trial(none, "bass", False, ("all",)),
    ]
    evidence = np.array([[0.0, 9.0, 9.0], [0.0, 0.0, 3.0], [0.0, 7.0, 0.0], [0.0] * 3])
    first, second = table(given, evidence, threshold=6.0)
    assert (first.group, first.deviating, first.proper) == ("all", 2, 2)
    assert (first.recall, first.false_blocks, first.precision) == (0.5, 0.5, 0.5)
    assert first.seconds == pytest.approx(0.08)
    assert (second.group, second.recall, second.false_blocks) == ("x", 1.0, 1.0)
    assert curve(given, evidence) == [(3.0, 1.0, 0.5), (7.0, 0.5, 0.5), (9.0, 0.5, 0.0)]


def test_a_preset_is_tried_beside_its_own_voice_and_another() -> None:
    none = np.zeros(1, np.int16)
    clips = [Clip(none, "bass", "own", "en", "m3", True)] * 3
    clips.append(Clip(none, OTHER, "user", "en-us", "f2", False))
    found = trials(clips)
    assert [t.deviates for t in found] == [False, True] * 3 + [True]
    assert {t.voice for t in found if t.deviates} >= set(VOICES) - {"bass"}
    assert all("coded" in t.groups for t in found[:6])


def test_a_frozen_guard_is_the_same(model: VoiceGuard, tmp_path: Path) -> None:
    content = tokenizers.freeze(model, FEATURES)
    (tmp_path / "voice_guard.npz").write_bytes(content)
    frozen = FrozenGuard()
    frozen.load(tmp_path)
    batch = {"audio": _sound()}
    np.testing.assert_array_equal(frozen.model(batch)[0], model(batch)[0])
    with pytest.raises(FileNotFoundError, match="speech_voices.*t2t-exporter"):
        FrozenGuard().load(tmp_path / "none")


def test_the_problem_and_the_guard_count_voices_alike() -> None:
    labels = SpeechVoices().features["label"].vocabulary
    assert labels is not None and labels.size == len(VOICES) + 1
    assert tuple(voices.ASSISTANTS) == VOICES
    assert [labels.encode(name)[0] for name in (*VOICES, OTHER)] == list(range(5))


def test_clips_are_raw_and_coded_by_turns(tmp_path: Path) -> None:
    tokenizer_files(tmp_path)
    problem = SpeechVoices(clips=4)
    problem.load_vocabularies(tmp_path)
    names = (*VOICES, OTHER)
    clips = list(itertools.islice(problem.clip_stream("test"), 4))
    assert [clip.coded for clip in clips] == [False, True] * 2
    for raw, coded in zip(clips[::2], clips[1::2], strict=True):
        assert raw.voice == coded.voice in names
        assert raw.samples.dtype == np.int16 and np.abs(raw.samples).max() > 1000
        assert raw.samples.shape == coded.samples.shape == (SAMPLES,)
