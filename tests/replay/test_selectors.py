"""Selectors and limiters against rules written down naively."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from t2t.replay import limiter
from t2t.replay.limiter import Limiter, Limits
from t2t.replay.selectors import SELECTORS, make_selector
from t2t.replay.sum_tree import SumTree

CAPACITY = 8
ORDERED = [name for name in SELECTORS if SELECTORS[name].ordered]
RANDOM = [name for name in SELECTORS if not SELECTORS[name].ordered]

priorities = st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.0])
operations = st.lists(
    st.tuples(
        st.sampled_from(["insert", "update", "delete"]),
        st.integers(0, CAPACITY - 1),
        priorities,
    ),
    max_size=40,
)


def _order(name: str, items: dict[int, tuple[int, int, float]]) -> list[int]:
    """Places in order; items: {place: (inserted, last set, priority)}."""
    key = {
        "fifo": lambda p: items[p][0],
        "lifo": lambda p: -items[p][0],
        "min_heap": lambda p: (items[p][2], items[p][1]),
        "max_heap": lambda p: (-items[p][2], items[p][1]),
    }[name]
    return sorted(items, key=key)


def _replay(selector, script):
    items: dict[int, tuple[int, int, float]] = {}
    for time, (what, place, priority) in enumerate(script):
        at, value = np.array([place]), np.array([priority])
        if what == "insert" and place not in items:
            selector.insert(at, value)
            items[place] = (time, time, priority)
        elif what == "update" and place in items:
            selector.update(at, value)
            items[place] = (items[place][0], time, priority)
        elif what == "delete" and items.pop(place, None):
            selector.delete(at)
    return items


@pytest.mark.parametrize("name", ORDERED)
@given(operations, st.integers(1, CAPACITY))
def test_ordered_selectors_name_the_next(name, script, n):
    selector = make_selector(name, CAPACITY)
    items = _replay(selector, script)
    assert selector.first(n).tolist() == _order(name, items)[:n]
    assert selector.first(1).tolist() == _order(name, items)[:1]


@pytest.mark.parametrize("name", ORDERED)
def test_the_order_holds_over_many_changes(name):
    """Long enough for rings to go round and for stale entries to be squeezed out."""
    rng, selector = np.random.default_rng(0), make_selector(name, 4)
    items: dict[int, tuple[int, int, float]] = {}
    for time in range(2000):
        place, priority = int(rng.integers(4)), float(rng.integers(3))
        at, value = np.array([place]), np.array([priority])
        if place not in items:
            selector.insert(at, value)
            items[place] = (time, time, priority)
        elif rng.random() < 0.8:
            selector.delete(at)
            del items[place]
        else:
            selector.update(at, value)
            items[place] = (items[place][0], time, priority)
        if rng.random() < 0.02 and items:
            assert selector.first(3).tolist() == _order(name, items)[:3]
            again = make_selector(name, 4)
            again.restore(selector.snapshot()())
            assert again.first(4).tolist() == _order(name, items)


@pytest.mark.parametrize("name", RANDOM)
@given(script=operations)
def test_random_selectors_draw_what_is_there(name, script):
    selector = make_selector(name, CAPACITY)
    items = _replay(selector, script)
    if not items:
        return
    places, chances = selector.draw(50, np.random.default_rng(0))
    assert set(places.tolist()) <= set(items)
    if name == "prioritized" and any(items[p][2] for p in items):
        total = sum(priority for _, _, priority in items.values())
        expected = [items[p][2] / total for p in places.tolist()]
        np.testing.assert_allclose(chances, expected)
        assert all(items[p][2] > 0 for p in places.tolist())
    elif name != "epoch":
        np.testing.assert_allclose(chances, 1 / len(items))


def test_prioritized_draws_by_power_of_priority():
    selector = make_selector("prioritized", 100, exponent=0.6)
    weights = np.arange(100.0)
    selector.insert(np.arange(100), weights)
    places, _ = selector.draw(200_000, np.random.default_rng(1))
    expected = weights**0.6 / (weights**0.6).sum() * len(places)
    found = np.bincount(places, minlength=100)
    assert found[0] == 0
    square = ((found[1:] - expected[1:]) ** 2 / expected[1:]).sum()
    assert square < 148  # chi-square of 98 degrees, one in a thousand


@settings(max_examples=300)
@given(script=operations, rounds=st.integers(1, 3))
def test_an_epoch_gives_each_item_once(script, rounds):
    selector = make_selector("epoch", CAPACITY)
    items = _replay(selector, script)
    if items:
        rng = np.random.default_rng(0)
        for _ in range(rounds):
            places, _ = selector.draw(len(items), rng)
            assert sorted(places.tolist()) == sorted(items)


def test_a_newcomer_takes_part_in_the_round_under_way():
    selector = make_selector("epoch", 4)
    rng = np.random.default_rng(0)
    selector.insert(np.arange(3), np.ones(3))
    drawn = selector.draw(2, rng)[0].tolist()
    selector.insert(np.array([3]), np.ones(1))
    drawn += selector.draw(2, rng)[0].tolist()
    assert sorted(drawn) == [0, 1, 2, 3]


@given(
    st.lists(st.tuples(st.integers(0, 36), st.floats(0, 1e6)), min_size=1, max_size=60)
)
def test_the_sum_tree_adds_up(changes):
    tree, weights = SumTree(37), np.zeros(37)
    places, values = (np.array(x) for x in zip(*changes, strict=True))
    tree.update(places, values)
    weights[places] = values  # numpy, too, lets the last of an index count
    assert math.isclose(tree.total, weights.sum(), rel_tol=1e-12)
    if tree.total:
        found = tree.find(np.linspace(0, 1, 99, endpoint=False))
        assert (weights[found] > 0).all()
        assert (np.diff(found) >= 0).all()
        few = np.concatenate(
            [tree.find(np.array([s])) for s in np.linspace(0, 0.99, 9)]
        )
        np.testing.assert_array_equal(few, tree.find(np.linspace(0, 0.99, 9)))


def _reverb(limits: Limits, inserts: int, samples: int, size: int, what: str) -> bool:
    """Reverb's rule for one operation (rate_limiter.cc), written down again."""
    diff = inserts * limits.samples_per_insert - samples
    if what == "insert":
        if size < limits.min_size:
            return True
        return diff + limits.samples_per_insert <= limits.max_diff
    return size >= limits.min_size and diff - 1 >= limits.min_diff


@settings(max_examples=300)
@given(
    st.sampled_from([0.25, 0.5, 1.0, 3.0, 8.0]),
    st.integers(1, 10),
    st.integers(2, 6),
    st.lists(st.tuples(st.sampled_from(["insert", "sample"]), st.integers(1, 9))),
)
def test_batches_are_granted_as_single_operations_are(per_insert, least, slack, script):
    limits = limiter.ratio(
        per_insert, min_size=least, error_buffer=slack * max(1.0, per_insert)
    )
    batched = Limiter(limits)
    inserts = samples = 0
    for what, wanted in script:
        granted = 0
        while granted < wanted and _reverb(limits, inserts, samples, inserts, what):
            granted += 1
            inserts += what == "insert"
            samples += what == "sample"
        if what == "insert":
            assert batched.may_insert(wanted, batched.inserts) == granted
            batched.inserts += granted
        else:
            assert batched.may_sample(wanted, batched.inserts) == granted
            batched.samples += granted


def test_settings_that_allow_nothing_are_refused():
    with pytest.raises(ValueError, match="error_buffer=1 is too small"):
        limiter.ratio(4.0, min_size=1, error_buffer=1)
    with pytest.raises(ValueError, match="min_size is at least 1"):
        limiter.min_size(0)
    with pytest.raises(ValueError, match="no selector 'fifos'"):
        make_selector("fifos", 1)
