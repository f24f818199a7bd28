"""Every word of every story: those of the lists, and those in between."""

from __future__ import annotations

from t2t.problems.babi import moving, reasoning, story

LISTS = (
    story.PEOPLE, story.PLACES, story.OBJECTS, story.MOVES, story.GETS, story.DROPS,
    story.NUMBERS, moving.GIFTS, moving.GIVES, moving.DAYTIMES, reasoning.OPPOSITE,
    reasoning.ANIMALS, reasoning.ANIMALS.values(), reasoning.PETS, reasoning.KINDS,
    reasoning.COLOURS, reasoning.BEASTS, reasoning.SHAPES, reasoning.PAINTS,
    reasoning.SIZES, reasoning.NEEDS, reasoning.THINGS.values(), reasoning.RELATIONS,
)  # fmt: skip
BETWEEN = (
    ". ? The the a and is are was in of to or either no longer there then he she they "
    "after that following afterwards before Where What Who How Why Is Does many "
    "objects carrying nothing yes maybe give gave received did color afraid fits fit "
    "inside bigger than do you go from will get"
)
WORDS = tuple(
    dict.fromkeys(
        word
        for phrase in (*BETWEEN.split(), *(p for group in LISTS for p in group))
        for word in phrase.split()
    )
)
