"""Streams: every example once an epoch, exact places, mixtures as weighted."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from data_toys import Numbers, Pairs

from t2t.data.generate import generate
from t2t.data.shards import Shards
from t2t.data.streams import GeneratedExamples, Mixture, StoredExamples


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Shards:
    folder = tmp_path_factory.mktemp("pairs")
    generate(Pairs(), folder, folder, processes=1)
    return Shards(folder, "pairs", split="train", features=Pairs().features)


def stored(shards: Shards, **knobs) -> StoredExamples:
    return StoredExamples(
        Pairs(), shards, **{"shuffle": True, "repeat": True, "seed": 1, **knobs}
    )


def references(stream, count: int) -> list:
    return [stream.next()[0] for _ in range(count)]


def test_shuffle_covers_every_index_once_an_epoch(shards):
    stream = stored(shards)
    first, second = references(stream, 300), references(stream, 300)
    assert sorted(first) == sorted(second) == list(range(300))
    assert first != second and first != sorted(first)
    assert stream.epoch == 2
    assert references(stored(shards), 300) == first
    assert references(stored(shards, seed=2), 300) != first


def test_one_pass_in_order(shards):
    stream = stored(shards, shuffle=False, repeat=False)
    assert references(stream, 300) == list(range(300))
    with pytest.raises(StopIteration):
        stream.next()


def test_a_stored_stream_goes_on_anywhere(shards):
    for stop in (0, 1, 127, 128, 129, 299, 300, 301, 450):
        stream, other = stored(shards), stored(shards)
        references(stream, stop)
        references(other, 77)
        other.restore(json.loads(json.dumps(stream.state())))
        for _ in range(200):
            (a, one), (b, two) = stream.next(), other.next()
            assert a == b and one["inputs"].tolist() == two["inputs"].tolist()
            assert one["inputs"].tolist() == stream.fetch(a)["inputs"].tolist()


def test_suffixes_are_applied(shards):
    problem = Pairs()
    problem.suffixes = ("_rev",)
    plain = stored(shards).fetch(5)
    swapped = StoredExamples(problem, shards, shuffle=False, repeat=True, seed=0).fetch(
        5
    )
    assert plain["inputs"].tolist() == swapped["targets"].tolist()


def test_generated_examples_are_functions_of_their_number():
    stream = GeneratedExamples(Numbers(), "train", seed=3)
    examples = [stream.next() for _ in range(50)]
    texts = {tuple(example["inputs"]) for _, example in examples}
    assert len(texts) == 50
    other = GeneratedExamples(Numbers(), "train", seed=3)
    other.restore({"index": 20})
    reference, example = other.next()
    assert reference == 20
    assert example["inputs"].tolist() == examples[20][1]["inputs"].tolist()
    for split, seed in (("dev", 3), ("train", 4)):
        _, example = GeneratedExamples(Numbers(), split, seed=seed).next()
        assert tuple(example["inputs"]) not in texts
    limited = GeneratedExamples(Numbers(), "dev", seed=0, limit=3)
    assert references(limited, 3) == [0, 1, 2]
    with pytest.raises(StopIteration):
        limited.next()


def mixture(**knobs) -> Mixture:
    streams = {
        "a": GeneratedExamples(Numbers(), "train", seed=0, limit=10**6),
        "b": GeneratedExamples(Numbers(), "dev", seed=0, limit=10**4),
    }
    return Mixture(streams, **{"weights": None, "seed": 0, **knobs})


@pytest.mark.parametrize(
    ("knobs", "share"),
    [
        ({"weights": [3, 1]}, 0.75),
        ({}, 100 / 101),
        ({"temperature": 2.0}, 10 / 11),
        ({"temperature": 1e6}, 0.5),
    ],
)
def test_mixture_frequencies(knobs, share):
    turns = list(map(mixture(**knobs).turn, range(20_000)))
    deviation = np.sqrt(share * (1 - share) / len(turns))
    assert abs(1 - np.mean(turns) - share) < 4 * deviation


def test_a_mixture_goes_on_anywhere():
    stream = mixture(weights=[1, 1])
    before = references(stream, 200)
    state = json.loads(json.dumps(stream.state()))
    after = references(stream, 200)
    other = mixture(weights=[1, 1])
    other.restore(state)
    assert references(other, 200) == after
    fresh = mixture(weights=[1, 1])
    assert references(fresh, 400) == before + after
    assert {name for name, _ in before} == {"a", "b"}
    for name in "ab":
        numbers = [n for which, n in itertools.chain(before, after) if which == name]
        assert numbers == list(range(len(numbers)))


def test_mixtures_that_cannot_be():
    with pytest.raises(ValueError, match="2 problems need as many weights above 0"):
        mixture(weights=[1])
    with pytest.raises(ValueError, match="weights above 0"):
        mixture(weights=[1, -1])
    with pytest.raises(ValueError, match="temperature must be above 0, not 0"):
        mixture(temperature=0)
    endless = {"n": GeneratedExamples(Numbers(), "train", seed=0)}
    with pytest.raises(ValueError, match="n has no size, so give weights"):
        Mixture(endless, weights=None, seed=0)
