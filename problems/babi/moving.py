"""Tasks 1 to 3 and 5 to 14: people who walk about, take things and leave them.

Weston et al. (arXiv:1502.05698), tables 1 and 2: a simulation as in a text adventure;
actions are drawn among those that are possible, and what is asked is known.
"""

from __future__ import annotations

import numpy as np

from t2t.problems.babi.story import (
    DROPS,
    GETS,
    MOVES,
    NUMBERS,
    OBJECTS,
    PEOPLE,
    PLACES,
    SHE,
    Story,
    one,
    some,
)

GIFTS = ("apple", "football", "milk", "cake")
GIVES = ("gave", "passed", "handed")
DAYTIMES = ("yesterday", "this morning", "this afternoon", "this evening")


class World:
    """Four people in six rooms with three things; what has happened so far."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.people = some(rng, PEOPLE[:4], 4)
        self.at: dict[str, str] = {}  # of people who have been seen
        self.holder: dict[str, str] = {}  # of things that are carried
        self.been: dict[str, list[str]] = {}  # of things that were taken: their places
        self.left: dict[str, str] = {}  # of things that lie where they were left
        self.sentences: list[str] = []

    def move(self, person: str | None = None) -> str:
        """Somebody goes elsewhere; who."""
        person = person or one(self.rng, self.people)
        place = one(self.rng, [p for p in PLACES if p != self.at.get(person)])
        self.at[person] = place
        for thing in self.carried(person):
            self.been[thing].append(place)
        self.sentences.append(f"{person} {one(self.rng, MOVES)} the {place} .")
        return person

    def get(self) -> None:
        """Somebody whose place is known takes a thing that lies there, if any does."""
        pairs = [
            (person, thing)
            for person, place in self.at.items()
            for thing in OBJECTS
            if thing not in self.holder and self.left.get(thing, place) == place
        ]
        if not pairs:
            return
        person, thing = one(self.rng, pairs)
        self.holder[thing] = person
        self.been.setdefault(thing, [self.at[person]])
        self.sentences.append(f"{person} {one(self.rng, GETS)} the {thing} there .")

    def drop(self) -> None:
        """Somebody leaves what he carries, if anybody does."""
        if not self.holder:
            return
        thing = one(self.rng, sorted(self.holder))
        person = self.holder.pop(thing)
        self.left[thing] = self.at[person]
        self.sentences.append(f"{person} {one(self.rng, DROPS)} the {thing} .")

    def act(self, count: int) -> None:
        """Actions of any kind, half of them moves."""
        for _ in range(count):
            one(self.rng, (self.move, self.move, self.get, self.drop))()

    def carried(self, person: str) -> list[str]:
        """In the order in which things are listed."""
        return [t for t in OBJECTS if self.holder.get(t) == person]

    def where(self, thing: str) -> str | None:
        if thing in self.holder:
            return self.at[self.holder[thing]]
        return self.left.get(thing)

    def story(self, question: str, answer: str) -> Story:
        return Story(tuple(self.sentences), question, answer)


def single_fact(rng: np.random.Generator) -> Story:
    """1: where is Mary?"""
    world = World(rng)
    for _ in range(int(rng.integers(2, 9))):
        world.move()
    person = one(rng, sorted(world.at))
    return world.story(f"Where is {person} ?", world.at[person])


def two_facts(rng: np.random.Generator) -> Story:
    """2: where is the football?"""
    while True:
        world = World(rng)
        world.act(int(rng.integers(4, 12)))
        known = [t for t in OBJECTS if world.where(t)]
        if known:
            thing = one(rng, known)
            return world.story(f"Where is the {thing} ?", world.where(thing) or "")


def three_facts(rng: np.random.Generator) -> Story:
    """3: where was the football before the kitchen?"""
    while True:
        world = World(rng)
        world.act(int(rng.integers(8, 24)))
        moved = {t: b for t, b in world.been.items() if len(b) > 1}
        for thing in some(rng, sorted(moved), len(moved)):
            places = moved[thing]
            # A place where it was once only: else there would be two answers.
            once = [p for p in places[1:] if places.count(p) == 1]
            if once:
                place = one(rng, once)
                before = places[places.index(place) - 1]
                question = f"Where was the {thing} before the {place} ?"
                return world.story(question, before)


def three_arguments(rng: np.random.Generator) -> Story:
    """5: who gave the cake to Fred?"""
    people = some(rng, PEOPLE[4:] + PEOPLE[:2], 3)
    holder = {thing: one(rng, people) for thing in GIFTS}
    sentences, found = [], ("", "", "")
    for _ in range(int(rng.integers(1, 4))):
        thing = one(rng, GIFTS)
        giver = holder[thing]
        taker = one(rng, [p for p in people if p != giver])
        holder[thing], found = taker, (giver, thing, taker)
        verb = one(rng, GIVES)
        sentences.append(f"{giver} {verb} the {thing} to {taker} .")
    giver, thing, taker = found  # of the last: it is asked about
    questions = {
        f"Who gave the {thing} to {taker} ?": giver,
        f"Who gave the {thing} ?": giver,
        f"Who received the {thing} ?": taker,
        f"Who did {giver} give the {thing} to ?": taker,
        f"What did {giver} give to {taker} ?": thing,
    }
    question = one(rng, list(questions))
    return Story(tuple(sentences), question, questions[question])


def yes_no(rng: np.random.Generator) -> Story:
    """6: is John in the kitchen?"""
    world = World(rng)
    for _ in range(int(rng.integers(2, 9))):
        world.move()
    person = one(rng, sorted(world.at))
    return _is_in(rng, world, person, {world.at[person]: "yes"}, "no")


def _is_in(
    rng: np.random.Generator,
    world: World,
    person: str,
    answers: dict[str, str],
    otherwise: str,
) -> Story:
    """Asked about one of the places with answers as often as about another."""
    others = [p for p in PLACES if p not in answers]
    place = one(rng, sorted(answers)) if rng.random() < 0.5 else one(rng, others)
    question = f"Is {person} in the {place} ?"
    return world.story(question, answers.get(place, otherwise))


def counting(rng: np.random.Generator) -> Story:
    """7: how many objects is Daniel carrying?"""
    world = _carrying(rng)
    person = one(rng, sorted(world.at))
    number = NUMBERS[len(world.carried(person))]
    return world.story(f"How many objects is {person} carrying ?", number)


def listing(rng: np.random.Generator) -> Story:
    """8: what is Daniel carrying?"""
    world = _carrying(rng)
    person = one(rng, sorted(world.at))
    things = " ".join(world.carried(person)) or "nothing"
    return world.story(f"What is {person} carrying ?", things)


def _carrying(rng: np.random.Generator) -> World:
    """Of two people, that something may gather."""
    world = World(rng)
    world.people = world.people[:2]
    world.move()
    for _ in range(int(rng.integers(4, 12))):
        one(rng, (world.move, world.get, world.get, world.drop))()
    return world


def negation(rng: np.random.Generator) -> Story:
    """9: Sandra is no longer in the kitchen."""
    world, answers = World(rng), dict[str, dict[str, str]]()
    for _ in range(int(rng.integers(2, 8))):
        person = one(rng, world.people)
        if person in world.at and rng.random() < 0.3:
            place = world.at.pop(person)
            world.sentences.append(f"{person} is no longer in the {place} .")
            answers[person] = {place: "no"}
        else:
            place = one(rng, [p for p in PLACES if p != world.at.get(person)])
            world.at[person] = place
            verb = one(rng, (*MOVES[:4], "is in"))
            world.sentences.append(f"{person} {verb} the {place} .")
            answers[person] = {place: "yes"}
    person = one(rng, sorted(answers))
    if person not in world.at:  # where else may be, nobody knows
        (place,) = answers[person]
        return world.story(f"Is {person} in the {place} ?", "no")
    return _is_in(rng, world, person, answers[person], "no")


def indefinite(rng: np.random.Generator) -> Story:
    """10: John is either in the office or the kitchen."""
    world, answers = World(rng), dict[str, dict[str, str]]()
    for _ in range(int(rng.integers(2, 8))):
        person = one(rng, world.people)
        first, second = some(rng, PLACES, 2)
        if rng.random() < 0.5:
            world.sentences.append(
                f"{person} is either in the {first} or the {second} ."
            )
            answers[person] = {first: "maybe", second: "maybe"}
        else:
            world.sentences.append(f"{person} {one(rng, MOVES[:4])} the {first} .")
            answers[person] = {first: "yes"}
    return _asked_of(rng, world, answers)


def _asked_of(
    rng: np.random.Generator, world: World, answers: dict[str, dict[str, str]]
) -> Story:
    person = one(rng, sorted(answers))
    return _is_in(rng, world, person, answers[person], "no")


def coreference(rng: np.random.Generator) -> Story:
    """11: then he went to the garden."""
    world = World(rng)
    for _ in range(int(rng.integers(1, 5))):
        person = world.move()
        pronoun = "she" if person in SHE else "he"
        _then(world, [person], pronoun)
    person = one(rng, sorted(world.at))
    return world.story(f"Where is {person} ?", world.at[person])


def _then(world: World, people: list[str], pronoun: str) -> None:
    """They go on, named by a pronoun."""
    rng = world.rng
    place = one(rng, [p for p in PLACES if p != world.at[people[0]]])
    world.at |= dict.fromkeys(people, place)
    word = one(rng, ("then", "after that", "following that", "afterwards"))
    world.sentences.append(f"{word} {pronoun} {one(rng, MOVES[:4])} the {place} .")


def conjunction(rng: np.random.Generator) -> Story:
    """12: Mary and John went to the kitchen."""
    return _couples(rng, then=False)


def compound(rng: np.random.Generator) -> Story:
    """13: Daniel and Sandra went to the office. Then they went to the garden."""
    return _couples(rng, then=True)


def _couples(rng: np.random.Generator, *, then: bool) -> Story:
    world = World(rng)
    for _ in range(int(rng.integers(1, 5))):
        couple = some(rng, world.people, 2)
        known = {world.at.get(person) for person in couple}
        place = one(rng, [p for p in PLACES if p not in known])
        world.at |= dict.fromkeys(couple, place)
        names = " and ".join(couple)
        world.sentences.append(f"{names} {one(rng, MOVES)} the {place} .")
        if then:
            _then(world, couple, "they")
    person = one(rng, sorted(world.at))
    return world.story(f"Where is {person} ?", world.at[person])


def time(rng: np.random.Generator) -> Story:
    """14: where was Julie before the park?"""
    people = some(rng, PEOPLE[4:] + PEOPLE[:2], 2)
    count = int(rng.integers(2, len(DAYTIMES) + 1))
    tours = {person: some(rng, PLACES, count) for person in people}
    told = [
        f"{when} {person} {one(rng, MOVES[:4])} the {tours[person][i]} ."
        for person in people
        for i, when in enumerate(DAYTIMES[:count])
    ]
    person, later = one(rng, people), int(rng.integers(1, count))
    question = f"Where was {person} before the {tours[person][later]} ?"
    return Story(tuple(some(rng, told, len(told))), question, tours[person][later - 1])
