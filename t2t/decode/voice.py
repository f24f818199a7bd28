"""A conversation by voice: heard frame by frame as it is spoken, answered frame by
frame, interrupted at any time.

Each 40 ms of the user's speech are coded and pushed through the cached step while the
user goes on, so at the end of a turn only the marks around an answer are left to push.
Of an answer that is interrupted, what was not heard is cut from the caches.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from t2t.decode.codec import Codec
from t2t.decode.decoder import DecodeError
from t2t.decode.engine import Cache, ChatOptions, Engine, Line
from t2t.decode.mitigations import BLOCKED, FILTERED, Blocked, Mitigations, Screen
from t2t.decode.turns import STARTED, STOPPED, TurnDetector, TurnOptions
from t2t.features import EOS
from t2t.media.layout import Slots
from t2t.media.messages import RATE, Coded, Message, Part
from t2t.text.sentence_piece import SentencePiece

SLOTS = 1024  # of a conversation: 25 are a second of speech
TURN = 400  # slots that must be free when a turn begins, else all before is forgotten
AT_ONCE = (1, 8, 64)  # slots that are pushed together: XLA compiles once for each


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What a step brought: samples float32 [n] at 16 kHz, text of the transcript.

    finish: FILTERED where a stage has stopped the answer with it.
    """

    samples: np.ndarray
    text: str = ""
    finish: str = ""


class Conversation:
    """Slots, and how many of them have been pushed; it may be cut."""

    def __init__(self, engine: Engine) -> None:
        self.slots = Slots(engine.layout.books)
        self.cache = Cache(engine, rows=1, total=SLOTS)
        self._pushed = 0

    def push(self, line: Line | None = None) -> tuple[int, np.ndarray, float]:
        """All slots that are new through the step.

        Returns:
          (id and codes [K] that come next, where a line is being written; the chance
          that a sound ends).

        Raises:
          DecodeError: when the session is full.
        """
        while self.behind > AT_ONCE[-1]:
            self._push(AT_ONCE[-1], None)
        return self._push(self.behind, line)

    @property
    def room(self) -> int:
        """Slots that are free."""
        return self.cache.total - self.cache.used

    @property
    def behind(self) -> int:
        """Slots that are new."""
        return len(self.slots.main) - self._pushed

    def mark(self) -> tuple[int, int]:
        """Where the conversation stands, for `cut`."""
        if self.behind:
            self.push()
        return self._pushed, self.cache.used

    def cut(self, mark: tuple[int, int]) -> None:
        """Forgets all that came after a mark."""
        self._pushed, used = mark
        self.cache.cut(used)
        self.slots.cut(self._pushed)

    def _push(self, count: int, line: Line | None) -> tuple[int, np.ndarray, float]:
        size = next(n for n in AT_ONCE if n >= count)
        if size > self.room:
            raise DecodeError(
                f"the session is full: {SLOTS} slots, 25 a second of speech"
            )
        arrays = self.slots.arrays(self._pushed, self._pushed + count)
        ids, codes, ends = self.cache.push([arrays], size, [line])
        self._pushed += count
        return int(ids[0]), codes[0], float(ends[0])


class VoiceSession:
    """See the file's head. For one thread at a time.

    Args:
      engine: of the chat.
      codec: of its sounds.
      code: of whole messages, as the problem has it.
      voice: that it answers in.
      turn_detection: whether it tells by itself where a turn ends; else `commit` does.
      mitigations: stages that every answer has to pass.
      transcript: of coded parts, for the moderation of what is asked.
    """

    rate = RATE

    def __init__(
        self,
        engine: Engine,
        codec: Codec,
        code: Any,
        *,
        voice: str = "alto",
        turn_detection: bool = True,
        options: ChatOptions | None = None,
        turns: TurnOptions | None = None,
        mitigations: Mitigations | None = None,
        transcript: Callable[[Sequence[Part]], str] | None = None,
    ) -> None:
        self.engine, self.codec, self.code = engine, codec, code
        self.mitigations = mitigations or Mitigations()
        if self.mitigations.asked is not None and transcript is None:
            raise ValueError("what is asked cannot be moderated without a transcript")
        self.transcript = transcript
        self.voice = voice
        self.options = self.mitigations.marked(options or ChatOptions())
        self.turn_detection = turn_detection
        self.conversation = Conversation(engine)
        self.detector = TurnDetector(turns or TurnOptions())
        before = self.detector.options.before
        self._before: collections.deque[np.ndarray] = collections.deque(maxlen=before)
        self._begun = np.zeros(0, np.float32)  # less than a frame
        self._heard: list[np.ndarray] | None = None  # codes of a sound that is open
        self._past = codec.begin_hearing
        # What was asked since the last answer, and where that began.
        self._asked: list[Part] = []
        self._exchange = self.conversation.mark()
        self._answers = 0
        self._frames: list[tuple[int, int]] = []  # marks before each, of the answer

    def rehearse(self) -> None:
        """Compiles what turns need, by one that is forgotten at once."""
        beginning = self.conversation.mark()
        self._begin_turn()
        self._hear(np.zeros(self.codec.frame, np.float32))
        self._end_turn()
        for _ in self._answer(("text", "audio")):
            pass
        for _ in range(AT_ONCE[-1]):
            self.conversation.slots.add(EOS, learned=0)
        self.conversation.push()
        self.conversation.cut(beginning)
        self._answers, self._frames, self._asked = 0, [], []

    # -- what the user does ------------------------------------------------------------

    def feed(self, samples: np.ndarray) -> list[str]:
        """Takes float32 samples [n] within ±1, any number; what it notices of turns."""
        whole = np.concatenate([self._begun, np.asarray(samples, np.float32)])
        size, events = self.codec.frame, []
        for begin in range(0, len(whole) - size + 1, size):
            events += self._frame(whole[begin : begin + size])
        self._begun = whole[len(whole) // size * size :]
        return events

    def commit(self) -> None:
        """Ends the user's turn.

        Raises:
          DecodeError: when nothing was said.
        """
        if self._heard is None:
            raise DecodeError("nothing was said since the last turn")
        if len(self._begun):
            short = self.codec.frame - len(self._begun)
            self._hear(np.pad(self._begun, (0, short)))
        self._end_turn()

    def clear(self) -> None:
        """Forgets what was said since the last turn."""
        if self._heard is not None:
            self.conversation.cut(self._turn)
        self._heard, self._begun = None, np.zeros(0, np.float32)
        self._before.clear()
        self.detector.reset()

    def add(self, message: Message) -> None:
        """Puts a whole message into the conversation."""
        ((coded,),) = self.code([[message]])
        self._ask()
        self.engine.layout.add(self.conversation.slots, coded)
        self.conversation.push()
        if message.role == "user":
            self._asked += coded.parts

    def interrupt(self, played: float) -> None:
        """The user heard `played` seconds of the answer: the rest is forgotten.

        Its words stay written, since they came first. What the user has begun to say
        meanwhile comes after.
        """
        said = self._heard
        if said is not None:
            self.conversation.cut(self._turn)
        self._forget(played)
        if said is not None:
            self._open_sound()
            self._heard = said
            for number in range(len(said)):
                self._add_frame(number)
            self.conversation.push()

    def _forget(self, played: float) -> None:
        """What of the answer comes after so many seconds of it."""
        slots, layout = self.conversation.slots, self.engine.layout
        frames, rest = 1 + round(played * RATE / self.codec.frame), None
        if frames < len(self._frames):
            beginning = self._frames[frames]
            rest = np.where(layout.delays == 0, 0, slots.audio[beginning[0]])
            self.conversation.cut(beginning)
        elif not slots.main or slots.main[-1] == EOS:
            return
        begin, end = map(layout.vocabulary.mark, ("<sound>", "</sound>"))
        if next((i for i in reversed(slots.main) if i in (begin, end)), end) == begin:
            slots.add(end, learned=0, audio=rest)
        slots.add(EOS, learned=0)
        self._frames = []

    # -- what the assistant does -------------------------------------------------------

    def respond(
        self, modalities: tuple[str, ...] = ("text", "audio")
    ) -> Iterator[Chunk]:
        """The answer to what was said last, as it comes; may be left at any time.

        Raises:
          DecodeError: when there is nothing to answer.
        """
        if not self._asked:
            raise DecodeError("there is nothing to answer")
        asked, self._asked, self._frames = self._asked, [], []
        screen = self.mitigations.screen(self.voice)
        try:
            if self.transcript is not None and self.mitigations.asked is not None:
                screen.asked(self.transcript(asked))
            yield from self._screened(screen, modalities)
        except Blocked:
            # Neither what was asked nor what was answered is kept.
            self.conversation.cut(self._exchange)
            self._frames = []
            yield Chunk(np.zeros(0, np.float32), BLOCKED, finish=FILTERED)

    def _screened(self, screen: Screen, modalities: tuple[str, ...]) -> Iterator[Chunk]:
        text = told = ""
        for chunk in self._answer(modalities):
            text += chunk.text
            # Words come before speech.
            may = screen.wrote(text, whole=len(chunk.samples) > 0)
            screen.said(chunk.samples)
            if len(chunk.samples) or may != told:
                yield dataclasses.replace(chunk, text=may[len(told) :])
            told = may
        if (may := screen.wrote(text)) != told:
            yield Chunk(np.zeros(0, np.float32), may[len(told) :])
        screen.done(text)

    def _answer(self, modalities: tuple[str, ...]) -> Iterator[Chunk]:
        opening = Message("assistant", (), voice=self.voice, wants=modalities)
        slots, options = self.conversation.slots, self.options
        self.engine.layout.open(slots, opening)
        answer = self.engine.grammar(options.limits).begin(opening.modalities)
        line = Line(self.engine, answer, options, slots=slots, number=self._answers)
        self._answers += 1
        yield from self._write(line)

    def _write(self, line: Line) -> Iterator[Chunk]:
        first, shown = len(line.slots.main), ""
        saying, layout = self.codec.begin_saying, self.engine.layout
        end = line.answer.grammar.ids["sound ends"]
        while not line.done:
            state, sounding = line.answer.name, line.answer.sounding
            i, codes, _ = self.conversation.push(line)
            mark = self.conversation.mark()
            line.take(i, codes)
            samples, text = np.zeros(0, np.float32), shown
            if sounding and i != end:
                self._frames.append(mark)
            # A frame is whole when its late books have come.
            whole = layout.late > 0 if i == end else len(self._frames) > layout.late
            if sounding and whole:
                rows = np.array(line.slots.audio[-1 - layout.late :])
                (ready,) = layout.aligned(rows)
                samples, saying = self.codec.say(ready, saying)
            if i == end:
                samples = np.concatenate([samples, self.codec.rest(saying)])
            elif state.startswith("text"):
                text = self._text(first)
            if len(samples) or text != shown:
                yield Chunk(samples, text[len(shown) :])
            shown = text
        self.conversation.push()  # the end, which the next turn comes after

    # -- parts -------------------------------------------------------------------------

    def _frame(self, frame: np.ndarray) -> list[str]:
        begins = self.detector.hear(frame)
        events = [STARTED] if begins else []
        if self._heard is None:
            self._before.append(frame)
            if self.turn_detection and not begins:
                return events
            self._begin_turn()
            for earlier in self._before:
                ends = self._hear(earlier)
            self._before.clear()
        else:
            ends = self._hear(frame)
        if self.turn_detection and self.detector.over(ends):
            self._end_turn()
            events.append(STOPPED)
        return events

    def _begin_turn(self) -> None:
        if self.conversation.room < TURN:
            self.conversation.cut((0, 0))
            self._asked, self._frames = [], []
        self._open_sound()
        self._heard, self._past = [], self.codec.begin_hearing

    def _ask(self) -> None:
        """Something is asked: an exchange begins, unless one has begun."""
        if not self._asked:
            self._exchange = self.conversation.mark()

    def _open_sound(self) -> None:
        slots, layout = self.conversation.slots, self.engine.layout
        self._ask()
        self._turn = self.conversation.mark()
        layout.open(slots, Message("user", ()))
        slots.add(layout.vocabulary.mark("<sound>"), learned=0)

    def _hear(self, frame: np.ndarray) -> float:
        """Pushes a frame; the network's chance that the sound ends after it."""
        assert self._heard is not None
        codes, self._past = self.codec.hear(frame, self._past)
        self._heard.append(codes)
        self._add_frame(len(self._heard) - 1)
        return self.conversation.push()[2]

    def _add_frame(self, number: int) -> None:
        """Of the sound that is open."""
        assert self._heard is not None
        slots, layout = self.conversation.slots, self.engine.layout
        layout.frame(slots, self._heard, number, learned=0)

    def _end_turn(self) -> None:
        """The end of the sound; it is pushed with the opening of the answer."""
        assert self._heard is not None
        self.engine.layout.end_sound(self.conversation.slots, self._heard, learned=0)
        self._asked.append(Coded("sound", np.array(self._heard)))
        self._heard, self._begun = None, np.zeros(0, np.float32)
        self.detector.reset()

    def _text(self, first: int) -> str:
        """Of the answer whose slots begin there."""
        vocabulary = self.engine.layout.vocabulary
        main = self.conversation.slots.main[first:]
        ids = [i for i in main if EOS < i < vocabulary.pieces]
        return SentencePiece.decode(vocabulary, ids)
