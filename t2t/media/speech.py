"""Text to speech by espeak-ng, whose wheel (`espeakng-loader`) carries its data.

espeak-ng keeps state between calls: the same text twice in one process gives other
samples. The same *list* in a fresh process gives the same bytes every time, provided
that its random numbers are seeded (some variants breathe), so `synthesise` starts one
process for each list it is given.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import json
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from t2t.media.messages import RATE, Sound, Words

HINT = "speech needs espeak-ng: pip install -e '.[omni]'"
DEADLINE = 60.0  # seconds for a list, and a tenth of one for each of its utterances
# Voices that are jokes, whispers or machines: for tests of what is odd.
NOVELTY = (
    "Demonic", "Tweaky", "UniRobot", "anikaRobot", "announcer", "AnxiousAndy",
    "croak", "fast", "kaukovalta", "whisper", "whisperf", "robosoft", "robosoft2",
    "robosoft3", "robosoft4", "robosoft5", "robosoft6", "robosoft7", "robosoft8",
)  # fmt: skip

_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_SYNCHRONOUS, _UTF8 = 2, 1
_WORD = 1  # espeak_EVENT_TYPE
_SIZES = struct.Struct("<II")  # samples, words
_PLACE = struct.Struct("<II")  # of a word: its sample, its character


class SpeechError(RuntimeError):
    """Speech cannot be had; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Utterance:
    """A text and who says it how.

    Args:
      language: of espeak-ng, such as 'en-us', 'en-gb-scotland', 'de'.
      variant: of the voice, such as 'f3'; '' for the language's own.
      pitch: 0 to 99, 50 as the variant has it.
      rate: words a minute, 80 to 450.
      inflection: 0 to 99, how much the pitch moves.
    """

    text: str
    language: str = "en-us"
    variant: str = ""
    pitch: int = 50
    rate: int = 175
    inflection: int = 50


def synthesise(utterances: Sequence[Utterance]) -> list[Sound]:
    """Each utterance, and where its words begin; the same at every call.

    Raises:
      SpeechError: without espeak-ng, for a voice it does not have, or when it hangs.
    """
    if not utterances:
        return []
    wanted = [dataclasses.asdict(utterance) for utterance in utterances]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "t2t.media.speech"],
            input=json.dumps(wanted).encode(),
            capture_output=True,
            timeout=DEADLINE + 0.1 * len(wanted),
        )
    except subprocess.TimeoutExpired:
        raise SpeechError(
            f"espeak-ng did not finish {len(wanted)} utterances, the first "
            f"{utterances[0]}"
        ) from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SpeechError(lines[-1] if lines else f"exit status {done.returncode}")
    return list(_unpack(done.stdout, utterances))


def variants() -> list[str]:
    """Names of the voice variants, without the novelties."""
    from pathlib import Path

    folder = Path(_loader().get_data_path()) / "voices" / "!v"
    return sorted(p.name for p in folder.iterdir() if p.name not in NOVELTY)


def _unpack(data: bytes, utterances: Sequence[Utterance]) -> Iterator[Sound]:
    at = 0
    for utterance in utterances:
        count, words = _SIZES.unpack_from(data, at)
        at += _SIZES.size
        samples = np.frombuffer(data, "<i2", count, at).astype(np.float32) / 32768.0
        at += 2 * count
        places = list(_PLACE.iter_unpack(data[at : at + words * _PLACE.size]))
        at += words * _PLACE.size
        yield Sound(samples, _words(utterance.text, places))


def _words(text: str, places: Sequence[tuple[int, int]]) -> Words:
    """Of their (samples, characters): all text belongs to the word before it."""
    after = (0, len(text))
    return tuple(
        (sample, text[begin:end].strip())
        for (sample, begin), (_, end) in itertools.pairwise([*places, after])
    )


def _loader() -> Any:
    try:
        import espeakng_loader
    except ImportError:
        raise SpeechError(HINT) from None
    return espeakng_loader


# -- in the process that speaks ----------------------------------------------------


class _Event(ctypes.Structure):
    """espeak_EVENT, without the fields at its end that nothing here reads."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("character", ctypes.c_int),  # the first is 1
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


class _Espeak:
    """The library, initialised once."""

    def __init__(self) -> None:
        loader = _loader()
        self._library = ctypes.CDLL(loader.get_library_path())
        path = loader.get_data_path().encode()
        self.rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, path, 0)
        if self.rate <= 0:
            raise SpeechError("espeak-ng could not read its data")
        self._heard: list[np.ndarray] = []
        self._places: list[tuple[int, int]] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_short),
            ctypes.c_int,
            ctypes.POINTER(_Event),
        )
        self._callback = kind(self._hear)  # kept, or it would be freed
        self._library.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for event in itertools.takewhile(lambda e: e.type, events):
            if event.type == _WORD:
                self._places.append((event.milliseconds, event.character - 1))
        return 0

    def say(self, utterance: Utterance) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """int16 [N] at `self.rate`, and (millisecond, character) of each word."""
        voice = utterance.language
        if utterance.variant:
            voice += f"+{utterance.variant}"
        library = self._library
        if library.espeak_SetVoiceByName(voice.encode()):
            raise SpeechError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in (
            (_RATE, utterance.rate),
            (_PITCH, utterance.pitch),
            (_RANGE, utterance.inflection),
        ):
            library.espeak_SetParameter(parameter, value, 0)
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._heard.clear()
        self._places.clear()
        text = utterance.text.encode() + b"\0"
        failed = library.espeak_Synth(text, len(text), 0, 0, 0, _UTF8, None, None)
        if failed:
            raise SpeechError(f"espeak-ng cannot say {utterance.text!r}")
        heard = np.concatenate(self._heard or [np.zeros(0, np.int16)])
        return heard, list(self._places)


def main() -> int:
    """Reads a JSON list of utterances, writes sizes, samples and words of each."""
    try:
        import soxr
    except ImportError:
        print(HINT, file=sys.stderr)
        return 1
    try:
        espeak = _Espeak()
        for wanted in json.load(sys.stdin):
            said, places = espeak.say(Utterance(**wanted))
            heard = soxr.resample(said.astype(np.float32), espeak.rate, RATE)
            samples = np.clip(np.round(heard), -32768, 32767).astype("<i2")
            out = sys.stdout.buffer
            out.write(_SIZES.pack(len(samples), len(places)) + samples.tobytes())
            for milliseconds, character in places:
                out.write(_PLACE.pack(milliseconds * RATE // 1000, character))
    except SpeechError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
