"""What inserts and samples cost, in CPU-microseconds an item.

The workload is that of a game: steps of 84 x 84 bytes and three scalars, appended one
at a time; an item over the last five with each step; prioritised, first in first out;
samples of 64. The server is another process; its CPU counts with the client's.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from t2t.replay.client import Client, wait_for
from t2t.replay.sampler import Sampler
from t2t.replay.server import Server
from t2t.replay.service import Service, StoreConfig
from t2t.replay.table import TableConfig
from t2t.replay.writer import Writer

WINDOW, BATCH, CHUNK, MAX_SIZE = 5, 64, 32, 50_000


class Cost(NamedTuple):
    """What a number of items took."""

    items: int
    seconds: float  # wall
    client: float  # CPU-seconds
    server: float

    @property
    def each(self) -> float:
        """CPU-microseconds of both sides, an item."""
        return (self.client + self.server) / max(1, self.items) * 1e6

    @property
    def rate(self) -> float:
        """Items a second of wall time."""
        return self.items / max(1e-9, self.seconds)


def game_step(number: int) -> dict[str, Any]:
    """A step like a game's; its pixels are not all alike."""
    pixels = np.full((84, 84), number % 251, np.uint8)
    pixels[number % 84] = 255
    return {
        "observation": pixels,
        "action": np.int32(number % 18),
        "reward": np.float32(1.0),
        "discount": np.float32(0.99),
    }


def _run_server(
    path: str, window: int, max_size: int, chunk: int, memory: Path | None
) -> None:
    table = TableConfig(
        "t", window, max_size, sampler="prioritized", remover="fifo", exponent=0.6
    )
    store = StoreConfig(
        (table,), chunk_steps=chunk, folder=memory, shared=memory is not None
    )
    Server(Service([store]), unix=path).run()


@contextmanager
def server(
    *,
    window: int = WINDOW,
    max_size: int = MAX_SIZE,
    chunk: int = CHUNK,
    shared: bool = False,
) -> Iterator[Client]:
    """A client of a server in a process of its own; `shared` memory or not."""
    root = "/dev/shm" if shared and Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="t2t-", dir=root) as folder:
        path = str(Path(folder) / "s")
        memory = Path(folder) / "memory" if shared else None
        process = multiprocessing.get_context("spawn").Process(
            target=_run_server,
            args=(path, window, max_size, chunk, memory),
            daemon=True,
        )
        process.start()
        client = wait_for(path, timeout=60.0)
        try:
            yield client
        finally:
            client.close()
            process.terminate()
            process.join()


def measure(client: Client, work: Callable[[], int]) -> Cost:
    """The cost of some work, which returns the number of its items."""
    before = client.info()["cpu_seconds"]
    wall, own = time.perf_counter(), time.process_time()
    items = work()
    own, wall = time.process_time() - own, time.perf_counter() - wall
    return Cost(items, wall, own, client.info()["cpu_seconds"] - before)


def insert(client: Client, items: int) -> int:
    """Appends steps, an item with each."""
    with Writer(client, "t") as writer:
        steps = [game_step(i) for i in range(64)]
        for i in range(items + WINDOW):
            writer.append(steps[i % 64])
            if i >= WINDOW:
                writer.create_item("t", length=WINDOW, priority=float(1 + i % 7))
    return items


def sample(client: Client, items: int, *, update: bool) -> int:
    """Draws batches; with `update` each item gets a new priority."""
    sampler = Sampler(client, "t", BATCH)
    for _ in range(items // BATCH):
        found = next(sampler)
        assert found.data["observation"].shape == (BATCH, WINDOW, 84, 84)
        if update:
            client.update("t", found.keys, found.priorities + 0.1)
    sampler.close()
    return items // BATCH * BATCH


def insert_by(client: Client, items: int, writers: int) -> int:
    """The same by several writers at once."""
    threads = [
        threading.Thread(target=insert, args=(Client(client.address), items // writers))
        for _ in range(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return items // writers * writers


def costs(items: int = 40_000, *, shared: bool = False) -> dict[str, Cost]:
    """{what: its cost}, one server for all."""
    with server(shared=shared) as client:
        insert(client, 2_000)  # pages are touched, code is warm
        return {
            "insert": measure(client, lambda: insert(client, items)),
            "insert, 4 writers": measure(client, lambda: insert_by(client, items, 4)),
            "sample": measure(client, lambda: sample(client, items, update=False)),
            "sample and update": measure(
                client, lambda: sample(client, items, update=True)
            ),
        }


def table(items: int = 40_000) -> str:
    """The costs as a table to print."""
    lines = [
        "84 x 84 bytes a step, items of 5 steps, batches of 64, a server process",
        f"{'':33} {'CPU-us an item':>15} {'server':>7} {'client':>7} {'items/s':>9}",
    ]
    for way, shared in (("socket", False), ("shared memory", True)):
        for name, cost in costs(items, shared=shared).items():
            sides = (x / cost.items * 1e6 for x in (cost.server, cost.client))
            server_us, client_us = sides
            lines.append(
                f"{way:14} {name:18} {cost.each:15.1f} {server_us:7.1f} "
                f"{client_us:7.1f} {cost.rate:9,.0f}"
            )
    return "\n".join(lines)
