"""Who speaks: one of the assistant's voices, or anybody else."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t import registry
from t2t.features import Feature, Vocabulary, label
from t2t.media.speech import Utterance
from t2t.media.tokenizers import SoundTokenizer
from t2t.problems import holdout
from t2t.problems.omni import voices
from t2t.problems.omni.sentences import LANGUAGES, choose, spoken_sentence
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable, Example, Problem
from t2t.problems.speech import LOUDEST, SAMPLES, documentation, spoken
from t2t.text import ClassLabels

OTHER = "other"
AT_ONCE = 100  # utterances synthesised by a process
# Shares of who speaks: a preset; its variant at another pitch, in any accent; a user;
# a user in a language other than English.
KINDS = {"own": 0.45, "near": 0.1, "user": 0.3, "foreign": 0.15}
NEAR = (
    15  # least difference of pitch, of espeak-ng's 0 to 99, of who is nearly a preset
)


@dataclasses.dataclass(frozen=True)
class Clip:
    """int16 [SAMPLES] at 16 kHz of a voice: the preset's name, or 'other'.

    kind: of KINDS. accent: language of espeak-ng. coded: whether it went through the
    speech codec, as all that the assistant says does.
    """

    samples: np.ndarray
    voice: str
    kind: str
    accent: str
    variant: str
    coded: bool


@registry.problem
class SpeechVoices(Problem):
    """The assistant's four voices against all others, raw and through the codec.

    Not quite half are presets; the others are users in many variants, accents, pitches
    and rates, a few of them in other languages or nearly a preset. Every utterance is
    there raw and through the speech codec, whose file stands in the data folder.
    Half of the variants that are held out are those of dev, the other half of test; a
    third of test's users have accents never heard instead. Sentences of dev and test
    have strings of digits that training has not.

    Args:
      clips: of training; dev and test have a tenth each.
    """

    FEATURES = {"audio": "audio", "label": "label"}
    TARGET = "label"
    SPLITS = {TRAIN: 4, DEV: 1, TEST: 1}
    SUGGESTED = ("voice_guard_tiny", "voice_guard")
    licence = "synthesised by espeak-ng (GPL-3.0 program)"

    def __init__(self, *, clips: int = 12_000) -> None:
        self.clips = clips
        self._labels = ClassLabels("voices", (*voices.ASSISTANTS, OTHER))
        self._sounds = SoundTokenizer()

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "audio": Feature("audio", (SAMPLES,), "int16", "N"),
            "label": label(self._labels),
        }

    @property
    def vocabularies(self) -> dict[str, Vocabulary]:
        """The codec's file first, which cannot be built."""
        found: list[Any] = [self._sounds, self._labels]
        return {one.name: one for one in found}

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        count = self.clips if split == TRAIN else self.clips // 10
        for clip in itertools.islice(self.clip_stream(split), count):
            yield {"audio": clip.samples, "label": clip.voice}

    def example(self, split: str, rng: np.random.Generator) -> Example:
        """A hum for each voice: for `fake`."""
        number = int(rng.integers(self._labels.size))
        wave = np.sin(2 * np.pi * (100 + 50 * number) * np.arange(SAMPLES) / 16_000)
        samples = (wave * rng.uniform(0.1, 0.9) * LOUDEST).astype(np.int16)
        return {"audio": samples, "label": (*voices.ASSISTANTS, OTHER)[number]}

    def clip_stream(self, split: str, *, seed: int = 0) -> Iterator[Clip]:
        """Clips without end, raw and coded by turns.

        Raises:
          DataUnavailable: without the codec or espeak-ng.
        """
        if not self._sounds.built:
            raise DataUnavailable(self._sounds.missing)
        rng = np.random.default_rng([11, seed, *split.encode()])
        texts = documentation(split)
        while True:
            wanted = [self._utterance(split, rng, texts) for _ in range(AT_ONCE)]
            heard = spoken([utterance for _, _, utterance in wanted])
            clips = [_cut(sound.samples, rng) for sound in heard]
            echoes = self._sounds.echo([clip / LOUDEST for clip in clips])
            for (voice, kind, said), *both in zip(wanted, clips, echoes, strict=True):
                about = (voice, kind, said.language, said.variant)
                for coded, samples in enumerate(both):
                    whole = np.asarray(samples * (LOUDEST if coded else 1), np.int16)
                    yield Clip(whole, *about, bool(coded))

    def _utterance(
        self, split: str, rng: np.random.Generator, texts: Iterator[str]
    ) -> tuple[str, str, Utterance]:
        """(voice, kind, what is said by whom)."""
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        text = spoken_sentence(rng, unseen=split != TRAIN)
        if rng.random() < 0.25:
            text = next(texts)
        if kind == "own":
            voice = choose(rng, list(voices.ASSISTANTS))
            return voice, kind, voices.say(text, voice)
        if kind == "near":
            return OTHER, kind, _nearly(text, rng)
        if kind == "user":
            return OTHER, kind, _user(text, split, rng)
        language = choose(rng, list(LANGUAGES))
        text = spoken_sentence(rng, language=language)
        return OTHER, kind, _user(text, split, rng, language)


def _nearly(text: str, rng: np.random.Generator) -> Utterance:
    """The variant of a preset at another pitch, in any accent and rate."""
    like = voices.say(text, choose(rng, list(voices.ASSISTANTS)))
    pitches = [p for p in range(10, 91) if abs(p - like.pitch) >= NEAR]
    return dataclasses.replace(
        like,
        language=choose(rng, voices.ACCENTS),
        pitch=pitches[rng.integers(len(pitches))],
        rate=int(rng.integers(140, 211)),
    )


def _user(
    text: str, split: str, rng: np.random.Generator, language: str = ""
) -> Utterance:
    """Of dev and test, a voice that no other split has."""
    if split == TRAIN:
        return voices.ask(text, rng, language=language)
    if split == TEST and not language and rng.random() < 1 / 3:
        return voices.ask(text, rng, kind="accent")
    while True:
        said = voices.ask(text, rng, kind="voice", language=language)
        of_dev = holdout.share(f"dev {said.variant}") < 0.5
        if of_dev == (split == DEV):
            return said


def _cut(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clip: half of them from the beginning, others from a place within."""
    spare = max(0, len(samples) - SAMPLES)
    start = int(spare * max(0.0, rng.uniform(-1.0, 1.0)))
    clip = samples[start : start + SAMPLES] * rng.uniform(0.3, 1.0)
    return (np.pad(clip, (0, SAMPLES - len(clip))) * LOUDEST).astype(np.int16)
