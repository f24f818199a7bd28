"""Tasks 4 and 15 to 20: relations, classes, sizes, ways and motives.

Weston et al. (arXiv:1502.05698), tables 1 and 2.
"""

from __future__ import annotations

import itertools

import numpy as np

from t2t.problems.babi.story import MOVES, PEOPLE, PLACES, Story, one, some

OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}
STEPS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
ANIMALS = {"wolf": "wolves", "sheep": "sheep", "mouse": "mice", "cat": "cats"}
PETS = ("Gertrude", "Winona", "Jessica", "Emily")
KINDS = ("swan", "lion", "frog", "rhino")
COLOURS = ("white", "green", "yellow", "gray")
BEASTS = ("Lily", "Bernhard", "Greg", "Julius", "Brian")
SHAPES = ("triangle", "square", "rectangle", "sphere")
PAINTS = ("red", "blue", "pink", "yellow")
SIZES = ("chocolate", "box", "chest", "suitcase", "container")  # ascending
NEEDS = {
    "hungry": "kitchen",
    "tired": "bedroom",
    "thirsty": "kitchen",
    "bored": "garden",
}
THINGS = {"hungry": "apple", "tired": "pajamas", "thirsty": "milk", "bored": "football"}


def two_arguments(rng: np.random.Generator) -> Story:
    """4: what is north of the bedroom?"""
    first, middle, last = some(rng, PLACES, 3)
    one_way, other_way = some(rng, list(OPPOSITE), 2)
    facts = [(first, one_way, middle), (last, other_way, middle)]
    told = [f"The {a} is {way} of the {b} ." for a, way, b in some(rng, facts, 2)]
    a, way, b = one(rng, facts)
    questions = {f"What is {way} of the {b} ?": a}
    # Two rooms may stand on sides that are named for the same one: asked about one.
    if OPPOSITE[one_way] != other_way:
        questions[f"What is the {a} {way} of ?"] = b
    question = one(rng, list(questions))
    return Story(tuple(told), question, questions[question])


def deduction(rng: np.random.Generator) -> Story:
    """15: sheep are afraid of wolves, Gertrude is a sheep."""
    kinds = list(ANIMALS)
    fears = {kind: one(rng, [k for k in kinds if k != kind]) for kind in kinds}
    pets = {pet: one(rng, kinds) for pet in PETS}
    told = [f"{ANIMALS[a]} are afraid of {ANIMALS[b]} ." for a, b in fears.items()]
    told += [f"{pet} is a {kind} ." for pet, kind in pets.items()]
    pet = one(rng, PETS)
    sentences = tuple(some(rng, told, len(told)))
    return Story(sentences, f"What is {pet} afraid of ?", fears[pets[pet]])


def induction(rng: np.random.Generator) -> Story:
    """16: Lily is a swan, Lily is white, Greg is a swan: what colour is he?"""
    colours = dict(zip(KINDS, some(rng, COLOURS, 4), strict=True))
    *known, asked = some(rng, BEASTS, 5)
    kinds = {beast: one(rng, KINDS) for beast in known}
    kinds[asked] = one(rng, sorted(set(kinds.values())))
    told = [f"{beast} is a {kind} ." for beast, kind in kinds.items()]
    told += [f"{beast} is {colours[kinds[beast]]} ." for beast in known]
    sentences = tuple(some(rng, told, len(told)))
    return Story(sentences, f"What color is {asked} ?", colours[kinds[asked]])


RELATIONS = {
    "to the left of": (-1, 0), "to the right of": (1, 0), "above": (0, 1),
    "below": (0, -1),
}  # fmt: skip


def positions(rng: np.random.Generator) -> Story:
    """17: is the red sphere to the right of the blue square?"""
    shapes = some(rng, SHAPES, 3)
    names = [
        f"{paint} {s}" for paint, s in zip(some(rng, PAINTS, 3), shapes, strict=True)
    ]
    places, told = [(0, 0)], []
    for before, name in itertools.pairwise(names):
        relation = one(rng, list(RELATIONS))
        x, y = RELATIONS[relation]
        places.append((places[-1][0] + x, places[-1][1] + y))
        told.append(f"The {name} is {relation} the {before} .")
    for _ in range(100):
        a, b = some(rng, range(3), 2)
        relation = one(rng, list(RELATIONS))
        x, y = RELATIONS[relation]
        far = (places[a][0] - places[b][0]) * x + (places[a][1] - places[b][1]) * y
        if far:  # else the one is beside the other, and nothing was said of it
            break
    answer = "yes" if far > 0 else "no"
    question = f"Is the {names[a]} {relation} the {names[b]} ?"
    return Story(tuple(told), question, answer)


def sizes(rng: np.random.Generator) -> Story:
    """18: does the box fit in the suitcase?"""
    order = sorted(some(rng, range(len(SIZES)), 4))
    pairs = [(SIZES[a], SIZES[b]) for a, b in itertools.pairwise(order)]
    told = [
        f"The {a} fits inside the {b} ."
        if rng.random() < 0.5
        else f"The {b} is bigger than the {a} ."
        for a, b in pairs
    ]
    small, large = sorted(some(rng, range(4), 2))
    names, fits = [SIZES[order[small]], SIZES[order[large]]], bool(rng.integers(2))
    a, b = names if fits else names[::-1]
    questions = {
        f"Does the {a} fit in the {b} ?": "yes" if fits else "no",
        f"Is the {a} bigger than the {b} ?": "no" if fits else "yes",
    }
    question = one(rng, list(questions))
    return Story(tuple(some(rng, told, len(told))), question, questions[question])


def paths(rng: np.random.Generator) -> Story:
    """19: how do you go from the kitchen to the garden? Two steps."""
    names = some(rng, PLACES, 5)
    places, told = {(0, 0): names[0]}, []
    for name in names[1:]:
        free = [
            (old, way, (old[0] + x, old[1] + y))
            for old in places
            for way, (x, y) in STEPS.items()
            if (old[0] + x, old[1] + y) not in places
        ]
        old, way, new = one(rng, free)
        told.append((name, way, places[old]))
        places[new] = name
    neighbours: dict[str, dict[str, str]] = {name: {} for name in names}
    for a, way, b in told:
        neighbours[b][way], neighbours[a][OPPOSITE[way]] = a, b
    found = [
        (start, end, f"{first} {second}")
        for start in names
        for first, middle in neighbours[start].items()
        for second, end in neighbours[middle].items()
        if end != start
    ]
    start, end, way = one(rng, found)
    sentences = tuple(f"The {a} is {way} of the {b} ." for a, way, b in told)
    return Story(sentences, f"How do you go from the {start} to the {end} ?", way)


def motives(rng: np.random.Generator) -> Story:
    """20: John is hungry. Where will he go? Why did he take the apple?"""
    people = some(rng, PEOPLE[:4], 3)
    needs = {person: one(rng, list(NEEDS)) for person in people}
    sentences, questions = [], {}
    for person, need in needs.items():
        sentences.append(f"{person} is {need} .")
        questions = {f"Where will {person} go ?": NEEDS[need]}
        if rng.random() < 0.6:
            sentences.append(f"{person} {one(rng, MOVES[:4])} the {NEEDS[need]} .")
            questions = {f"Why did {person} go to the {NEEDS[need]} ?": need}
            if rng.random() < 0.5:
                sentences.append(f"{person} got the {THINGS[need]} there .")
                questions[f"Why did {person} get the {THINGS[need]} ?"] = need
        if rng.random() < 0.3:
            break
    question = one(rng, list(questions))
    return Story(tuple(sentences), question, questions[question])
