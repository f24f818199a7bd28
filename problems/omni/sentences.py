"""What is talked about: digits in six languages, coloured things, their moves.

A tenth of the longer strings of digits never occurs in training, in no task and no
modality, so an answer that holds one has been worked out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from t2t.problems import holdout

DIGITS = {
    "en": "zero one two three four five six seven eight nine".split(),
    "de": "null eins zwei drei vier fünf sechs sieben acht neun".split(),
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve".split(),
    "fr": "zéro un deux trois quatre cinq six sept huit neuf".split(),
    "it": "zero uno due tre quattro cinque sei sette otto nove".split(),
    "sw": "sifuri moja mbili tatu nne tano sita saba nane tisa".split(),
}
LANGUAGES = {
    "de": "german", "es": "spanish", "fr": "french", "it": "italian", "sw": "swahili",
}  # fmt: skip
COLOURS = {
    "red": (230, 40, 40),
    "green": (40, 200, 60),
    "blue": (60, 90, 250),
    "yellow": (240, 220, 40),
    "purple": (190, 60, 220),
    "white": (240, 240, 240),
}
WAYS = ("left", "right", "up", "down")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
HELD_OUT = 0.1  # of the strings of three and more digits
LONGEST = 4

Number = tuple[int, ...]


def held_out(number: Sequence[int]) -> bool:
    """Whether a string of digits is kept from training."""
    name = "digits " + "".join(map(str, number))
    return len(number) >= 3 and holdout.share(name) < HELD_OUT


def draw_number(
    rng: np.random.Generator, *, unseen: bool, least: int = 2, most: int = LONGEST
) -> Number:
    """A string of digits that training has, or one that it never had."""
    while True:
        size = int(rng.integers(max(least, 3) if unseen else least, most + 1))
        number = tuple(int(d) for d in rng.integers(10, size=size))
        if held_out(number) == unseen:
            return number


def words(number: Sequence[int], language: str = "en") -> str:
    """Digit by digit."""
    return " ".join(DIGITS[language][digit] for digit in number)


def choose(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


# What is answered to what shall not be: what an answer that refuses begins with.
REFUSALS = ("i cannot", "i only speak in my own voice")

# Other words that are said around these.
SAID = ("a", "and", "draw in", "the number is", "this", "what moves where")

# -- sums that speech and text share -----------------------------------------------


def reverse(number: Number) -> Number:
    return number[::-1]


def rise(number: Number) -> Number:
    return tuple(sorted(number))


def fall(number: Number) -> Number:
    return tuple(sorted(number, reverse=True))


def next_digits(number: Number) -> Number:
    return tuple((digit + 1) % 10 for digit in number)


# name -> (ways to ask, what is wanted)
SUMS = {
    "reverse": (("reverse {}", "say {} backwards"), reverse),
    "rise": (("sort {}", "put {} in order"), rise),
    "fall": (("sort {} from high to low",), fall),
    "next": (("what comes after each of {}",), next_digits),
}


def question(rng: np.random.Generator, *, unseen: bool) -> tuple[str, str]:
    """(a question about digits, its answer), both in words."""
    while True:
        number = draw_number(rng, unseen=unseen)
        ways, answer = SUMS[choose(rng, list(SUMS))]
        result = answer(number)
        # What is never shown must not be shown as an answer either.
        if unseen or not held_out(result):
            return choose(rng, ways).format(words(number)), words(result)


# -- sentences to be read aloud ----------------------------------------------------

SENTENCES = (
    "{number}",
    "the number is {number}",
    "{colour} {shape} {number}",
    "a {colour} {shape} and {number}",
    "{colour} {shape} {way} and {number} {other_way}",
)


def spoken_sentence(
    rng: np.random.Generator, *, unseen: bool = False, language: str = "en"
) -> str:
    """Something to say: digits, a question or coloured things."""
    number = words(draw_number(rng, unseen=unseen), language)
    if language != "en":
        return number
    parts = {
        "number": number,
        "colour": choose(rng, list(COLOURS)),
        "shape": choose(rng, SHAPES),
        "way": choose(rng, WAYS),
        "other_way": choose(rng, WAYS),
    }
    asked, _ = question(rng, unseen=unseen)
    return choose(rng, [*(form.format(**parts) for form in SENTENCES), asked])


def moving_sentence(rng: np.random.Generator) -> str:
    """What films are described by: two things, and where each moves."""
    things = (*SHAPES, *DIGITS["en"])
    told = [
        f"{choose(rng, list(COLOURS))} {choose(rng, things)} {choose(rng, WAYS)}"
        for _ in range(2)
    ]
    return " and ".join(told)


def english_words() -> list[str]:
    """Every English word that occurs in what is said, sorted."""
    texts = [*DIGITS["en"], *COLOURS, *SHAPES, *WAYS, *SAID]
    texts += [way for ways, _ in SUMS.values() for way in ways]
    return sorted({word for text in texts for word in text.split() if word != "{}"})
