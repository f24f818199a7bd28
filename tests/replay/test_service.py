"""The service against a model of dicts and lists, and what it promises writers."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from t2t.replay import limiter
from t2t.replay.columns import BadStep, Column, check_step, from_plain, plain
from t2t.replay.service import Service, StoreConfig
from t2t.replay.streams import DeadlinePassed, Items, ReplayError, Stream
from t2t.replay.table import Slice, TableConfig

SIGNATURE = {"writer": Column((), "int64"), "step": Column((2,), "int64")}
CHUNK = 3


def service_of(*tables: TableConfig, **kwargs) -> Service:
    return Service(
        [StoreConfig(tables, signature=SIGNATURE, chunk_steps=CHUNK, **kwargs)]
    )


class Feeder:
    """A writer's side without sockets: stamped steps, chunk by chunk."""

    def __init__(self, service: Service, number: int) -> None:
        self.service, self.number, self.name = service, number, f"w{number}"
        first = next(iter(service._store_of))
        self.stream: Stream = service.open_stream(self.name, first, SIGNATURE)

    def chunk(self, steps: int) -> None:
        slot = self.service.lease(self.stream)
        store = self.service.stores[0]
        assert store is not None
        views = store.views(slot, steps)
        numbers = np.arange(self.stream.steps, self.stream.steps + steps)
        views["writer"][:] = self.number
        views["step"][:] = numbers[:, None]
        self.service.commit(self.stream, slot, steps)

    def items(self, *groups: Items) -> list:
        done: list = []
        self.service.insert(self.stream, list(groups), done.append)
        return done


def one(table: str, end: int, length: int, priority: float = 1.0) -> Items:
    return Items(table, np.array([end]), np.array([length]), np.array([priority]))


def sample(service: Service, table: str, n: int, timeout: float = 0.0) -> Any:
    answers: list = []
    service.sample(table, n, timeout=timeout, done=answers.append)
    service.tick()
    return answers[0] if answers else None


class Against(RuleBasedStateMachine):
    """Three tables over one store; what is sampled is what was written."""

    packing: dict[str, str] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.service = service_of(
            TableConfig("first", 4, 5, sampler="fifo", remover="fifo"),
            TableConfig("least", 4, 4, sampler="min_heap", remover="max_heap"),
            TableConfig("any", 2, 6, sampler="prioritized", remover="uniform"),
            max_steps=60,
            writers=4,
            packing=self.packing,
        )
        self.feeders = [Feeder(self.service, n) for n in range(2)]
        # table -> key -> (writer, end, length, priority)
        self.model: dict[str, dict[int, tuple[int, int, int, float]]] = {
            name: {} for name in ("first", "least", "any")
        }

    @rule(
        writer=st.integers(0, 1),
        steps=st.integers(1, CHUNK),
        table=st.sampled_from(["first", "least", "any"]),
        length=st.integers(1, 4),
        back=st.integers(0, 2),
        priority=st.sampled_from([0.0, 1.0, 2.5]),
    )
    def write(self, writer, steps, table, length, back, priority):
        feeder = self.feeders[writer]
        feeder.chunk(steps)
        end = feeder.stream.steps - back
        length = min(length, end, self.service.table(table).config.window)
        if length < 1:
            feeder.items()
            return
        assert feeder.items(one(table, end, length, priority)) == [None]
        key = self._newest(table)
        model = self.model[table]
        alive = set(self.service.table(table).keys.tolist())
        for gone in set(model) - alive:
            del model[gone]
        model[key] = (writer, end, length, priority)

    @precondition(lambda self: any(self.model.values()))
    @rule(data=st.data(), priority=st.sampled_from([0.0, 0.5, 3.0]))
    def update(self, data, priority):
        table = data.draw(st.sampled_from([t for t in self.model if self.model[t]]))
        key = data.draw(st.sampled_from(sorted(self.model[table])))
        keys = np.array([key, 10**6, key], np.uint64)  # twice, and one unknown
        values = np.array([9.0, 1.0, priority])
        assert self.service.update(table, keys, values) == 1
        self.model[table][key] = (*self.model[table][key][:3], priority)

    @precondition(lambda self: any(self.model.values()))
    @rule(data=st.data())
    def delete(self, data):
        table = data.draw(st.sampled_from([t for t in self.model if self.model[t]]))
        key = data.draw(st.sampled_from(sorted(self.model[table])))
        assert self.service.delete(table, np.array([key], np.uint64)) == 1
        del self.model[table][key]

    @rule(table=st.sampled_from(["first", "least", "any"]))
    def reset(self, table):
        self.service.reset(table)
        self.model[table].clear()

    @precondition(lambda self: any(self.model.values()))
    @rule(data=st.data(), n=st.integers(1, 5))
    def look(self, data, n):
        table = data.draw(st.sampled_from([t for t in self.model if self.model[t]]))
        sampled = sample(self.service, table, n)
        for i, key in enumerate(sampled.keys.tolist()):
            writer, end, length, priority = self.model[table][key]
            assert sampled.priorities[i] == priority
            assert sampled.lengths[i] == length
            assert (sampled.data["writer"][i] == writer).all()
            steps = sampled.data["step"][i, :length]
            expected = np.arange(end - length, end)[:, None]
            np.testing.assert_array_equal(steps, np.broadcast_to(expected, steps.shape))
        if table == "first":
            assert sampled.keys[0] == next(iter(self.model[table]))
        if table == "least":
            assert sampled.priorities[0] == min(
                v[3] for v in self.model[table].values()
            )

    @invariant()
    def tables_hold_what_the_model_holds(self):
        for name, items in self.model.items():
            table = self.service.table(name)
            assert set(table.keys[table.occupied()].tolist()) == set(items)
            assert table.size == len(items) <= table.config.max_size

    @invariant()
    def every_slot_is_accounted_for(self):
        store = self.service.stores[0]
        assert store is not None
        expected = np.zeros(store.slots, np.int64)
        for table in self.service.tables.values():
            for row in table.rows[table.occupied()]:
                expected[np.unique(row // store.steps)] += 1
        for stream in self.service.streams.values():
            for _, _, slot in stream.chunks:
                expected[slot] += 1
        np.testing.assert_array_equal(store.references, expected)
        assert store.free == (expected == 0).sum()

    def _newest(self, table: str) -> int:
        found = self.service.table(table)
        return int(found.keys[found.occupied()[-1]])


class Packed(Against):
    """The same with a column that is kept compressed."""

    packing = {"step": "delta+lz4"}


TestPacked = Packed.TestCase
TestPacked.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestAgainst = Against.TestCase
TestAgainst.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_window_shows_other_steps_of_each_column():
    columns = {"now": Slice("step", 0, 1), "next": Slice("step", 1, 2)}
    service = service_of(TableConfig("t", 2, columns=columns))
    feeder = Feeder(service, 0)
    feeder.chunk(3)
    feeder.chunk(3)
    feeder.items(one("t", 4, 2))  # over the border of two chunks
    found = sample(service, "t", 1)
    assert found.data["now"].tolist() == [[[2, 2]]]
    assert found.data["next"].tolist() == [[[3, 3]]]


def test_inserts_and_samples_wait_for_each_other():
    limits = limiter.ratio(2.0, min_size=1, error_buffer=4)
    service = service_of(TableConfig("t", 1, limits=limits))
    feeder = Feeder(service, 0)
    waiting = []
    for _ in range(4):
        feeder.chunk(1)
        waiting.append(feeder.items(one("t", feeder.stream.steps, 1)))
    assert waiting == [[None], [None], [None], []]
    early = sample(service, "t", 9, timeout=60)  # 2·3 - (2 - 4) = 8 at first
    assert waiting[3] == [None]  # the samples let the insert in
    assert len(early.keys) == 9
    late = sample(service, "t", 1, timeout=0.0)
    assert isinstance(late, DeadlinePassed) or len(late.keys) == 1


def test_a_sample_past_its_deadline_is_told_why():
    service = service_of(TableConfig("t", 1, limits=limiter.min_size(2)))
    feeder = Feeder(service, 0)
    feeder.chunk(1)
    feeder.items(one("t", 1, 1))
    late = sample(service, "t", 1)
    assert "has 1 items of the 2 that sampling begins with" in str(late)


def test_items_leave_after_so_many_samples():
    config = TableConfig(
        "t", 1, sampler="fifo", limits=limiter.queue(10), max_times_sampled=1
    )
    service = service_of(config)
    feeder = Feeder(service, 0)
    feeder.chunk(3)
    feeder.items(Items("t", np.arange(1, 4), np.ones(3, int), np.ones(3)))
    found = sample(service, "t", 3)
    assert found.data["step"][:, 0, 0].tolist() == [0, 1, 2]
    assert service.table("t").size == 0
    assert isinstance(sample(service, "t", 1), DeadlinePassed)


def test_what_is_sent_again_is_taken_once():
    """A writer whose connection went away in the middle of a message."""
    limits = limiter.ratio(1.0, min_size=1, error_buffer=2)
    service = service_of(TableConfig("t", 1, limits=limits))
    feeder = Feeder(service, 0)
    group = Items("t", np.arange(1, 4), np.ones(3, int), np.ones(3))
    for _ in range(2):
        feeder.chunk(3)
        done = feeder.items(group)
        group = Items("t", np.arange(4, 7), np.ones(3, int), np.ones(3))
    assert not done  # only part of the second message got in
    taken = service.table("t").limiter.inserts
    service.lose_stream(feeder.name)
    again = Feeder(service, 0)
    assert again.stream.sequence == 1 and again.stream.begun == taken - 3
    assert again.stream.chunk_taken and again.stream.steps == 6
    done = again.items(Items("t", np.arange(4, 7), np.ones(3, int), np.ones(3)))
    for _ in range(20):
        sample(service, "t", 1)
    assert done == [None]
    assert service.table("t").limiter.inserts == 6


def test_items_go_when_chunks_run_out():
    service = service_of(TableConfig("t", 1, 1000), max_steps=12, writers=1)
    feeder = Feeder(service, 0)
    for _ in range(20):
        feeder.chunk(3)
        feeder.items(one("t", feeder.stream.steps, 1))
    table = service.table("t")
    assert table.evicted > 0 and table.size > 0
    assert "evicted" in table.info()


def test_max_is_the_greatest_priority_so_far():
    service = service_of(TableConfig("t", 1, sampler="max_heap"))
    feeder = Feeder(service, 0)
    for priority in (5.0, np.nan):
        feeder.chunk(1)
        feeder.items(one("t", feeder.stream.steps, 1, priority))
    table = service.table("t")
    assert table.priorities[table.occupied()].tolist() == [5.0, 5.0]


def test_steps_must_be_of_the_signature():
    with pytest.raises(BadStep, match=r"step is int64\[3\]: expected int64\[2\]"):
        check_step({"writer": 1, "step": np.zeros(3, int)}, SIGNATURE)
    with pytest.raises(BadStep, match="missing \\['step'\\]"):
        check_step({"writer": 1}, SIGNATURE)
    assert from_plain(plain(SIGNATURE)) == SIGNATURE
    with pytest.raises(ValueError, match="not a dtype of plain numbers"):
        from_plain({"x": [[1], "object"]})


def test_what_a_service_refuses():
    with pytest.raises(ReplayError, match="same name"):
        service_of(TableConfig("t"), TableConfig("t"))
    with pytest.raises(ValueError, match="shows no step of a window of 2"):
        service_of(TableConfig("t", 2, columns={"a": Slice("step", 2, 3)}))
    with pytest.raises(ValueError, match="shows 'reward', but a step has step, writer"):
        service_of(TableConfig("t", 2, columns={"a": Slice("reward")}))
    service = service_of(TableConfig("t"))
    with pytest.raises(ReplayError, match="there is no table 'u' here: t"):
        service.sample("u", 1, timeout=0, done=print)
    with pytest.raises(ReplayError, match="takes steps of"):
        service.open_stream("w", "t", {"x": Column((), "int64")})
    feeder = Feeder(service, 0)
    feeder.chunk(1)
    with pytest.raises(ReplayError, match="takes windows of 1 to 1 steps"):
        feeder.items(one("t", 2, 1))
