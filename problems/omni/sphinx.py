"""A recogniser that others made: pocketsphinx, whose wheel carries its acoustic model.

It hears no more than what a task's answer can be, written as a grammar (JSGF): with a
language model of all English it gets four of five words of espeak-ng wrong. The model
is of people before microphones. Sound without any noise is beyond it (half of all
digits wrong, where a little noise leaves a sixth), so a little is added. The grammar is
of the one task: with one of all tasks a third of all digits is wrong again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from t2t.media.messages import RATE
from t2t.problems.omni.sentences import COLOURS, DIGITS, SENTENCES, SHAPES, SUMS, WAYS
from t2t.problems.problem import DataUnavailable

NOISE = 0.003  # of the loudest sample there can be
AROUND = RATE // 4  # samples before and after that hold nothing else
# Wider than usual: a quarter more is wrong with the usual ones, in a third of the time.
BEAMS = {"beam": 1e-60, "pbeam": 1e-60, "wbeam": 1e-40}
QUESTIONS = tuple(way for ways, _ in SUMS.values() for way in ways)
THING = "{colour} ({shape} | {digit})"
FILM = f"{THING} {{way}} and {THING} {{way}}"
# What is said by a task: digits, if nothing else.
SAID = {
    "text_to_speech": (*SENTENCES, *(q.format("{number}") for q in QUESTIONS)),
    "video_to_speech": (FILM,),
    "video_and_speech_to_speech": (FILM,),
}
PARTS = {
    "digit": " | ".join(DIGITS["en"]),
    "colour": " | ".join(COLOURS),
    "shape": " | ".join(SHAPES),
    "way": " | ".join(WAYS),
    "other_way": "<way>",
    "number": "<digit> <digit> [<digit>] [<digit>]",
}


class Sphinx:
    """What a sound says, among all that can be said in a task.

    Raises:
      DataUnavailable: where pocketsphinx is not installed.
    """

    label = "pocketsphinx"

    def __init__(self) -> None:
        try:
            import pocketsphinx
        except ImportError:
            raise DataUnavailable(
                f"{self.label}, a judge of speech: pip install -e '.[judges]'"
            ) from None
        self._decoder = pocketsphinx.Decoder(
            lm=None, loglevel="FATAL", cmn="batch", **BEAMS
        )

    def __call__(self, sounds: Sequence[np.ndarray], task: str) -> list[str]:
        """The words of float32 sounds at 16 kHz; '' of what is none of the task's."""
        self._decoder.add_jsgf_string(task, grammar(SAID.get(task, ("{number}",))))
        self._decoder.activate_search(task)
        return [self._read(sound) for sound in sounds]

    def _read(self, sound: np.ndarray) -> str:
        if not len(sound):
            return ""
        heard = np.pad(sound, AROUND)
        # The same noise for each, so that each is read as it would be alone.
        heard = heard + NOISE * np.random.default_rng(0).standard_normal(len(heard))
        pcm = (np.clip(heard, -1.0, 1.0) * 32767).astype("<i2").tobytes()
        self._decoder.start_stream()  # forgets what noise there was
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return found.hypstr if found else ""


def grammar(forms: Iterable[str]) -> str:
    """JSGF of one of some forms, such as '{colour} {shape} {number}'."""
    rules = "".join(f"<{name}> = {said};\n" for name, said in PARTS.items())
    named = {name: f"<{name}>" for name in PARTS}
    said = " | ".join(form.format(**named) for form in forms)
    return f"#JSGF V1.0;\ngrammar answers;\n{rules}public <answer> = {said};\n"
