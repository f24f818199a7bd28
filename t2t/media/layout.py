"""Conversations as slots of one network, and back.

The main stream holds text pieces, marks and the codes of pictures; beside it lie K
streams of audio codes, which move between SOUND and its end. Book k of a frame stands
`delays[k]` slots later than the frame does, none or one (MusicGen, arXiv:2306.05284),
so that it can be told from the books before it. What the last frame leaves stands
beside the mark of the end: whether a sound goes on is told without it.

    <user> what is this <picture> c c c c </picture> <assistant> <speak> <voice:alto>
    seven two <sound> seven a a a a two a a a </sound> EOS

While it speaks, the main stream says each word again a little before it sounds (the
inner monologue of Moshi, arXiv:2410.00037), and AUDIO otherwise: which word is due need
not be found by counting frames.

Every slot has a place on three axes, time, row and column. A tick of time is 40 ms: an
audio frame takes one, a film frame five; text moves on all three axes at once (as in
Qwen2.5-Omni, arXiv:2503.20215).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from t2t.features import EOS
from t2t.media.messages import Coded, Message, Part, Text, Words, kind_of
from t2t.text.sentence_piece import SentencePiece

VOICES = ("alto", "bass", "soprano", "tenor")
MARKS = (
    "<system>", "<user>", "<assistant>",
    "<write>", "<speak>", "<draw>",
    "<sound>", "<audio>", "</sound>",
    "<picture>", "</picture>",
    "<film>", "<frame>", "</film>",
    "<nothing>", "<refuse>",
    *(f"<voice:{voice}>" for voice in VOICES),
)  # fmt: skip
ASKS = {"text": "<write>", "audio": "<speak>", "image": "<draw>"}
FILM_TICKS = 5  # of 40 ms between frames
LEAD = 2  # frames that a word is written before it sounds
# What is learned of a slot: all of it, or only whether a sound goes on or ends there.
ALL, WHETHER = 1, 2


class Book(Protocol):
    """What tokenizers say of themselves."""

    @property
    def book_size(self) -> int:
        """Number of codes."""
        ...


class OmniVocabulary(SentencePiece):
    """Text pieces first, then marks, then the codes of pictures.

    Args:
      pictures: their tokenizer.
    """

    def __init__(self, name: str, size: int, *, pictures: Book) -> None:
        super().__init__(name, size)
        self.pictures = pictures

    @property
    def pieces(self) -> int:
        return self.processor.vocab_size()

    @property
    def size(self) -> int:
        return self.pieces + len(MARKS) + self.pictures.book_size

    def mark(self, name: str) -> int:
        return self.pieces + MARKS.index(name)

    @property
    def first_picture(self) -> int:
        """The id of picture code 0."""
        return self.pieces + len(MARKS)

    def decode(self, ids: Iterable[int]) -> str:
        """Text with its marks; a run of picture codes is shown as one sign."""
        shown, run = "", []
        for i in (*map(int, ids), EOS):
            if EOS < i < self.pieces:
                run.append(i)
                continue
            shown, run = shown + super().decode(run), []
            if self.pieces <= i < self.first_picture:
                shown += MARKS[i - self.pieces]
            elif i >= self.first_picture and not shown.endswith("▦"):
                shown += "▦"
            if i == EOS:
                break
        return shown


@dataclasses.dataclass
class Slots:
    """Arrays under construction; `tick` is the time of the next slot."""

    books: int
    main: list[int] = dataclasses.field(default_factory=list)
    audio: list[np.ndarray] = dataclasses.field(default_factory=list)
    places: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)
    learned: list[int] = dataclasses.field(default_factory=list)
    tick: int = 0

    def add(
        self,
        main: int,
        *,
        learned: int,
        audio: np.ndarray | None = None,
        place: tuple[int, int, int] | None = None,
    ) -> None:
        """Appends a slot, at the next tick unless it has a place of its own."""
        self.main.append(main)
        self.audio.append(np.zeros(self.books, np.int32) if audio is None else audio)
        self.places.append(place or (self.tick, self.tick, self.tick))
        self.learned.append(learned)
        if place is None:
            self.tick += 1

    def cut(self, count: int) -> None:
        """Forgets all but the first `count`; what follows stands after the last."""
        for values in (self.main, self.audio, self.places, self.learned):
            del values[count:]
        self.tick = self.places[-1][0] + 1 if self.places else 0

    def arrays(self, first: int = 0, last: int | None = None) -> dict[str, np.ndarray]:
        """{'targets' [T], 'audio' [T, K], 'places' [T, 3], 'learned' [T]}, int32, of
        all slots or of some."""
        part = slice(first, last)
        return {
            "targets": np.array(self.main[part], np.int32),
            "audio": np.array(self.audio[part], np.int32).reshape(-1, self.books),
            "places": np.array(self.places[part], np.int32).reshape(-1, 3),
            "learned": np.array(self.learned[part], np.int32),
        }


class Layout:
    """How a conversation is laid out, for one vocabulary and its tokenizers.

    Args:
      vocabulary: of the main stream.
      delays: of each audio book, in slots: 0 or 1.
    """

    def __init__(self, vocabulary: OmniVocabulary, *, delays: Sequence[int]) -> None:
        self.vocabulary, self.delays = vocabulary, np.array(delays, np.int32)
        self.books, self.late = len(delays), max(delays)

    # -- to slots ----------------------------------------------------------------------

    def example(self, messages: Sequence[Message]) -> dict[str, np.ndarray]:
        """A whole conversation; what the assistant gives is to be learned, and where
        a user's speech ends.

        Raises:
          ValueError: for a part that is not coded.
        """
        slots = Slots(self.books)
        for message in messages:
            self.open(slots, message)
            own = message.role == "assistant"
            for part in message.parts:
                heard = message.role == "user" and kind_of(part) == "sound"
                self._part(slots, part, ALL if own else WHETHER if heard else 0)
            if own:
                slots.add(EOS, learned=ALL)
        return slots.arrays()

    def prompt(self, messages: Sequence[Message], answer: Message) -> Slots:
        """Messages, and the opening of the assistant's answer."""
        slots = Slots(self.books)
        for message in messages:
            self.add(slots, message)
        self.open(slots, answer)
        return slots

    def add(self, slots: Slots, message: Message) -> None:
        """A whole message, of which nothing is to be learned."""
        self.open(slots, message)
        for part in message.parts:
            self._part(slots, part, 0)
        if message.role == "assistant":
            slots.add(EOS, learned=0)

    def open(self, slots: Slots, message: Message) -> None:
        """The mark of a side, and what it is asked for."""
        mark = self.vocabulary.mark
        slots.add(mark(f"<{message.role}>"), learned=0)
        if message.role == "assistant":
            for modality in message.modalities:
                slots.add(mark(ASKS[modality]), learned=0)
            if "audio" in message.modalities:
                voice = message.voice or VOICES[0]
                slots.add(mark(f"<voice:{voice}>"), learned=0)

    def _part(self, slots: Slots, part: Part, learned: int) -> None:
        if isinstance(part, Text):
            for piece in self.vocabulary.encode(part.text):
                slots.add(piece, learned=learned)
        elif not isinstance(part, Coded):
            raise ValueError(f"a {type(part).__name__} is to be coded first")
        elif part.kind == "sound":
            self.sound(slots, part.codes, words=part.words, learned=learned)
        elif part.kind == "picture":
            self._mark(slots, "<picture>", learned)
            self._grid(slots, part.codes, learned)
            slots.tick += max(part.codes.shape)
            self._mark(slots, "</picture>", learned)
        else:
            self._film(slots, part.codes, learned)

    def sound(
        self, slots: Slots, codes: np.ndarray, *, words: Words = (), learned: int
    ) -> None:
        """Frames [T, K] between their marks, and the words that are said in them."""
        self._mark(slots, "<sound>", learned if learned == ALL else 0)
        for number, main in enumerate(self._monologue(len(codes), words)):
            self.frame(slots, codes, number, main=main, learned=learned)
        self.end_sound(slots, codes, learned=learned)

    def _monologue(self, count: int, words: Words) -> list[int]:
        """The main stream beside so many frames."""
        ids, free = [self.vocabulary.mark("<audio>")] * count, 0
        for frame, word in words:
            for piece in self.vocabulary.encode(word):
                free = max(free, frame - LEAD)
                ids[free : free + 1] = [piece][: count - free]
                free += 1
        return ids

    def frame(
        self,
        slots: Slots,
        codes: Sequence[np.ndarray] | np.ndarray,
        number: int,
        *,
        main: int | None = None,
        learned: int,
    ) -> None:
        """The slot in which a frame begins, of those [K] that there are so far."""
        main = self.vocabulary.mark("<audio>") if main is None else main
        row = self.delayed_row(codes, number)
        slots.add(main, learned=learned, audio=row)

    def end_sound(
        self, slots: Slots, codes: Sequence[np.ndarray] | np.ndarray, *, learned: int
    ) -> None:
        """The mark of the end, and what the last frame leaves."""
        end = self.vocabulary.mark("</sound>")
        row = self.delayed_row(codes, len(codes))
        slots.add(end, learned=learned, audio=row)

    def _film(self, slots: Slots, frames: np.ndarray, learned: int) -> None:
        self._mark(slots, "<film>", learned)
        begin = slots.tick
        for number, codes in enumerate(frames):
            slots.tick = begin + FILM_TICKS * number
            place = (slots.tick, slots.tick, slots.tick)
            slots.add(self.vocabulary.mark("<frame>"), learned=learned, place=place)
            self._grid(slots, codes, learned)
        slots.tick = begin + FILM_TICKS * len(frames)
        self._mark(slots, "</film>", learned)

    def _grid(self, slots: Slots, codes: np.ndarray, learned: int) -> None:
        tick, first = slots.tick, self.vocabulary.first_picture
        for (row, column), code in np.ndenumerate(codes):
            place = (tick, tick + row, tick + column)
            slots.add(first + int(code), learned=learned, place=place)

    def _mark(self, slots: Slots, name: str, learned: int) -> None:
        slots.add(self.vocabulary.mark(name), learned=learned)

    # -- audio streams -----------------------------------------------------------------

    def delayed(self, codes: np.ndarray) -> np.ndarray:
        """Codes [T, K] as streams [T + the delay, K]; 0 where there is none."""
        count = len(codes) + self.late
        rows = [self.delayed_row(codes, number) for number in range(count)]
        return np.array(rows, np.int32).reshape(count, self.books)

    def delayed_row(
        self, codes: Sequence[np.ndarray] | np.ndarray, n: int
    ) -> np.ndarray:
        """Row n of `delayed` [K], of the frames that there are so far."""
        row = [
            codes[n - d][k] + 1 if 0 <= n - d < len(codes) else 0
            for k, d in enumerate(self.delays)
        ]
        return np.array(row, np.int32)

    def aligned(self, streams: np.ndarray) -> np.ndarray:
        """The inverse: streams [S, K] as codes [S - the delay, K]."""
        count = max(0, len(streams) - self.late)
        columns = [streams[d : d + count, k] for k, d in enumerate(self.delays)]
        return np.maximum(np.stack(columns, axis=-1) - 1, 0)

    # -- from slots --------------------------------------------------------------------

    def parts(self, main: Sequence[int] | np.ndarray, audio: np.ndarray) -> list[Part]:
        """What slots of an answer say: text, and codes of sound and pictures."""
        mark, first = self.vocabulary.mark, self.vocabulary.first_picture
        found: list[Part] = []
        text: list[int] = []
        frames: list[np.ndarray] = []
        codes: list[int] = []
        sounding = False

        def close() -> None:
            if text:
                found.append(Text(SentencePiece.decode(self.vocabulary, text)))
            if frames:
                found.append(Coded("sound", self.aligned(np.array(frames))))
            if codes:
                side = int(len(codes) ** 0.5)
                square = np.array(codes[: side * side]).reshape(side, side)
                found.append(Coded("picture", square))
            for gathered in (text, frames, codes):
                gathered.clear()

        for i, row in zip(main, audio, strict=True):
            if i == EOS:
                break
            if sounding and i != mark("</sound>"):
                frames.append(row)
            elif EOS < i < self.vocabulary.pieces:
                if frames or codes:
                    close()
                text.append(int(i))
            elif i >= first:
                if text or frames:
                    close()
                codes.append(int(i) - first)
            else:
                if i == mark("</sound>") and frames and self.late:
                    frames.append(row)
                close()
                sounding = i == mark("<sound>")
        close()
        return found
