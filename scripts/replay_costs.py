"""What a replay server costs, measured here and now: for `replay_limits`.

`bookkeeping` and `operations` look at a table alone, without sockets and without the
steps themselves. `requests` asks a server in another process, over TCP, and fits its
CPU time as so much a message, so much an item, so much a byte. `live` has many clients
ask at once, each waiting for its answer and then a while: what the simulation has to
predict.
"""

from __future__ import annotations

import contextlib
import heapq
import multiprocessing
import resource
import selectors
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from t2t.replay import columns, frames
from t2t.replay.chunks import ChunkStore
from t2t.replay.client import Client, Connection, sampled
from t2t.replay.columns import Column
from t2t.replay.server import Server, allow_connections
from t2t.replay.service import Service, StoreConfig
from t2t.replay.table import Table, TableConfig

SPAWN = multiprocessing.get_context("spawn")
PLACE = 72  # bytes of a table's arrays for each place, and 8 more a step of the window
# Bytes of a selector for each place, when full: arrays, then Python objects (an entry
# of a list 8, a tuple 64, an int 32, a float 24).
SELECTOR_BYTES = {
    "uniform": 16,
    "epoch": 16,
    "prioritized": 32,  # 48 just above a power of two
    "fifo": 8 + 10,
    "lifo": 8 + 10,
    "min_heap": 16 + 8 + 64 + 24 + 2 * 32,
    "max_heap": 16 + 8 + 64 + 24 + 2 * 32,
}


class Bytes(NamedTuple):
    """Of bookkeeping, an item."""

    formula: float
    traced: float  # by tracemalloc
    resident: float  # by the process's size


class Micros(NamedTuple):
    """CPU-microseconds an item, in a table that is full."""

    insert: float  # 32 at a time, the remover is fifo
    replace: float  # the same, and the selector is the remover
    sample: float  # 64 at a time, not gathered
    update: float  # 64 at a time


def table_of(sampler: str, remover: str, size: int) -> Table:
    """A full table of items of one step, all over a few chunks."""
    store = ChunkStore({"x": Column((), "uint8")}, slots=64, steps=32)
    config = TableConfig("t", 1, size, sampler=sampler, remover=remover, exponent=0.6)
    table, rng = Table(config, store), np.random.default_rng(0)
    for start in range(0, size, 10_000):
        n = min(10_000, size - start)
        table.insert_restored(*_items(n, rng))
    return table


def _items(n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    rows = rng.integers(0, 64 * 32, (n, 1))
    return rows, np.ones(n, np.int64), rng.random(n) + 0.1


def bookkeeping(selector: str) -> Bytes:
    """Measured in a process of its own, between tables of 2^17 and 2^18 places."""
    sizes = ((1 << 17) - 1, (1 << 18) - 1)
    with SPAWN.Pool(1) as pool:
        resident = pool.apply(_grown, (selector, sizes, False))
        traced = pool.apply(_grown, (selector, sizes, True))
    formula = PLACE + 8 + SELECTOR_BYTES[selector] + SELECTOR_BYTES["fifo"]
    return Bytes(formula, traced, resident)


def _grown(selector: str, sizes: tuple[int, int], traced: bool) -> float:
    """Bytes by which an item more makes this process grow."""
    kept, found = [], []
    if traced:
        tracemalloc.start()
    for size in sizes:
        before = _size(traced)
        kept.append(table_of(selector, "fifo", size))
        found.append(_size(traced) - before)
    tracemalloc.stop()
    return (found[1] - found[0]) / (sizes[1] - sizes[0])


def _size(traced: bool) -> int:
    if traced:
        return tracemalloc.get_traced_memory()[0]
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def operations(selector: str, size: int, *, seconds: float = 0.15) -> Micros:
    """Of a table of so many items; each measured for so long."""
    rng = np.random.default_rng(0)
    table = table_of(selector, "fifo", size)
    insert = _each(lambda: table.insert(*_items(32, rng)), 32, seconds)
    sample = _each(lambda: table.sample(64, gather=False), 64, seconds)
    keys, values = table.sample(64, gather=False).keys, rng.random(64) + 0.1
    update = _each(lambda: table.update(keys, values), 64, seconds)
    other = table_of("fifo", selector, size)
    replace = _each(lambda: other.insert(*_items(32, rng)), 32, seconds)
    return Micros(insert, replace, sample, update)


def _each(call: Callable[[], Any], items: int, seconds: float) -> float:
    """CPU-microseconds an item."""
    call()
    begun, calls = time.process_time(), 0
    until = begun + seconds
    while time.process_time() < until:
        call()
        calls += 1
    return (time.process_time() - begun) / (calls * items) * 1e6


# -- a server ------------------------------------------------------------------------


def _serve(line: Any, width: int) -> None:
    tables = (TableConfig("t", 1, 20_000),)
    signature = {"x": Column((width,), "uint8")}
    store = StoreConfig(
        tables, signature, chunk_steps=64, max_steps=64_000, writers=8_000
    )
    if width > 10_000:
        store = StoreConfig(tables, signature, chunk_steps=64, max_steps=20_000)
    server = Server(Service([store]), tcp=("127.0.0.1", 0))
    line.send(server.port)
    server.run()


@contextlib.contextmanager
def server(width: int) -> Iterator[str]:
    """The address of a server of items of one step of `width` bytes."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_serve, args=(theirs, width), daemon=True)
    process.start()
    try:
        yield f"127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


class Writing:
    """A connection that appends items without a `Writer`, a message at a time."""

    def __init__(self, line: Connection, name: str, width: int) -> None:
        self.line, self.sequence, self.steps = line, 0, 0
        self.row = np.random.default_rng(0).integers(0, 256, (64, width), np.uint8)
        signature = columns.plain({"x": Column((width,), "uint8")})
        line.ask(frames.OPEN, {"writer": name, "table": "t", "signature": signature})

    def insert(self, n: int) -> None:
        """Sends n steps and an item of each; the answer is yet to be received."""
        ends = np.arange(self.steps + 1, self.steps + n + 1)
        self.sequence, self.steps = self.sequence + 1, self.steps + n
        meta = {"sequence": self.sequence, "steps": n, "items": [["t", n]]}
        arrays = [self.row[:n], ends, np.ones(n, np.int64), np.ones(n)]
        self.line.send(frames.APPEND, meta, arrays)

    def sample(self, n: int) -> None:
        self.line.send(frames.SAMPLE, {"table": "t", "n": n, "timeout": 60.0})

    def receive(self, inserted: bool) -> None:
        answer = self.line.receive(timeout=60.0)
        if not inserted:
            sampled(*answer)


class Cost(NamedTuple):
    """CPU-seconds of a request: message + items x item + bytes x byte."""

    message: float
    item: float
    byte: float

    def of(self, items: int, width: int) -> float:
        return self.message + items * (self.item + width * self.byte)


def requests(seed: int) -> dict[str, Cost]:
    """{'insert' or 'sample': what the server spends}, fitted by least squares."""
    rows: dict[str, list[tuple[list[float], float]]] = {"insert": [], "sample": []}
    for width in (100, 1_000, 20_000):
        with server(width) as address:
            client = Client(address)
            writing = Writing(Connection(address), f"costs-{seed}", width)
            for inserted in (True, False) * 2:  # the first time warms up
                for n in (1, 8, 64):
                    count = 400 if width * n < 100_000 else 60
                    spent = _spent(client, writing, inserted, n, count)
                    name = "insert" if inserted else "sample"
                    rows[name].append(([1.0, n, n * width], spent))
    return {name: _fit(found[:]) for name, found in rows.items()}


def _spent(
    client: Client, writing: Writing, inserted: bool, n: int, count: int
) -> float:
    """CPU-seconds of the server, a request."""
    before = client.info()["cpu_seconds"]
    for _ in range(count):
        (writing.insert if inserted else writing.sample)(n)
        writing.receive(inserted)
    return (client.info()["cpu_seconds"] - before) / count


def _fit(rows: list[tuple[list[float], float]]) -> Cost:
    """Relative errors count, or the largest requests would decide alone."""
    x = np.array([features for features, _ in rows])
    y = np.array([spent for _, spent in rows])
    kept, found = [0, 1, 2], np.zeros(3)
    while True:  # no cost is below nothing
        found[:] = 0.0
        found[kept] = np.linalg.lstsq(
            x[:, kept] / y[:, None], np.ones(len(y)), rcond=None
        )[0]
        if (found >= 0).all():
            return Cost(*found.tolist())
        kept.remove(int(found.argmin()))


# -- many clients at once ------------------------------------------------------------


class Live(NamedTuple):
    """What some clients of one server saw."""

    rate: float  # requests a second
    latencies: np.ndarray  # seconds, from when a request was due to its answer
    server: float  # cores
    client: float  # CPU-seconds of the load's process, a request
    share: float  # of a core, what each of two busy processes got before and after


def live(clients: int, *, width: int, think: float, seconds: float, seed: int) -> Live:
    """Each inserts an item or samples one, in turn, and thinks in between."""
    with server(width) as address, SPAWN.Pool(1) as pool:
        first = Writing(Connection(address), "first", width)
        for _ in range(40):
            first.insert(64)
            first.receive(True)
        before = share_of_a_core()
        found = pool.apply(_load, (address, clients, width, think, seconds, seed))
        return Live(*found, (before + share_of_a_core()) / 2)


def _load(
    address: str, clients: int, width: int, think: float, seconds: float, seed: int
) -> tuple[float, np.ndarray, float, float]:
    allow_connections()
    rng, poll = np.random.default_rng(seed), selectors.DefaultSelector()
    lines = []
    for number in range(clients):
        lines.append(
            Writing(Connection(address, timeout=60.0), f"live-{number}", width)
        )
        poll.register(lines[-1].line._socket, selectors.EVENT_READ, number)
    asked, turns = np.zeros(clients), np.zeros(clients, np.int64)
    begun = time.monotonic()
    due = [(begun + x, n) for n, x in enumerate(rng.exponential(think, clients))]
    heapq.heapify(due)
    waits: list[float] = []
    client = Client(address)
    server_cpu, own_cpu = client.info()["cpu_seconds"], time.process_time()
    while (now := time.monotonic()) < begun + seconds:
        while due and due[0][0] <= now:
            asked[(number := due[0][1])] = due[0][0]
            heapq.heappop(due)
            (lines[number].insert if turns[number] % 2 == 0 else lines[number].sample)(
                1
            )
        wait = max(0.0, due[0][0] - now) if due else 0.1
        for key, _ in poll.select(min(wait, 0.1)):
            number = key.data
            lines[number].receive(inserted=turns[number] % 2 == 0)
            turns[number] += 1
            now = time.monotonic()
            waits.append(now - float(asked[number]))
            heapq.heappush(due, (now + rng.exponential(think), number))
    took = time.monotonic() - begun
    server_cpu = client.info()["cpu_seconds"] - server_cpu
    own_cpu = time.process_time() - own_cpu
    for line in lines:
        line.line.close()
    late = np.array(waits[len(waits) // 5 :])
    return len(waits) / took, late, server_cpu / took, own_cpu / max(1, len(waits))


def share_of_a_core(seconds: float = 1.0) -> float:
    """Of a core, what this machine gives each of two processes that are busy."""
    with SPAWN.Pool(2) as pool:
        pool.map(abs, [0, 0])  # both are there
        return float(np.mean(pool.map(_busy, [seconds, seconds], chunksize=1)))


def _busy(seconds: float) -> float:
    wall, own = time.monotonic(), time.process_time()
    while time.monotonic() - wall < seconds:
        sum(range(1000))
    return (time.process_time() - own) / (time.monotonic() - wall)
