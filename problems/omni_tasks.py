"""The training problem of omni: tasks over text, speech, pictures and films.

`omni_text` has those of text alone, in the same shares: a run of it on as many tokens
of text says what the other modalities cost (see `scripts/bench_omni price`).
"""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from t2t import registry
from t2t.features import Feature, Vocabulary, text
from t2t.media.layout import Layout, OmniVocabulary
from t2t.media.messages import RATE, Coded, Film, Message, Picture, Sound, Text
from t2t.media.speech import SpeechError, Utterance, synthesise
from t2t.media.tokenizers import PictureTokenizer, SoundTokenizer
from t2t.problems.omni import pictures, tasks
from t2t.problems.omni.texts import Texts
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable, Example, Problem

HEARD = (Sound, Utterance)
AT_ONCE = 200  # conversations whose speech a process synthesises


@registry.problem
class OmniTasks(Problem):
    """Any mix of text, speech, pictures and film in; text, speech and pictures out.

    Speech is of hundreds of synthetic voices, digits are real handwriting. dev has
    strings of digits that training never has, test such strings in voices never heard
    and handwriting never seen. The tokenizers' files stand in the data folder.

    Args:
      conversations: of training; dev and test have a fiftieth each.
      audio_head: as the model has it: 'delay' lays books one slot apart.
      vocabulary_size: text pieces.
      nothing: share of requests for pictures that are blanked, so that guidance
        (arXiv:2207.12598) can be used.
    """

    FEATURES = {
        "targets": "text",
        "audio": "slots",
        "places": "slots",
        "learned": "slots",
    }
    SPLITS = {TRAIN: 8, DEV: 1, TEST: 1}
    VERSION = 3
    TASKS = tasks.TASKS
    SUGGESTED = ("omni_tiny", "omni")
    licence = (
        "digits CC-BY-SA-3.0 (MNIST); speech synthesised by espeak-ng; texts PSF-2.0 "
        "(Python), Apache-2.0 (Home Assistant)"
    )

    def __init__(
        self,
        *,
        conversations: int = 80_000,
        audio_head: str = "delay",
        vocabulary_size: int = 512,
        nothing: float = 0.1,
    ) -> None:
        self.conversations, self.audio_head = conversations, audio_head
        self.vocabulary_size, self.nothing = vocabulary_size, nothing
        self._sounds, self._pictures = SoundTokenizer(), PictureTokenizer()
        self._vocabulary = OmniVocabulary(
            "omni", vocabulary_size, pictures=self._pictures
        )

    @property
    def features(self) -> dict[str, Feature]:
        def beside(size: int | None = None, **more: Any) -> Feature:
            shape = (None,) if size is None else (None, size)
            axes = "TX"[: len(shape)]
            return Feature("slots", shape, "int32", axes, along="targets", **more)

        return {
            "targets": dataclasses.replace(
                text(self._vocabulary), levels=self._pictures.levels
            ),
            # One class more than codes: 0 is for none.
            "audio": beside(
                self._sounds.books,
                classes=self._sounds.book_size + 1,
                levels=self._sounds.levels,
            ),
            "places": beside(3),
            "learned": beside(),
        }

    @property
    def vocabularies(self) -> dict[str, Vocabulary]:
        """The text's and the tokenizers' files, those first that cannot be built."""
        found: list[Any] = [self._sounds, self._pictures, self._vocabulary]
        return {one.name: one for one in found}

    @cached_property
    def layout(self) -> Layout:
        later = int(self.audio_head == "delay")
        delays = [0, *[later] * (self._sounds.books - 1)]
        return Layout(self._vocabulary, delays=delays)

    @property
    def sounds(self) -> SoundTokenizer:
        return self._sounds

    @property
    def pictures(self) -> PictureTokenizer:
        return self._pictures

    @property
    def picture_side(self) -> int:
        """Codes of a side of a picture."""
        return pictures.SIDE // self._pictures.patch

    # -- examples ----------------------------------------------------------------------

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        """{'task', 'messages'}: coded; not yet, while there is no vocabulary."""
        for tokenizer in (self._sounds, self._pictures):
            if not tokenizer.built:
                raise DataUnavailable(tokenizer.missing)
        count = self.conversations // (1 if split == TRAIN else 50)
        made = self.conversation_stream(split, tmp_dir)
        if not self._vocabulary.built:
            yield from itertools.islice(made, min(count, 5000))
            return
        made = itertools.islice(made, count)
        chunks = iter(lambda: list(itertools.islice(made, AT_ONCE)), [])
        for chunk, sounds in _ahead(chunks, self._spoken):
            coded = self._code([example["messages"] for example in chunk], sounds)
            for example, messages in zip(chunk, coded, strict=True):
                yield {**example, "messages": messages}

    def conversation_stream(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        """Conversations whose media are not coded yet, without end."""
        rng = np.random.default_rng([7, *split.encode()])
        world = tasks.World(
            rng,
            pictures.Digits(tmp_dir),
            split,
            unseen=split != TRAIN,
            voices="voice" if split == TEST else "seen",
            texts=Texts(split, tmp_dir),
        )
        while True:
            name, turn = self.draw(world)
            drawn = "image" in turn[-1].modalities
            if split == TRAIN and drawn and rng.random() < self.nothing:
                turn = [_blanked(turn[0]), *turn[1:]]
            yield {"task": name, "messages": turn}

    def draw(self, world: tasks.World) -> tuple[str, tasks.Turn]:
        """(its task's name, a turn)."""
        return tasks.conversation(world, self.TASKS)

    def code(
        self, conversations: Sequence[Sequence[Message]]
    ) -> list[tuple[Message, ...]]:
        """Conversations with speech synthesised where it is not sound yet, and all
        media coded.

        Raises:
          DataUnavailable: when there is no speech to be had.
        """
        return self._code(conversations, self._heard(conversations))

    def _spoken(self, chunk: Sequence[Example]) -> list[Sound]:
        return self._heard([example["messages"] for example in chunk])

    def _code(
        self,
        conversations: Sequence[Sequence[Message]],
        sounds: Sequence[Sound],
    ) -> list[tuple[Message, ...]]:
        """Conversations and all their sounds, in order."""
        codes = self._sounds.encode([sound.samples for sound in sounds])
        seen: list[np.ndarray] = []
        for part in _parts(conversations):
            if isinstance(part, Picture):
                seen.append(part.pixels)
            elif isinstance(part, Film):
                seen.extend(part.frames)
        heard = zip(codes, sounds, strict=True)
        looked = iter(self._pictures.encode(seen))
        size = self._sounds.frame

        def coded(part: Any) -> Any:
            if isinstance(part, HEARD):
                frames, sound = next(heard)
                words = tuple((at // size, word) for at, word in sound.words)
                return Coded("sound", frames, words)
            if isinstance(part, Picture):
                return Coded("picture", next(looked))
            if isinstance(part, Film):
                return Coded("film", np.stack([next(looked) for _ in part.frames]))
            return part

        return [
            tuple(
                dataclasses.replace(m, parts=tuple(coded(p) for p in m.parts))
                for m in messages
            )
            for messages in conversations
        ]

    def heard(self, messages: Sequence[Message]) -> list[Message]:
        """Messages with all speech synthesised."""
        sounds = iter(self._heard([messages]))
        return [
            dataclasses.replace(
                message,
                parts=tuple(
                    next(sounds) if isinstance(part, HEARD) else part
                    for part in message.parts
                ),
            )
            for message in messages
        ]

    def _heard(self, conversations: Sequence[Sequence[Message]]) -> list[Sound]:
        """All sounds; users' speech with silence before and after."""
        heard = [
            (message.role, part)
            for messages in conversations
            for message in messages
            for part in message.parts
            if isinstance(part, HEARD)
        ]
        try:
            said = iter(synthesise([p for _, p in heard if isinstance(p, Utterance)]))
        except SpeechError as error:
            raise DataUnavailable(str(error)) from None
        found = []
        for role, part in heard:
            sound = part if isinstance(part, Sound) else next(said)
            if role == "user" and isinstance(part, Utterance):
                sound = _in_silence(sound, zlib.crc32(repr(part).encode()))
            found.append(sound)
        return found

    def encode(self, example: Example) -> dict[str, np.ndarray]:
        return self.layout.example(example["messages"])

    def example(self, split: str, rng: np.random.Generator) -> Example:
        """Texts, and codes drawn at random: for `fake`, without any tokenizer."""
        size = int(rng.integers(2, 9))
        codes, shades = self._sounds.book_size, self._pictures.book_size
        sound = Coded("sound", rng.integers(codes, size=(size, self._sounds.books)))
        picture = Coded("picture", rng.integers(shades, size=(2, 2)))
        film = Coded("film", rng.integers(shades, size=(2, 2, 2)))
        question, answer = tasks.sentences.question(rng, unseen=split != TRAIN)
        asked = [(sound,), (picture, sound), (film,), ()][int(rng.integers(4))]
        messages = (
            Message("user", (Text(question), *asked)),
            Message("assistant", (Text(answer), sound), wants=("text", "audio")),
        )
        return {"task": "fake", "messages": messages}

    def text_for_vocabulary(
        self, vocabulary: Vocabulary, examples: Iterable[Example]
    ) -> Iterator[str]:
        """What is written, and what is said: users' words may be written, too."""
        for part in _parts(example["messages"] for example in examples):
            if isinstance(part, Text | Utterance):
                yield part.text


@registry.problem
class OmniText(OmniTasks):
    """The tasks of `omni_tasks` that have nothing but text."""

    TASKS = tasks.TEXT


def _ahead(
    items: Iterator[Any], prepare: Callable[[Any], Any]
) -> Iterator[tuple[Any, Any]]:
    """(an item, what is made of it), the next one's being made meanwhile."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        earlier: Any = None
        for item in items:
            made = pool.submit(prepare, item)
            if earlier is not None:
                yield earlier[0], earlier[1].result()
            earlier = item, made
        if earlier is not None:
            yield earlier[0], earlier[1].result()


def _parts(conversations: Iterable[Sequence[Message]]) -> Iterator[Any]:
    for messages in conversations:
        for message in messages:
            yield from message.parts


def _in_silence(sound: Sound, seed: int) -> Sound:
    """With up to 160 ms before and 400 ms after, as a microphone hears a turn.

    Its words are not told: of what is heard nobody knows where they begin.
    """
    before, after = np.random.default_rng(seed).uniform(0.0, [0.16, 0.4])
    return Sound(np.pad(sound.samples, (int(before * RATE), int(after * RATE))))


def _blanked(message: Message) -> Message:
    """A request of which nothing is left."""
    return dataclasses.replace(message, parts=())
