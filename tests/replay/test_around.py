"""What stands around the service: patterns, hooks, shards, tensors, notices."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2t.bin import replay_show
from t2t.replay import limiter
from t2t.replay.client import Client
from t2t.replay.local import LocalClient
from t2t.replay.patterns import Condition, Pattern
from t2t.replay.sampler import Sampler
from t2t.replay.server import Server
from t2t.replay.service import Service, StoreConfig
from t2t.replay.shards import Shards
from t2t.replay.streams import DeadlinePassed, ReplayError
from t2t.replay.table import Slice, TableConfig
from t2t.replay.writer import Writer


def service(*tables: TableConfig) -> Service:
    return Service([StoreConfig(tables or (TableConfig("t", 4),), chunk_steps=4)])


def steps(count: int) -> list[dict[str, Any]]:
    return [{"n": np.int64(i), "reward": np.float32(i % 5 == 4)} for i in range(count)]


@contextlib.contextmanager
def servers(folder: Path, count: int, *tables: TableConfig):
    made = [
        Server(service(*tables), unix=folder / f"s{i}").start() for i in range(count)
    ]
    try:
        yield [Client(str(folder / f"s{i}")) for i in range(count)]
    finally:
        for server in made:
            server.stop()


def test_patterns_make_the_items():
    names = ("each", "third", "wins", "ends", "spaced")
    patterns = [
        Pattern("each", 2),
        Pattern("third", 1, when=(Condition("step", "==", 2, modulo=3),)),
        Pattern("wins", 3, 2.0, when=(Condition("reward", ">", 0),)),
        Pattern("ends", 2, when=(Condition("end", "==", 1),)),
        Pattern("spaced", 1, when=(Condition("since", ">=", 4),)),
    ]
    client = LocalClient(service(*(TableConfig(name, 4) for name in names)))
    with Writer(client, "each", patterns=patterns) as writer:
        for episode in (steps(7), steps(6)):
            for step in episode:
                writer.append(step)
            writer.end_episode()

    def lasts(table: str) -> list[int]:
        found = client.service.look(table, 99, "oldest")
        return [
            int(r[n - 1]) for r, n in zip(found.data["n"], found.lengths, strict=True)
        ]

    assert lasts("each") == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5]
    assert lasts("third") == [2, 5, 2, 5]
    assert lasts("wins") == [4, 4]
    assert lasts("ends") == [6, 5]
    assert lasts("spaced") == [3, 0, 4]
    with pytest.raises(ValueError, match="there is no comparison '='"):
        Condition("step", "=", 1)
    bad = Pattern("each", 1, when=(Condition("rewad", "==", 1),))
    with pytest.raises(ValueError, match="speaks of 'rewad': a step has n, reward"):
        Writer(client, "each", patterns=[bad]).append(steps(1)[0])


def test_hooks_are_told():
    told: list[tuple[str, int]] = []

    def hook(event: str, table: Any, places: np.ndarray) -> None:
        told.append((event, len(places)))

    client = LocalClient(service(TableConfig("t", 1, 3, hooks=(hook,))))
    with Writer(client, "t", patterns=[Pattern("t", 1)]) as writer:
        for step in steps(4):
            writer.append(step)
            writer.flush()
    keys = client.sample("t", 2).keys
    client.update("t", keys[:1], np.array([2.0]))
    client.delete("t", keys[:1])
    client.reset("t")
    inserts = [("insert", 1)] * 4 + [("delete", 1)]
    others = [("sample", 2), ("update", 1), ("delete", 1), ("delete", 2), ("reset", 0)]
    assert told == inserts + others


def test_shards_are_sampled_by_size(tmp_path):
    with servers(tmp_path, 2) as clients:
        shards = Shards(clients)
        with pytest.raises(DeadlinePassed, match="no shard has items"):
            shards.sample("t", 4, timeout=0.1)
        for count in (300, 100):  # writers take turns with the shards
            with Writer(shards.for_writer(), "t", patterns=[Pattern("t", 1)]) as writer:
                for step in steps(count):
                    writer.append(step)
        shards._looked.clear()
        batch = shards.sample("t", 4000)
        share = float((batch.shards == 0).mean())
        assert abs(share - 0.75) < 0.03
        np.testing.assert_allclose(batch.sampled.probabilities, 1 / 400)
        distinct = len(set(zip(batch.shards, batch.sampled.keys, strict=True)))
        assert shards.update("t", batch, np.ones(4000)) == distinct
        with pytest.raises(ReplayError, match="a shard has no table 'u'"):
            shards.sample("u", 1)


def test_batches_as_tensors(tmp_path):
    import tensorflow as tf

    from t2t.replay.dataset import Tensors, dataset

    with servers(tmp_path, 1) as (client,):
        with Writer(client, "t", patterns=[Pattern("t", 3)]) as writer:
            for step in steps(40):
                writer.append(step)
        tensors = Tensors(Sampler(client, "t", 16))
        batch = next(tensors)
        assert isinstance(batch["n"], tf.Tensor) and batch["n"].shape == (16, 4)
        last = batch["n"].numpy()[:, 2]
        assert (batch["n"].numpy()[:, 0] == last - 2).all()
        for array in (next(tensors)["n"], batch["n"]):  # memory of its own
            assert array.numpy()[:, 2].tolist() != [] and tensors.given == 2
        assert (batch["n"].numpy()[:, 2] == last).all()
        resumed = Tensors(Sampler(client, "t", 16))
        resumed.restore(tensors.state())
        assert resumed.given == 2
        before = client.info()["tables"]["t"]["samples"]
        for source in (client, LocalClient(service(TableConfig("t", 4)))):
            made = dataset(source, "t", 8, workers=2) if source is client else None
            if made is None:  # in this process, too
                with Writer(source, "t", patterns=[Pattern("t", 3)]) as writer:
                    for step in steps(40):
                        writer.append(step)
                made = dataset(source, "t", 8)
            else:  # to know the shapes takes no sample
                assert client.info()["tables"]["t"]["samples"] == before
            found = next(iter(made))
            assert found["n"].shape == (8, 4) and found["info/key"].dtype == tf.uint64
            assert made.element_spec["reward"].shape == (8, 4)


def test_what_came_too_late_comes_with_the_next_batch():
    config = TableConfig("t", 1, 50, sampler="fifo", limits=limiter.queue(40))
    client = LocalClient(service(dataclasses.replace(config, max_times_sampled=1)))
    sampler = Sampler(client, "t", 4, in_flight=1, timeout=0.05)
    got: list[int] = []
    with Writer(client, "t", patterns=[Pattern("t", 1)]) as writer:
        for i, step in enumerate(steps(40)):
            writer.append(step)
            if i % 3 == 2:
                writer.flush()
                with contextlib.suppress(DeadlinePassed):
                    got += next(sampler).data["n"].ravel().tolist()
    with contextlib.suppress(DeadlinePassed):
        while len(got) < 40:
            got += next(sampler).data["n"].ravel().tolist()
    assert got == list(range(40))


def test_staleness_is_told(tmp_path):
    with servers(tmp_path, 1) as (client,):
        with Writer(client, "t", patterns=[Pattern("t", 1)]) as writer:
            for step in steps(40):
                writer.append(step)
        sampler = Sampler(client, "t", 8, in_flight=3)
        first = next(sampler)
        shown = replay_show.dashboard("", {**client.info(), "time": 0.0})
        assert "staleness: 24 items asked for ahead; no priorities came back" in shown
        next(sampler)
        client.update("t", first.keys, np.ones(8))
        found = client.info()["tables"]["t"]["staleness"]
        # All that were drawn after it: three more are under way, and the second's.
        assert 0 <= found["median"] <= found["most"] <= 40
        shown = replay_show.dashboard("", {**client.info(), "time": 0.0})
        assert "samples after the draw (median of late)" in shown
        sampler.close()


def test_the_client_needs_no_tensorflow():
    modules = "client local sampler writer server service shards checkpoint packing"
    code = f"import sys; import {', '.join('t2t.replay.' + m for m in modules.split())}"
    code += "; print([m for m in sys.modules if m in ('tensorflow', 'keras', 'gin')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_threads_share_a_client_and_none_waits_for_another(tmp_path):
    with servers(tmp_path, 1) as (client,):
        waiting = threading.Thread(
            target=client.sample, args=("t", 1), kwargs={"timeout": 60.0}
        )
        waiting.start()
        while not client.info()["tables"]["t"]["waiting_samples"]:
            pass  # that info is answered is the point
        with Writer(client, "t", patterns=[Pattern("t", 1)]) as writer:
            writer.append(steps(1)[0])
        waiting.join(30.0)
        assert not waiting.is_alive()


def test_a_bad_table_is_told_to_its_first_writer(tmp_path):
    columns = {"x": Slice("reward", 4)}
    with servers(tmp_path, 1, TableConfig("t", 4, columns=columns)) as (client,):
        with pytest.raises(ReplayError, match="x shows no step of a window of 4"):
            Writer(client, "t").append(steps(1)[0])
        assert client.info()["tables"]["t"]["size"] == 0
    with pytest.raises(ValueError, match="'unifrom'. Did you mean 'uniform'"):
        TableConfig("t", sampler="unifrom")


def test_a_sampler_asks_ahead_and_keeps_its_deadline(tmp_path):
    with servers(tmp_path, 1) as (client,):
        sampler = Sampler(client, "t", 4, in_flight=3, workers=2, timeout=0.3)
        assert sampler.staleness == 24
        with pytest.raises(DeadlinePassed, match="no writer came in time"):
            next(sampler)
        with Writer(client, "t", patterns=[Pattern("t", 1)]) as writer:
            for step in steps(8):
                writer.append(step)
        for _ in range(20):
            with contextlib.suppress(DeadlinePassed):
                assert len(next(sampler).keys) == 4
        sampler.close()


def test_notices_are_fetched_when_they_are_newer(tmp_path):
    with servers(tmp_path, 1) as (client,):
        assert client.fetch("weights") is None
        arrays = {"a": np.arange(3), "b/c": np.ones((2, 0, 3), np.float32)}
        client.publish("weights", 7, arrays, {"loss": 0.5})
        version, found, meta = client.fetch("weights") or (0, {}, {})
        assert (version, meta) == (7, {"loss": 0.5})
        for name, value in arrays.items():
            np.testing.assert_array_equal(found[name], value)
        assert client.fetch("weights", newer_than=7) is None


def test_looking_is_not_sampling(tmp_path):
    with servers(tmp_path, 1, TableConfig("t", 1, max_times_sampled=1)) as (client,):
        with Writer(client, "t") as writer:
            for i, step in enumerate(steps(5)):
                writer.append(step)
                writer.create_item("t", priority=float(i % 3))
        orders = {
            order: client.look("t", 2, order=order).data["n"][:, 0].tolist()
            for order in ("newest", "oldest", "highest", "lowest")
        }
        assert orders == {
            "newest": [4, 3], "oldest": [0, 1], "highest": [2, 4], "lowest": [0, 3],
        }  # fmt: skip
        assert client.info()["tables"]["t"]["samples"] == 0
        with pytest.raises(ReplayError, match="there is no order 'new'"):
            client.look("t", 1, order="new")
