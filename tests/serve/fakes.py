"""Answers without a network: words echoed, a tone, a slope of colours."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import media_toys
import numpy as np

from t2t.decode.answering import Counts, Delta, Occupancy, Reply
from t2t.decode.decoder import DecodeError
from t2t.decode.requests import Request
from t2t.decode.voice import Chunk
from t2t.media.messages import Message, Picture, Sound, Text, kind_of

SAMPLES = media_toys.tone(0.5)
STEP = 1_600  # samples of a delta
LOUD = 0.05


class FakeAnswerer:
    """Answers 'heard: …' of what it is asked; 'wait' waits for `release`."""

    modalities = ("text", "audio", "image")
    side = 24
    abilities = ("chat", "complete", "translate")
    decoding = None
    together = False
    occupancy = Occupancy()

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.release = threading.Event()
        self.begun = self.left = self.steps = 0
        self.voices: list[FakeVoice] = []

    def rehearse(self) -> None: ...

    def transcript(self, messages: Sequence[Message]) -> str:
        parts = [p for m in messages for p in m.parts]
        return " ".join(p.text for p in parts if isinstance(p, Text))

    def voice_session(self, mitigations: Any = None) -> Any:
        self.voices.append(FakeVoice())
        return self.voices[-1]

    def answer(self, request: Request) -> Iterator[Any]:
        self.asked.append(request)
        self.begun += 1
        done = False
        try:
            parts = [p for m in request.messages for p in m.parts]
            words = [p.text if isinstance(p, Text) else kind_of(p) for p in parts]
            if "fail" in words:
                raise ZeroDivisionError
            if "too long" in words:
                raise DecodeError("it is too long")
            while "wait" in words and not self.release.is_set():
                self.steps += 1
                time.sleep(0.002)
                yield Delta()
            yield from self._answer(request, "heard: " + ", ".join(words))
            done = True
        finally:
            self.left += not done

    def _answer(self, request: Request, text: str) -> Iterator[Any]:
        messages, spoken = [], "audio" in request.modalities
        for number in range(request.n):
            found: list[Any] = []
            if request.modalities != ("image",):
                found.append(Text(text))
                for word in text.split(" "):
                    more = word if word == "heard:" else f" {word}"
                    yield Delta(number, text=more if request.stream else "")
            if spoken:
                found.append(Sound(SAMPLES))
                for i in range(0, len(SAMPLES), STEP):
                    heard = SAMPLES[i : i + STEP] if request.stream else None
                    yield Delta(number, samples=heard)
            if "image" in request.modalities:
                found.append(Picture(media_toys.picture(24, 24)))
                if request.stream:
                    yield Delta(number, picture=found[-1])
            yield Delta(number, finish="stop")
            messages.append(Message("assistant", tuple(found)))
        stops = ("stop",) * request.n
        yield Reply(tuple(messages), stops, Counts(text=3), Counts(2, 12, 9))


class FakeVoice:
    """A session that hears loudness, and answers in five chunks of 100 ms."""

    rate = 16_000

    def __init__(self) -> None:
        self.voice, self.turn_detection = "alto", True
        self.log: list[Any] = []
        self.speaks = self.due = False
        self.heard = self.longest = 0  # samples: of all, and of one step
        self.chunks = 5
        self.finish = ""  # of the last chunk
        self.pause = 0.0  # seconds that a chunk takes

    def feed(self, samples: np.ndarray) -> list[str]:
        assert samples.dtype == np.float32 and samples.ndim == 1
        self.heard += len(samples)
        self.longest = max(self.longest, len(samples))
        if not len(samples) or not self.turn_detection:
            return []
        # At the end, for a resampler gives the beginning of what it got before.
        loud = bool(np.sqrt(np.mean(np.square(samples[-800:]))) > LOUD)
        if loud == self.speaks:
            return []
        self.speaks = loud
        self.log.append("started" if loud else "stopped")
        self.due = self.due or not loud
        return ["speech_started" if loud else "speech_stopped"]

    def commit(self) -> None:
        if not self.heard:
            raise DecodeError("nothing was said since the last turn")
        self.log.append(("commit", self.heard))
        self.heard, self.due = 0, True

    def clear(self) -> None:
        self.log.append("clear")
        self.heard, self.speaks = 0, False

    def add(self, message: Message) -> None:
        self.log.append(message)
        self.due = True

    def interrupt(self, played: float) -> None:
        self.log.append(("interrupt", round(played, 2)))

    def respond(
        self, modalities: tuple[str, ...] = ("text", "audio")
    ) -> Iterator[Chunk]:
        if not self.due:
            raise DecodeError("there is nothing to answer")
        self.due = False
        self.log.append(("respond", modalities, self.voice))
        try:
            for i in range(self.chunks):
                time.sleep(self.pause)
                silent = np.zeros(0, np.float32)
                tone = media_toys.tone(0.1) if "audio" in modalities else silent
                finish = self.finish if i == self.chunks - 1 else ""
                yield Chunk(tone, f"w{i} ", finish)
        except GeneratorExit:
            self.log.append("left")
            raise
