"""Sentences of our own for `fake()`: real in form, worth nothing as language data.

They are composed from small word lists, so that each split has its own two
hundred and a test can train on them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

COUNT = 200  # examples of a split

_THINGS = {
    "en": ("lamp", "door", "sensor", "garden", "window", "heating", "camera", "lock"),
    "de": (
        "Lampe",
        "Tür",
        "Fühler",
        "Garten",
        "Fenster",
        "Heizung",
        "Kamera",
        "Riegel",
    ),
}
_PLACES = {
    "en": ("in the kitchen", "upstairs", "at the back", "in room {room}", "outside"),
    "de": ("in der Küche", "oben", "hinten", "in Raum {room}", "draußen"),
}
_STATES = {
    "en": ("is on", "is off", "has failed", "is new", "was found", "reports %s"),
    "de": ("ist an", "ist aus", "ist defekt", "ist neu", "gefunden", "meldet %s"),
}


def pairs(split: str) -> Iterator[tuple[str, str]]:
    """200 made-up English and German sentences, the same at every call."""
    rng = np.random.default_rng([len(split), *split.encode()])
    for _ in range(COUNT):
        lists = (_THINGS, _PLACES, _STATES)
        thing, place, state = (int(rng.integers(len(words["en"]))) for words in lists)
        number = int(rng.integers(1, 1000))
        english, german = (
            f"{_THINGS[language][thing]} {number} {_PLACES[language][place]} "
            f"{_STATES[language][state]}"
            for language in ("en", "de")
        )
        yield f"The {english}.", f"{german}."


def sentences(split: str) -> Iterator[str]:
    """200 made-up English sentences."""
    for english, _ in pairs(split):
        yield english


def labelled(split: str, labels: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """200 made-up English sentences; the state that they tell decides the label."""
    for english in sentences(split):
        state = next(i for i, s in enumerate(_STATES["en"]) if f" {s}." in english)
        yield english, labels[state % len(labels)]
