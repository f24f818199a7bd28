"""Speech alone: clips of many voices, for codecs and recognisers."""

from __future__ import annotations

import itertools
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t2t import registry
from t2t.features import Feature
from t2t.media.speech import SpeechError, synthesise
from t2t.problems.language_model_pydoc import split_texts
from t2t.problems.omni import voices
from t2t.problems.omni.sentences import LANGUAGES, choose, spoken_sentence
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable, Example, Problem

AT_ONCE = 250  # utterances synthesised by a process
SAMPLES = 20_480  # of a clip: 1.28 s, 32 frames of a codec at 25 Hz
LOUDEST = 32_767


@registry.problem
class SpeechClips(Problem):
    """Synthetic speech in hundreds of voices, cut into clips of 1.28 seconds.

    Two thirds are sentences such as those of the omni problems, a third is from
    Python's documentation; a twentieth is said in each of five other languages. dev
    is in voices of training, test in voices never heard.

    Args:
      clips: of training; dev and test have a twentieth each.
    """

    FEATURES = {"audio": "audio"}
    SPLITS = {TRAIN: 4, DEV: 1, TEST: 1}
    SUGGESTED = ("speech_codec_tiny", "speech_codec")
    licence = "synthesised by espeak-ng (GPL-3.0 program)"

    def __init__(self, *, clips: int = 6000) -> None:
        self.clips = clips

    @property
    def features(self) -> dict[str, Feature]:
        return {"audio": Feature("audio", (SAMPLES,), "int16", "N")}

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        count = self.clips if split == TRAIN else max(1, self.clips // 20)
        return itertools.islice(self._clips(split), count)

    def example(self, split: str, rng: np.random.Generator) -> Example:
        """Tones that glide: for `fake`."""
        time = np.arange(SAMPLES) / SAMPLES
        phase = np.cumsum(rng.uniform(100, 400) * (1 + time)) / 16_000
        wave = np.sin(2 * np.pi * phase) * rng.uniform(0.1, 0.9)
        return {"audio": (wave * LOUDEST).astype(np.int16)}

    def _clips(self, split: str) -> Iterator[Example]:
        rng = np.random.default_rng([5, *split.encode()])
        kind = "voice" if split == TEST else "seen"
        texts = _documentation(split)
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
            try:
                spoken = synthesise(wanted)
            except SpeechError as error:
                raise DataUnavailable(str(error)) from None
            for samples in spoken:
                yield from self._cut(samples * rng.uniform(0.3, 1.0))

    def _cut(self, samples: np.ndarray) -> Iterator[Example]:
        whole = (samples * LOUDEST).astype(np.int16)
        for start in range(0, len(whole), SAMPLES):
            piece = whole[start : start + SAMPLES]
            if len(piece) > SAMPLES // 2:
                yield {"audio": np.pad(piece, (0, SAMPLES - len(piece)))}


def _documentation(split: str) -> Iterator[str]:
    """Runs of eight words, over and over."""
    texts = split_texts(split, Path(sysconfig.get_path("stdlib")))
    words = " ".join(itertools.islice(texts, 2000)).split()
    words = [word for word in words if word.isalpha()]
    for start in itertools.cycle(range(0, len(words) - 8, 8)):
        yield " ".join(words[start : start + 8])
