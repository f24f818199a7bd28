"""Batches: nothing lost, nothing mixed, exact resume, static shapes."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_toys import Numbers, Pairs, Pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.data.batching import Packed
from t2t.data.generate import generate
from t2t.data.pipeline import PrefetchedSource, batches, bucket_lengths
from t2t.features import EOS, Feature
from t2t.sources import Batch

TEXT = Feature("text", (None,), "int32", "T")
SIZES: dict[str, Any] = {"tokens_per_batch": 512, "max_length": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for problem in (Pairs(), Pairs(40, "few"), Pictures()):
        generate(problem, folder, folder / "tmp", processes=1)
    return folder


class Listed:
    """A stream of given examples, once."""

    def __init__(self, examples: list[dict[str, np.ndarray]]) -> None:
        self.examples, self.index, self.size = examples, 0, len(examples)
        self.epoch = 0.0

    def next(self):
        if self.index == len(self.examples):
            raise StopIteration
        self.index += 1
        return self.index - 1, self.fetch(self.index - 1)

    def fetch(self, reference):
        return self.examples[reference]

    def state(self):
        return {"index": self.index}

    def restore(self, state):
        self.index = state["index"]


def same(a: Batch, b: Batch) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def pairs_in(batch: Batch) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """All (inputs, targets) of a batch, by row and segment; checks the layout."""
    found = []
    for row in range(len(batch["inputs"])):
        segments = {n: batch[f"{n}_segments"][row] for n in ("inputs", "targets")}
        for segment in range(1, max(s.max() for s in segments.values()) + 1):
            texts = []
            for name, of in segments.items():
                places = np.flatnonzero(of == segment)
                assert (np.diff(places) == 1).all()
                positions = batch[f"{name}_positions"][row, places]
                assert positions.tolist() == list(range(len(places)))
                texts.append(tuple(batch[name][row, places].tolist()))
            found.append(tuple(texts))
        for name, of in segments.items():
            assert not batch[name][row, of == 0].any()
            assert not batch[f"{name}_positions"][row, of == 0].any()
    return found


def take(source: PrefetchedSource, count: int) -> list[Batch]:
    return [next(source) for _ in range(count)]


lengths = st.lists(st.tuples(st.integers(1, 16), st.integers(1, 16)), max_size=120)


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(1, 5))
def test_packing_keeps_every_example_once_and_apart(sizes, rows):
    examples = [
        {
            "inputs": np.full(n, 2 + i, np.int32),
            "targets": np.full(m, 2 + i, np.int32),
        }
        for i, (n, m) in enumerate(sizes)
    ]
    packed = Packed(
        Listed(examples), {"inputs": TEXT, "targets": TEXT}, buckets={16: rows}
    )
    found = []
    while True:
        try:
            batch = packed.next()
        except StopIteration:
            break
        assert all(array.shape == (rows, 16) for array in batch.values())
        found += pairs_in(batch)
    wanted = [
        (tuple(e["inputs"].tolist()), tuple(e["targets"].tolist())) for e in examples
    ]
    assert Counter(found) == Counter(wanted)


@settings(max_examples=40, deadline=None)
@given(
    batching=st.sampled_from(["packed", "buckets", "examples"]),
    stop=st.integers(0, 60),
    ahead=st.integers(0, 3),
    mixed=st.booleans(),
)
def test_resume_is_exact(folder, batching, stop, ahead, mixed):
    def source() -> PrefetchedSource:
        few = Pairs(40, "few")
        return batches(
            Pairs(),
            "train",
            data_dir=folder,
            batching=batching,
            prefetch=ahead,
            seed=5,
            mixture=[few] if mixed else [],
            temperature=3.0,
            **SIZES,
        )

    one, other = source(), source()
    take(one, stop)
    state, report = json.loads(json.dumps(one.state())), one.report()
    following = take(one, 6)
    take(other, 2)
    other.restore(state)
    assert other.report() == report and other.state() == state
    assert all(map(same, following, take(other, 6)))
    assert one.state() == other.state() and one.report() == other.report()
    one.close()
    assert same(next(one), next(other))
    one.close()
    other.close()


@pytest.mark.parametrize("batching", ["packed", "buckets", "examples"])
def test_one_pass_gives_all_and_ends(folder, batching):
    source = batches(
        Pairs(), "train", data_dir=folder, batching=batching, repeat=False, **SIZES
    )
    given_out = list(source)
    found = [pair for batch in given_out for pair in pairs_in(batch)]
    problem = Pairs()
    raw = [problem.encode(e) for e in problem.examples("train", folder)]
    assert Counter(found) == Counter(
        (tuple(e["inputs"].tolist()), tuple(e["targets"].tolist())) for e in raw
    )
    assert source.report()["dropped"] == 0 and source.report()["epoch"] == 1
    with pytest.raises(StopIteration):
        next(source)
    if batching != "packed":
        assert sum(int(batch["weights"].sum()) for batch in given_out) == 300
    shapes = {batch["inputs"].shape for batch in given_out}
    assert len(shapes) == 1 or batching == "buckets"


def test_packing_fills_short_sentences(folder):
    source = batches(
        Pairs(), "train", data_dir=folder, tokens_per_batch=4096, max_length=128
    )
    take(source, 40)
    assert source.report()["fill"] > 0.9
    source.close()


def test_long_examples_are_dropped_and_counted_or_cut(folder):
    knobs: dict[str, Any] = {
        "data_dir": folder,
        "repeat": False,
        "examples_per_batch": 8,
    }
    raw = [Pairs().encode(e) for e in Pairs().examples("train", folder)]
    long = sum(max(len(e["inputs"]), len(e["targets"])) > 20 for e in raw)
    for batching in ("packed", "examples"):
        source = batches(Pairs(), "train", batching=batching, max_length=20, **knobs)
        assert sum(len(pairs_in(b)) for b in source) == 300 - long
        assert source.report()["dropped"] == long
        source = batches(
            Pairs(), "train", batching=batching, max_length=20, drop_long=False, **knobs
        )
        pairs = [pair for b in source for pair in pairs_in(b)]
        assert len(pairs) == 300 and all(ids[-1] == EOS for p in pairs for ids in p)
    with pytest.raises(ValueError, match="max_length=2 is too small: no example"):
        next(
            batches(
                Pairs(), "train", max_length=2, data_dir=folder, examples_per_batch=1
            )
        )


def test_pictures_and_filler(folder):
    source = batches(
        Pictures(), "train", data_dir=folder, examples_per_batch=4, repeat=False
    )
    given_out = list(source)
    assert [b["image"].shape for b in given_out] == [(4, 2, 3, 1)] * 3
    assert given_out[-1]["weights"].tolist() == [1, 1, 0, 0]
    assert given_out[0]["image"].dtype == np.uint8
    assert given_out[0]["value"].dtype == np.float32
    assert source.report()["fill"] == pytest.approx(10 / 12)


def test_generated_problems_need_no_folder():
    source = batches(Numbers(), "train", tokens_per_batch=128, max_length=32)
    assert next(source)["targets"].shape == (4, 32)
    source.close()
    once = batches(
        Numbers(),
        "dev",
        examples_per_batch=8,
        batching="examples",
        repeat=False,
        limit=20,
    )
    assert sum(batch["weights"].sum() for batch in once) == 20


def test_rows_are_a_multiple(folder):
    for batching in ("packed", "buckets"):
        source = batches(
            Pairs(),
            "train",
            data_dir=folder,
            batching=batching,
            tokens_per_batch=1000,
            max_length=64,
            multiple_of=4,
        )
        assert all(len(batch["targets"]) % 4 == 0 for batch in take(source, 5))
        source.close()
    assert bucket_lengths(100) == [16, 24, 32, 48, 64, 96, 100]
    assert bucket_lengths(10) == [10]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"max_length": 0}, "max_length must be a whole number above 0, not 0"),
        ({"tokens_per_batch": -5}, "tokens_per_batch must be .* not -5"),
        ({"tokens_per_batch": None}, "give tokens_per_batch or examples_per_batch"),
        ({"multiple_of": 0}, "multiple_of must be"),
        ({"prefetch": -1}, "prefetch must be 0 or more"),
        ({"batching": "pakced"}, "Did you mean 'packed'"),
        ({"tokens_per_batch": 60}, "tokens_per_batch=60 is too small.* least 64"),
        ({"data_dir": None}, "give data_dir"),
        ({"mixture": [Numbers(name="n")], "repeat": False}, "mixture is endless"),
        ({"mixture": [Pairs()]}, "named twice"),
        ({"mixture": [Pictures()]}, "pictures has not the same features"),
    ],
)
def test_knobs_that_cannot_be(folder, knobs, message):
    with pytest.raises(ValueError, match=message):
        batches(Pairs(), "train", **{"data_dir": folder, **SIZES, **knobs})


def test_pictures_cannot_be_packed(folder):
    with pytest.raises(ValueError, match=r"has 'image' \(image\): use batching"):
        batches(Pictures(), "train", data_dir=folder, batching="packed", **SIZES)


def test_errors_of_the_thread_reach_the_consumer(folder, monkeypatch):
    problem = Pairs()
    source = batches(problem, "train", data_dir=folder, **SIZES)
    monkeypatch.setattr(problem, "swap", lambda example: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(source)


def test_a_forgotten_source_ends_its_thread(folder):
    def running() -> int:
        return sum(thread.name == "t2t-batches" for thread in threading.enumerate())

    source = batches(Pairs(), "train", data_dir=folder, **SIZES)
    next(source)
    assert running() == 1
    del source
    gc.collect()
    deadline = time.monotonic() + 5
    while running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running() == 0
