"""The server's memory, written and read by clients of the same host."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2t.replay import frames
from t2t.replay.client import Client
from t2t.replay.sampler import Sampler
from t2t.replay.server import Server
from t2t.replay.service import Service, StoreConfig
from t2t.replay.streams import ReplayError
from t2t.replay.table import Slice, TableConfig
from t2t.replay.writer import Writer

CHUNK, WIDTH = 4, 64


@contextlib.contextmanager
def serving(folder: Path, max_size: int = 40, **kwargs: Any):
    columns = {"x": Slice("x", 1, 3), "n": Slice("n")}
    table = TableConfig("t", 3, max_size, columns=columns)
    service = Service(
        [
            StoreConfig(
                (table,), chunk_steps=CHUNK, writers=4, folder=folder / "memory",
                shared=True,
            )
        ],
        **kwargs,
    )  # fmt: skip
    server = Server(service, unix=folder / "s").start()
    try:
        yield server, Client(str(folder / "s"))
    finally:
        server.stop()


def write(
    client: Any,
    writer_number: int,
    count: int,
    *,
    shared: bool = True,
    stop: threading.Event | None = None,
) -> None:
    """``count`` steps of one writer, fewer where ``stop`` is set before."""
    with Writer(client, "t", shared=shared) as writer:
        for i in range(count):
            if stop is not None and stop.is_set():
                break
            number = writer_number * 1_000_000 + i
            x = np.full(WIDTH, number, np.int64)
            writer.append({"x": x, "n": np.int64(number)})
            if i >= 2:
                writer.create_item("t", length=3)


def whole(batch: Any) -> None:
    """Every window is three steps of one writer, and its columns agree."""
    numbers = batch.data["n"]
    assert (np.diff(numbers, axis=1) == 1).all()
    assert (batch.data["x"] == numbers[:, 1:, None]).all()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, client):
        write(client, 1, 30)
        write(client, 2, 11, shared=False)
        for shared in (True, False):
            sampler = Sampler(client, "t", 16, shared=shared, in_flight=3)
            for _ in range(10):
                batch = next(sampler)
                assert batch.data["x"].shape == (16, 2, WIDTH)
                whole(batch)
            sampler.close()
        store = server.service.stores[0]
        assert store is not None
        while server.call(lambda: len(server.connections)) > 1:
            time.sleep(0.01)
        used = {int(s) for r in server.service.table("t").rows for s in r // CHUNK}
        taken = {int(s) for s in np.flatnonzero(store.references)}
        assert taken <= used | {0}


def test_a_sampler_that_came_first_finds_the_memory_later(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, client):
        sampler = Sampler(client, "t", 4, timeout=30.0)
        found: list[Any] = []
        early = threading.Thread(target=lambda: found.append(next(sampler)))
        early.start()
        while not client.info()["tables"]["t"]["waiting_samples"]:
            time.sleep(0.01)
        write(client, 1, 30)
        early.join(30)
        assert sampler._mapping is not None
        for batch in (*found, *(next(sampler) for _ in range(6))):
            whole(batch)
        sampler.close()


def test_a_chunk_that_is_being_gathered_is_not_written_to(tmp_path: Path) -> None:
    """A table of few items, written over all the time, read by two samplers."""
    with serving(tmp_path, max_size=12) as (_, client):
        write(client, 0, 20)
        stop = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            writing = [
                pool.submit(write, Client(client.address), n, 1_000_000, stop=stop)
                for n in (1, 2)
            ]
            try:
                samplers = [Sampler(client, "t", 8, in_flight=2) for _ in range(2)]
                for _ in range(100):
                    for sampler in samplers:
                        whole(next(sampler))
                assert not any(one.done() for one in writing)
            finally:
                stop.set()
        for one in writing:
            one.result()


def _write_and_hang(address: str, ready: Any) -> None:
    writer = Writer(Client(address), "t")
    for i in range(CHUNK * 3 + 2):
        writer.append({"x": np.full(WIDTH, i, np.int64), "n": np.int64(i)})
    ready.set()
    time.sleep(600)


def test_a_writer_that_is_killed_leaves_no_slot_behind(tmp_path: Path) -> None:
    with serving(tmp_path, linger=0.0) as (server, client):
        write(client, 0, 4)
        store = server.service.stores[0]
        assert store is not None
        context = multiprocessing.get_context("spawn")
        for _ in range(3):
            ready = context.Event()
            process = context.Process(
                target=_write_and_hang, args=(client.address, ready)
            )
            process.start()
            assert ready.wait(60)
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
        while client.info()["connections"] > 1:
            time.sleep(0.01)
        while server.call(lambda: server.service.streams):
            time.sleep(0.01)
        write(client, 1, 50)


def test_a_slot_that_was_not_granted_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, client):
        write(client, 0, 4)
        writer = Writer(client, "t")
        step = {"x": np.zeros(WIDTH, np.int64), "n": np.int64(0)}
        writer.append(step)
        line: Any = writer._connection
        meta = {"sequence": 1, "steps": 1, "items": [], "slot": 0}
        line.send(frames.APPEND, meta, [])
        with pytest.raises((ConnectionError, ReplayError)):
            line.receive(timeout=5)


def test_a_column_may_have_any_name(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, client):
        name = "../../n"
        columns = {"x": np.zeros(WIDTH, np.int64), "n": np.int64(0), name: np.int64(7)}
        with Writer(client, "t") as writer:
            writer.append(columns)
        assert {p.name for p in (tmp_path / "memory" / "0").iterdir()} == {
            "000.column", "001.column", "002.column",
        }  # fmt: skip
