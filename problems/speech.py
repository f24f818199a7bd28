"""Speech alone: clips of many voices, for codecs and recognisers."""

from __future__ import annotations

import itertools
import sysconfig
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t2t import registry
from t2t.features import Feature
from t2t.media.messages import Sound
from t2t.media.speech import SpeechError, Utterance, synthesise
from t2t.problems.language_model_pydoc import split_texts
from t2t.problems.omni import voices
from t2t.problems.omni.sentences import (
    LANGUAGES,
    choose,
    english_words,
    moving_sentence,
    spoken_sentence,
)
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable, Example, Problem
from t2t.text.symbols import Symbols

AT_ONCE = 250  # utterances synthesised by a process
SAMPLES = 20_480  # of a clip: 1.28 s, 32 frames of a codec at 25 Hz
HOP = 160  # samples
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LONGEST = 64_000  # samples of a sentence: 4 s
LOUDEST = 32_767
MOVING = 0.25  # share of sentences that tell of films


@registry.problem
class SpeechClips(Problem):
    """Synthetic speech in hundreds of voices, cut into clips of 1.28 seconds.

    Two thirds are sentences such as those of the omni problems, a third is from
    Python's documentation; a twentieth is said in each of five other languages. dev
    is in voices of training, test in voices never heard. `letters` are those that are
    spoken, a hundred times a second, as if those of a word took equal time: 0 for none.

    Args:
      clips: of training; dev and test have a twentieth each.
    """

    FEATURES = {"audio": "audio", "letters": "label"}
    TARGET = "audio"
    SPLITS = {TRAIN: 4, DEV: 1, TEST: 1}
    VERSION = 2
    SUGGESTED = ("speech_codec_tiny", "speech_codec")
    licence = "synthesised by espeak-ng (GPL-3.0 program)"

    def __init__(self, *, clips: int = 6000) -> None:
        self.clips = clips

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "audio": Feature("audio", (SAMPLES,), "int16", "N"),
            "letters": Feature(
                "label", (SAMPLES // HOP,), "uint8", "T", classes=1 + len(LETTERS)
            ),
        }

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        count = self.clips if split == TRAIN else max(1, self.clips // 20)
        return itertools.islice(self._clips(split), count)

    def example(self, split: str, rng: np.random.Generator) -> Example:
        """Tones that glide: for `fake`."""
        time = np.arange(SAMPLES) / SAMPLES
        phase = np.cumsum(rng.uniform(100, 400) * (1 + time)) / 16_000
        wave = np.sin(2 * np.pi * phase) * rng.uniform(0.1, 0.9)
        letters = rng.integers(1 + len(LETTERS), size=SAMPLES // HOP)
        return {
            "audio": (wave * LOUDEST).astype(np.int16),
            "letters": letters.astype(np.uint8),
        }

    def _clips(self, split: str) -> Iterator[Example]:
        rng = np.random.default_rng([5, *split.encode()])
        kind = "voice" if split == TEST else "seen"
        texts = documentation(split)
        while True:
            wanted = []
            for _ in range(AT_ONCE):
                draw, language, text = rng.random(), "", spoken_sentence(rng)
                if draw < 1 / 3:
                    text = next(texts)
                elif draw < 1 / 3 + 0.25:
                    language = choose(rng, list(LANGUAGES))
                    text = spoken_sentence(rng, language=language)
                wanted.append(voices.ask(text, rng, kind=kind, language=language))
            for i in range(0, len(wanted), 5):
                voice = choose(rng, list(voices.ASSISTANTS))
                wanted[i] = voices.say(wanted[i].text, voice)
            for sound in spoken(wanted):
                yield from self._cut(sound, rng.uniform(0.3, 1.0))

    def _cut(self, sound: Sound, loudness: float) -> Iterator[Example]:
        whole = (sound.samples * loudness * LOUDEST).astype(np.int16)
        said = letters(sound)
        for start in range(0, len(whole), SAMPLES):
            piece = whole[start : start + SAMPLES]
            if len(piece) > SAMPLES // 2:
                told = said[start // HOP :][: SAMPLES // HOP]
                yield {
                    "audio": np.pad(piece, (0, SAMPLES - len(piece))),
                    "letters": np.pad(told, (0, SAMPLES // HOP - len(told))),
                }


@registry.problem
class SpeechWords(Problem):
    """Synthetic speech in hundreds of voices, and the words said: a closed vocabulary.

    Sentences are those of the omni problems, in users' voices and the assistant's. dev
    and test have strings of digits that training has not, test voices never heard.

    Args:
      sentences: of training; dev and test have a twentieth each.
    """

    FEATURES = {"audio": "audio", "targets": "text"}
    SPLITS = {TRAIN: 4, DEV: 1, TEST: 1}
    VERSION = 3
    SUGGESTED = ("speech_recogniser_tiny", "speech_recogniser")
    licence = "synthesised by espeak-ng (GPL-3.0 program)"

    def __init__(self, *, sentences: int = 8000) -> None:
        self.sentences = sentences
        self._words = Symbols("english_words", english_words())

    @property
    def features(self) -> dict[str, Feature]:
        return {
            "audio": Feature("audio", (LONGEST,), "int16", "N"),
            "targets": Feature("text", (None,), "int32", "T", self._words),
        }

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        count = self.sentences // (1 if split == TRAIN else 20)
        rng = np.random.default_rng([8, *split.encode()])
        while count > 0:
            wanted = [self._utterance(split, rng) for _ in range(min(AT_ONCE, count))]
            count -= len(wanted)
            for utterance, sound in zip(wanted, spoken(wanted), strict=True):
                if (size := len(sound.samples)) <= LONGEST:
                    loud = sound.samples * rng.uniform(0.3, 1.0) * LOUDEST
                    whole = np.pad(loud.astype(np.int16), (0, LONGEST - size))
                    yield {"audio": whole, "targets": utterance.text}

    def example(self, split: str, rng: np.random.Generator) -> Example:
        """Noise and a sentence: for `fake`."""
        noise = rng.integers(-1000, 1000, size=LONGEST).astype(np.int16)
        return {"audio": noise, "targets": spoken_sentence(rng)}

    def _utterance(self, split: str, rng: np.random.Generator) -> Utterance:
        text = spoken_sentence(rng, unseen=split != TRAIN)
        if rng.random() < MOVING:
            text = moving_sentence(rng)
        if rng.random() < 0.3:
            return voices.say(text, choose(rng, list(voices.ASSISTANTS)))
        return voices.ask(text, rng, kind="voice" if split == TEST else "seen")


def spoken(wanted: list[Utterance]) -> list[Sound]:
    """The sound of each.

    Raises:
      DataUnavailable: without espeak-ng.
    """
    try:
        return list(synthesise(wanted))
    except SpeechError as error:
        raise DataUnavailable(str(error)) from None


def letters(sound: Sound) -> np.ndarray:
    """Which of `LETTERS` is said, counted from 1, uint8 [hops of 10 ms]."""
    found = np.zeros(-(-len(sound.samples) // HOP), np.uint8)
    starts = np.arange(len(found)) * HOP
    for (begin, word), (end, _) in itertools.pairwise(sound.words):
        plain = unicodedata.normalize("NFKD", word.lower())
        spelled = [1 + LETTERS.index(c) for c in plain if c in LETTERS]
        if spelled:
            (hops,) = np.nonzero((begin <= starts) & (starts < end))
            places = (starts[hops] - begin) * len(spelled) // (end - begin)
            found[hops] = np.array(spelled)[places]
    return found


def documentation(split: str) -> Iterator[str]:
    """Runs of eight words, over and over."""
    texts = split_texts(split, Path(sysconfig.get_path("stdlib")))
    words = " ".join(itertools.islice(texts, 2000)).split()
    words = [word for word in words if word.isalpha()]
    for start in itertools.cycle(range(0, len(words) - 8, 8)):
        yield " ".join(words[start : start + 8])
