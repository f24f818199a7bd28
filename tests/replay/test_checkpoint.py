"""A restored service goes on as the one that was saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_service import SIGNATURE, Feeder, one, sample

from t2t.replay.checkpoint import Archive, freeze
from t2t.replay.selectors import SELECTORS
from t2t.replay.service import Service, StoreConfig
from t2t.replay.streams import ReplayError
from t2t.replay.table import TableConfig


def service_of(max_size: int = 20, slots: int = 40, **kwargs: Any) -> Service:
    tables = tuple(
        TableConfig(name, 3, max_size, sampler=name, remover=remover)
        for name, remover in zip(SELECTORS, reversed(SELECTORS), strict=True)
    )
    return Service(
        [
            StoreConfig(
                tables, SIGNATURE, chunk_steps=2, max_steps=2 * slots, writers=2,
                **kwargs,
            )
        ],
        seed=3,
    )  # fmt: skip


def fill(service: Service, feeders: list[Feeder], turns: range) -> None:
    rng = np.random.default_rng(turns.start)
    for turn in turns:
        feeder = feeders[turn % 2]
        feeder.chunk(2)
        for name in SELECTORS:
            priority = float(rng.integers(1, 9))
            feeder.items(one(name, feeder.stream.steps, 2, priority))


def save(service: Service, archive: Archive) -> int:
    frozen = freeze(service)
    number = archive.write(frozen)
    frozen.thaw()
    return number


def later(service: Service, feeders: list[Feeder]) -> list[np.ndarray]:
    """What the next draws and inserts give."""
    found = []
    for turns in (range(60, 62), range(62, 80)):
        for name in SELECTORS:
            drawn = sample(service, name, 7)
            found += [drawn.keys, drawn.probabilities, drawn.data["step"]]
        fill(service, feeders, turns)
    return found


@pytest.mark.parametrize("kept", ["memory", "disk", "packed"])
def test_it_goes_on_exactly(tmp_path, kept):
    kwargs: dict[str, Any] = {"packing": {"step": "zstd"}} if kept == "packed" else {}
    first, second = (
        {"folder": tmp_path / f"columns{i}"} if kept == "disk" else kwargs
        for i in range(2)
    )
    service = service_of(**first)
    feeders = [Feeder(service, n) for n in range(2)]
    fill(service, feeders, range(60))
    save(service, Archive(tmp_path))
    again = service_of(**second)
    Archive(tmp_path).restore(again)
    resumed = [Feeder(again, n) for n in range(2)]
    store, before = again.stores[0], service.stores[0]
    assert store is not None and before is not None
    np.testing.assert_array_equal(store.references, before.references)
    assert sorted(store._free) == sorted(before._free)
    for expected, found in zip(
        later(service, feeders), later(again, resumed), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_the_next_one_writes_new_chunks_only(tmp_path):
    service, archive = service_of(slots=200), Archive(tmp_path, keep=3)
    feeders = [Feeder(service, n) for n in range(2)]
    fill(service, feeders, range(20))
    save(service, archive)
    first = {p.name: p.stat().st_size for p in tmp_path.glob("segment-*")}
    fill(service, feeders, range(20, 22))
    save(service, archive)
    sizes = {p.name: p.stat().st_size for p in tmp_path.glob("segment-*")}
    (new,) = set(sizes) - set(first)
    assert sizes[new] == 2 * 2 * 24  # chunks × steps × bytes
    save(service, archive)
    assert {p.name for p in tmp_path.glob("segment-*")} == set(sizes)


def test_a_chunk_that_is_being_filled_is_written_once_it_is_whole(tmp_path):
    """It was not when the first checkpoint saw it; the second must not think so."""
    service, archive = service_of(), Archive(tmp_path)
    feeder = Feeder(service, 0)
    slot = service.lease(feeder.stream)
    save(service, archive)
    store = service.table("fifo").store
    for name, value in (("writer", 0), ("step", 7)):
        store.views(slot, 2)[name][:] = value
    service.commit(feeder.stream, slot, 2)
    feeder.items(one("fifo", 2, 2))
    save(service, archive)
    again = service_of()
    archive.restore(again)
    assert (sample(again, "fifo", 1).data["step"][:, :2] == 7).all()


def test_what_a_killed_process_left_half_written_does_no_harm(tmp_path):
    service, archive = service_of(), Archive(tmp_path)
    fill(service, [Feeder(service, n) for n in range(2)], range(10))
    save(service, archive)
    left = [tmp_path / "segment-00000009.tmp", tmp_path / "replay-00000002.npz.tmp"]
    for path in left:
        path.write_bytes(b"half")
    (tmp_path / "segment-00000009").touch()
    fill(service, [Feeder(service, n) for n in range(2)], range(10, 20))
    assert save(service, archive) == 2
    assert archive.restore(service_of()) == 2
    assert not any(path.exists() for path in left)


def test_old_ones_go_and_take_their_segments_along(tmp_path):
    service, archive = service_of(), Archive(tmp_path, keep=2)
    feeders = [Feeder(service, n) for n in range(2)]
    for k in range(8):
        fill(service, feeders, range(20 * k, 20 * k + 20))
        save(service, archive)
    assert archive.numbers() == [7, 8]
    named = set(archive.read(7)[1]["counts"]) | set(archive.read(8)[1]["counts"])
    files = {str(int(p.name.split("-")[1])) for p in tmp_path.glob("segment-*")}
    assert files == named and len(files) <= 4
    again = service_of()
    assert archive.restore(again, 7) == 7


def test_a_table_of_another_size_takes_the_newest(tmp_path):
    service = service_of()
    feeders = [Feeder(service, n) for n in range(2)]
    fill(service, feeders, range(60))
    save(service, Archive(tmp_path))
    for size in (5, 50):
        again = service_of(size, slots=60)
        Archive(tmp_path).restore(again)
        table = again.table("fifo")
        assert table.size == min(size, service.table("fifo").size)
        assert table.limiter.inserts == service.table("fifo").limiter.inserts
        last = sample(again, "lifo", 1)
        expected = sample(service, "lifo", 1)
        np.testing.assert_array_equal(last.data["step"], expected.data["step"])


def test_damage_is_told(tmp_path):
    with pytest.raises(ReplayError, match="holds no replay checkpoint"):
        Archive(tmp_path).restore(service_of())
    service = service_of()
    fill(service, [Feeder(service, n) for n in range(2)], range(10))
    save(service, Archive(tmp_path))
    (segment,) = tmp_path.glob("segment-*")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])
    with pytest.raises(ReplayError, match="is missing or not of"):
        Archive(tmp_path).restore(service_of())
    segment.write_bytes(whole)
    (path,) = tmp_path.glob("replay-*.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ReplayError, match="is no replay checkpoint"):
        Archive(tmp_path).restore(service_of())
