"""The tasks of the omni problems: each makes one conversation of a turn or more.

What is spoken stands as an `Utterance` until it is synthesised, many at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from t2t.media.layout import VOICES
from t2t.media.messages import Film, Message, Picture, Text
from t2t.problems.omni import pictures, sentences, voices
from t2t.problems.omni.sentences import (
    COLOURS,
    DIGITS,
    LANGUAGES,
    SHAPES,
    choose,
    words,
)
from t2t.problems.omni.texts import Texts
from t2t.problems.problem import TRAIN

MOVES = (("left", "right"), ("up", "down"))


@dataclasses.dataclass(frozen=True)
class World:
    """Where a task draws from.

    split: of the handwritten digits.
    unseen: whether strings of digits are those kept from training.
    voices: of users, the `kind` of `voices.ask`.
    texts: real ones; None where no task needs them.
    """

    rng: np.random.Generator
    digits: pictures.Digits
    split: str
    unseen: bool = False
    voices: str = "seen"
    texts: Texts | None = None

    def ask(self, text: str, language: str = "") -> Any:
        return voices.ask(text, self.rng, kind=self.voices, language=language)

    def number(self, **sizes: int) -> sentences.Number:
        return sentences.draw_number(self.rng, unseen=self.unseen, **sizes)

    def ink(self, digit: int) -> np.ndarray:
        """A handwritten digit; in training never twice quite the same."""
        ink = self.digits.draw(digit, self.rng, split=self.split)
        return pictures.moved(ink, self.rng) if self.split == TRAIN else ink

    def colour(self) -> str:
        return choose(self.rng, list(COLOURS))

    def number_picture(self, number: sentences.Number, colour: str) -> Picture:
        return number_picture(number, [self.ink(d) for d in number], colour)

    def thing(self) -> tuple[str, np.ndarray]:
        """(what it is called, its painted cell): a digit or a shape in a colour."""
        colour = self.colour()
        if self.rng.random() < 0.5:
            name = choose(self.rng, SHAPES)
            return f"{colour} {name}", pictures.paint(pictures.shape(name), colour)
        digit = int(self.rng.integers(10))
        ink = pictures.paint(self.ink(digit), colour)
        return f"{colour} {DIGITS['en'][digit]}", ink


def number_picture(
    number: sentences.Number, inks: Sequence[np.ndarray], colour: str
) -> Picture:
    """A string of digits in one colour."""
    names = [f"{colour} {DIGITS['en'][digit]}" for digit in number]
    return things_picture(names, [pictures.paint(ink, colour) for ink in inks])


def things_picture(names: Sequence[str], cells: Sequence[np.ndarray]) -> Picture:
    """Up to four things, painted."""
    return Picture(pictures.grid(cells), " and ".join(names))


def user(*parts: Any) -> Message:
    return Message("user", tuple(Text(p) if isinstance(p, str) else p for p in parts))


def written(text: str) -> Message:
    return Message("assistant", (Text(text),), wants=("text",))


def spoken(world: World, text: str) -> Message:
    voice = choose(world.rng, VOICES)
    parts = (Text(text), voices.say(text, voice))
    return Message("assistant", parts, voice=voice, wants=("text", "audio"))


def drawn(picture: Picture) -> Message:
    return Message("assistant", (picture,), wants=("image",))


Turn = list[Message]


# -- text and speech -----------------------------------------------------------------


def text_to_text(world: World) -> Turn:
    question, answer = sentences.question(world.rng, unseen=world.unseen)
    return [user(question), written(answer)]


def text_to_speech(world: World) -> Turn:
    text = sentences.spoken_sentence(world.rng, unseen=world.unseen)
    return [user(f"say {text}"), spoken(world, text)]


def speech_to_text(world: World) -> Turn:
    text = sentences.spoken_sentence(world.rng, unseen=world.unseen)
    return [user("write down", world.ask(text)), written(text)]


def speech_to_speech(world: World) -> Turn:
    question, answer = sentences.question(world.rng, unseen=world.unseen)
    return [user(world.ask(question)), spoken(world, answer)]


def speech_answered_in_text(world: World) -> Turn:
    question, answer = sentences.question(world.rng, unseen=world.unseen)
    return [user(world.ask(question)), written(answer)]


def translate_text(world: World) -> Turn:
    language = choose(world.rng, list(LANGUAGES))
    number = world.number()
    question = f"say {words(number)} in {LANGUAGES[language]}"
    return [user(question), written(words(number, language))]


def translate_speech(world: World) -> Turn:
    language = choose(world.rng, list(LANGUAGES))
    number = world.number()
    heard = world.ask(words(number, language), language)
    return [user("say in english", heard), written(words(number))]


# -- real text -----------------------------------------------------------------------


def prose(world: World) -> Turn:
    assert world.texts is not None
    begins, goes_on = world.texts.passage(world.rng)
    return [user(f"go on: {begins}"), written(goes_on)]


def translate_prose(world: World) -> Turn:
    assert world.texts is not None
    english, german = world.texts.pair(world.rng)
    return [user(f"in german: {english}"), written(german)]


# -- pictures ------------------------------------------------------------------------


def text_to_image(world: World) -> Turn:
    number, colour = world.number(), world.colour()
    request = f"draw {words(number)} in {colour}"
    return [user(request), drawn(world.number_picture(number, colour))]


def speech_to_image(world: World) -> Turn:
    number, colour = world.number(), world.colour()
    heard = world.ask(f"draw {words(number)} in {colour}")
    return [user(heard), drawn(world.number_picture(number, colour))]


def shapes_to_image(world: World) -> Turn:
    things = [world.thing() for _ in range(int(world.rng.integers(1, 5)))]
    names, cells = zip(*things, strict=True)
    picture = things_picture(names, cells)
    return [user(f"draw {picture.shows}"), drawn(picture)]


def image_to_text(world: World) -> Turn:
    number = world.number()
    picture = world.number_picture(number, world.colour())
    return [user("what number is this", picture), written(words(number))]


def shapes_to_text(world: World) -> Turn:
    things = [world.thing() for _ in range(int(world.rng.integers(1, 5)))]
    names, cells = zip(*things, strict=True)
    picture = things_picture(names, cells)
    return [user("what is this", picture), written(picture.shows)]


def image_to_speech(world: World) -> Turn:
    number = world.number()
    picture = world.number_picture(number, world.colour())
    return [user("read this aloud", picture), spoken(world, words(number))]


def _about_picture(world: World) -> tuple[Picture, str, str]:
    """(a picture, a question about it, the answer): a sum of what it shows."""
    number = world.number()
    ways, answer = sentences.SUMS[choose(world.rng, list(sentences.SUMS))]
    result = answer(number)
    if not world.unseen and sentences.held_out(result):
        return _about_picture(world)
    picture = world.number_picture(number, world.colour())
    return picture, choose(world.rng, ways).format("this"), words(result)


def image_and_speech_to_text(world: World) -> Turn:
    picture, question, answer = _about_picture(world)
    return [user(picture, world.ask(question)), written(answer)]


def image_and_text_to_text(world: World) -> Turn:
    picture, question, answer = _about_picture(world)
    return [user(picture, question), written(answer)]


def image_and_text_to_speech(world: World) -> Turn:
    picture, question, answer = _about_picture(world)
    return [user(picture, question), spoken(world, answer)]


def image_and_text_to_image(world: World) -> Turn:
    number, before = world.number(), world.colour()
    after = choose(world.rng, [c for c in COLOURS if c != before])
    inks = [world.ink(digit) for digit in number]
    one, two = (number_picture(number, inks, colour) for colour in (before, after))
    return [user(one, f"paint it {after}"), drawn(two)]


# -- films ---------------------------------------------------------------------------


def draw_moves(world: World) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    """Two things, and where each moves."""
    things = [world.thing() for _ in range(2)]
    axis = MOVES[int(world.rng.integers(2))]
    return things, [choose(world.rng, axis) for _ in range(2)]


def draw_film(world: World) -> tuple[Film, str]:
    things, moves = draw_moves(world)
    names, cells = zip(*things, strict=True)
    says = " and ".join(f"{n} {move}" for n, move in zip(names, moves, strict=True))
    return Film(pictures.film(cells, moves)), says


def video_to_text(world: World) -> Turn:
    film, says = draw_film(world)
    return [user("what moves where", film), written(says)]


def video_to_speech(world: World) -> Turn:
    film, says = draw_film(world)
    return [user("tell me what moves where", film), spoken(world, says)]


def video_and_speech_to_speech(world: World) -> Turn:
    film, says = draw_film(world)
    return [user(film, world.ask("what moves where")), spoken(world, says)]


Tasks = dict[str, tuple[Callable[[World], Turn], float]]  # name: task, its share

# Those that text alone is asked for and given.
TEXT: Tasks = {
    "text_to_text": (text_to_text, 1.0),
    "translate_text": (translate_text, 0.5),
    "prose": (prose, 1.0),
    "translate_prose": (translate_prose, 1.0),
}

TASKS: Tasks = {
    **TEXT,
    "text_to_speech": (text_to_speech, 1.5),
    "speech_to_text": (speech_to_text, 2.0),
    "speech_to_speech": (speech_to_speech, 2.0),
    "speech_answered_in_text": (speech_answered_in_text, 1.0),
    "translate_speech": (translate_speech, 1.0),
    "text_to_image": (text_to_image, 1.0),
    "speech_to_image": (speech_to_image, 1.0),
    "shapes_to_image": (shapes_to_image, 0.5),
    "image_to_text": (image_to_text, 1.0),
    "shapes_to_text": (shapes_to_text, 0.5),
    "image_to_speech": (image_to_speech, 1.0),
    "image_and_speech_to_text": (image_and_speech_to_text, 1.0),
    "image_and_text_to_text": (image_and_text_to_text, 0.5),
    "image_and_text_to_speech": (image_and_text_to_speech, 0.5),
    "image_and_text_to_image": (image_and_text_to_image, 0.5),
    "video_to_text": (video_to_text, 1.0),
    "video_to_speech": (video_to_speech, 0.5),
    "video_and_speech_to_speech": (video_and_speech_to_speech, 0.5),
}


def conversation(world: World, of: Tasks) -> tuple[str, Turn]:
    """(its task's name, a turn), tasks by their shares."""
    shares = np.array([share for _, share in of.values()])
    name = list(of)[int(world.rng.choice(len(of), p=shares / shares.sum()))]
    return name, of[name][0](world)
