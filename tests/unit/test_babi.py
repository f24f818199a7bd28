"""bAbI's stories, read again by readers that know nothing of how they were made."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest

from t2t.problems.problem import DEV, TEST, TRAIN
from t2t.problems.question_babi import TASKS, QuestionBabi

PLACE = r"(?:moved|went|journeyed|travelled|went back) to the (\w+)"
SHIFT = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}


def _follow(
    lines: list[str],
) -> tuple[dict[str, str], dict[str, str], dict[str, list[str]]]:
    """Where people are, who holds what, and where each thing has been, in order."""
    at, holder, been = dict[str, str](), dict[str, str](), dict[str, list[str]]()
    group: list[str] = []
    for line in lines:
        words = line.split()
        if found := re.search(PLACE, line):
            if words[0][0].isupper():
                group = [w for w in words if w[0].isupper()]
            for person in group:  # a pronoun stands for those before
                at[person] = found[1]
                for thing in (t for t, p in holder.items() if p == person):
                    been[thing].append(found[1])
        elif words[-2] == "there":
            thing, person = words[-3], words[0]
            holder[thing] = person
            been.setdefault(thing, [at[person]])
        else:
            del holder[words[-2]]
    return at, holder, been


def _where(lines: list[str], question: str) -> str:
    at, _, been = _follow(lines)
    if before := re.match(r"Where was the (\w+) before the (\w+)", question):
        places = been[before[1]]
        return places[places.index(before[2]) - 1]
    what = question.split()[-2]
    return at[what] if what in at else been[what][-1]


def _is_in(lines: list[str], question: str) -> str:
    _, person, _, _, place, _ = question.split()
    said = [line for line in lines if line.startswith(person)][-1]
    if "no longer" in said or place not in said:
        return "no"
    return "maybe" if "either" in said else "yes"


def _carried(lines: list[str], question: str) -> str:
    _, holder, _ = _follow(lines)
    person = question.split()[-3]
    things = [t for t in ("apple", "football", "milk") if holder.get(t) == person]
    if question.startswith("How"):
        return ("none", "one", "two", "three")[len(things)]
    return " ".join(things) or "nothing"


def _map(lines: list[str]) -> dict[tuple[str, str], str]:
    """{(room, way): the room there}."""
    back = dict(zip(SHIFT, ("south", "north", "west", "east"), strict=True))
    found = {}
    for line in lines:
        _, a, _, way, _, _, b, _ = line.split()
        found[b, way], found[a, back[way]] = a, b
    return found


def _relation(lines: list[str], question: str) -> str:
    words = question.split()
    for line in lines:
        _, a, _, way, _, _, b, _ = line.split()
        if words[1:3] == ["is", way] and words[-2] == b:
            return a
        if words[3:5] == [a, way]:
            return b
    raise AssertionError(question)


def _gift(lines: list[str], question: str) -> str:
    giver, _, _, thing, _, taker, _ = lines[-1].split()
    if question.startswith("What"):
        return thing
    return taker if "receiv" in question or "did" in question else giver


def _time(lines: list[str], question: str) -> str:
    days = ("yesterday", "this morning", "this afternoon", "this evening")
    _, _, person, _, _, place, _ = question.split()
    own = [line for line in lines if person in line]
    order = sorted(own, key=lambda line: [line.startswith(d) for d in days].index(True))
    places = [line.split()[-2] for line in order]
    return places[places.index(place) - 1]


def _deduction(lines: list[str], question: str) -> str:
    plural = {"wolves": "wolf", "mice": "mouse", "cats": "cat", "sheep": "sheep"}
    fears = {plural[w[0]]: plural[w[4]] for w in map(str.split, lines) if w[1] == "are"}
    kinds = {w[0]: w[3] for w in map(str.split, lines) if w[1] == "is"}
    return fears[kinds[question.split()[2]]]


def _induction(lines: list[str], question: str) -> str:
    kinds = {w[0]: w[3] for w in map(str.split, lines) if w[2] == "a"}
    colours = {w[0]: w[2] for w in map(str.split, lines) if w[2] != "a"}
    kind = kinds[question.split()[3]]
    (colour,) = {colours[b] for b in colours if kinds[b] == kind}
    return colour


def _position(lines: list[str], question: str) -> str:
    moves = {"left": (-1, 0), "right": (1, 0), "above": (0, 1), "below": (0, -1)}
    name = r"[Tt]he (\w+ \w+)"
    at: dict[str, np.ndarray] = {}
    for line in lines:
        a, b = re.findall(name + r"(?= is| \.)", line)
        (way,) = set(moves) & set(line.split())
        at.setdefault(b, np.zeros(2))
        at[a] = at[b] + moves[way]
    (way,) = set(moves) & set(question.split())
    a, b = [n for n in re.findall(r"(?=((?:red|blue|pink|yellow) \w+))", question)]
    return "yes" if (at[a] - at[b]) @ moves[way] > 0 else "no"


def _size(lines: list[str], question: str) -> str:
    larger = set[tuple[str, str]]()
    for words in map(str.split, lines):
        pair = (words[5], words[1]) if words[2] == "fits" else (words[1], words[6])
        larger.add(pair)
    for _ in range(3):
        larger |= {
            (a, d) for (a, b), (c, d) in itertools.product(larger, larger) if b == c
        }
    words = question.split()
    wanted = (words[6], words[2]) if words[0] == "Does" else (words[2], words[6])
    return "yes" if wanted in larger else "no"


def _motive(lines: list[str], question: str) -> str:
    person = question.split()[2]
    need = next(x.split()[2] for x in lines if x.startswith(f"{person} is"))
    places = {"hungry": "kitchen", "thirsty": "kitchen", "tired": "bedroom"}
    return need if question.startswith("Why") else places.get(need, "garden")


READERS: dict[int, Callable[[list[str], str], str]] = {
    1: _where, 2: _where, 3: _where, 4: _relation, 5: _gift, 6: _is_in, 7: _carried,
    8: _carried, 9: _is_in, 10: _is_in, 11: _where, 12: _where, 13: _where, 14: _time,
    15: _deduction, 16: _induction, 17: _position, 18: _size, 20: _motive,
}  # fmt: skip


def _read(inputs: str) -> tuple[list[str], str]:
    *lines, question = re.findall(r"[^.?]+[.?]", inputs)
    return [line.strip() for line in lines], question.strip()


@pytest.mark.parametrize("task", TASKS)
def test_answers_follow_from_the_stories(task: int) -> None:
    problem, rng = QuestionBabi(task=task), np.random.default_rng(task)
    answers = set()
    for _ in range(200):
        example = problem.example(TRAIN, rng)
        lines, question = _read(example["inputs"])
        if task == 19:  # the way is walked
            rooms = _map(lines)
            _, _, _, _, _, _, here, _, _, end, _ = question.split()
            for way in example["targets"].split():
                here = rooms[here, way]
            assert here == end
        else:
            assert READERS[task](lines, question) == example["targets"], example
        answers.add(example["targets"])
    assert len(answers) >= (3 if task not in (6, 9, 17, 18) else 2)


def test_all_tasks_are_in_the_words_and_splits_are_apart() -> None:
    problem, rng = QuestionBabi(), np.random.default_rng(0)
    seen = {split: set[str]() for split in problem.SPLITS}
    for split in (TRAIN, DEV, TEST):
        for _ in range(400):
            example = problem.example(split, rng)
            for value in example.values():
                ids = problem.words.encode(value)
                assert problem.words.decode(ids) == value
            seen[split].add(example["inputs"])
    assert not (seen[DEV] | seen[TEST]) & seen[TRAIN]
    with pytest.raises(ValueError, match="task=21"):
        QuestionBabi(task=21)
