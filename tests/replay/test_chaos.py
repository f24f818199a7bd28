"""kill -9 of servers, writers and readers, again and again: nothing twice, nothing lost
that was acknowledged and is in a checkpoint, no slot leaked, no call that hangs, and
whoever lives goes on by itself."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2t.replay import frames
from t2t.replay.client import SPARE, Client, wait_for
from t2t.replay.sampler import Sampler
from t2t.replay.server import Server, allow_connections
from t2t.replay.service import Service, StoreConfig
from t2t.replay.streams import DeadlinePassed, ReplayError
from t2t.replay.table import TableConfig
from t2t.replay.writer import Writer

TABLES = """
store.tables = [@table()]
store.chunk_steps = 4
store.writers = 400
table.name = 't'
table.window = 3
table.max_size = 400_000
"""
MOST = 1_000  # writers, one after another
PATIENCE = 5.0  # seconds that a reader gives a sample
HUNG = 30.0  # seconds beyond a deadline that no busy machine explains


def _write(address: str, number: int, stop: Any, flushed: Any) -> None:
    """Stamped steps until it is told to stop; lives through the server's deaths."""
    with Writer(Client(address), "t", timeout=120.0) as writer:
        step = 0
        while not stop.is_set():
            stamp = np.int64(number * 1_000_000 + step)
            writer.append({"n": stamp, "x": np.full(20, stamp)})
            step += 1
            if step >= 3:
                writer.create_item("t", length=3)
            if step % 16 == 0:
                writer.flush()
                flushed[number] = step
            time.sleep(0.004)


def _read(address: str, stop: Any) -> None:
    """Whole windows until it is told to stop; ends with status 3 when a call hangs."""
    sampler = Sampler(Client(address), "t", 8, timeout=PATIENCE)
    while not stop.is_set():
        begun = time.monotonic()
        try:
            _whole(next(sampler).data)
        except (ReplayError, ConnectionError):
            time.sleep(0.05)
        if time.monotonic() - begun > PATIENCE + SPARE + HUNG:
            os._exit(3)


def _whole(data: dict[str, np.ndarray]) -> None:
    """Windows are of steps that follow one another, and their columns agree."""
    assert (np.diff(data["n"], axis=1) == 1).all()
    assert (data["x"] == data["n"][..., None]).all()


class Arena:
    """A server that is started again, writers and readers that are replaced."""

    def __init__(self, folder: Path, shared: bool, linger: float) -> None:
        self.folder, self.shared, self.linger = folder, shared, linger
        self.address = str(folder / "s")
        (folder / "tables.gin").write_text(TABLES)
        self.context = multiprocessing.get_context("spawn")
        self.stop = self.context.Event()
        self.flushed = self.context.Array("q", MOST, lock=False)  # steps, by writer
        self.began = np.zeros(MOST, np.int64)  # steps that this server may not have
        self.promised: set[int] = set()  # stamps of items that must be there at the end
        self.numbers = iter(range(MOST))
        self.server = self.serve()
        self.writers = {n: self.writer(n) for n in (next(self.numbers) for _ in "abc")}
        self.readers = [self.reader() for _ in range(2)]

    def serve(self) -> subprocess.Popen[bytes]:
        flags = [f"--config={self.folder / 'tables.gin'}", f"--listen={self.address}"]
        flags.append(f"--checkpoint_dir={self.folder / 'kept'}")
        flags.append(f"--linger_seconds={self.linger}")
        if list((self.folder / "kept").glob("replay-*.npz")):
            flags.append("--restore")
        if self.shared:
            flags.append("--shared")
        server = subprocess.Popen(
            [sys.executable, "-m", "t2t.bin.replay", "serve", *flags],
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.address, timeout=60.0)
        return server

    def start(self, target: Any, *args: Any) -> Any:
        process = self.context.Process(target=target, args=(self.address, *args))
        process.start()
        return process

    def writer(self, number: int) -> Any:
        return self.start(_write, number, self.stop, self.flushed)

    def reader(self) -> Any:
        return self.start(_read, self.stop)

    def kill_a_writer(self, chance: random.Random) -> None:
        victim = chance.choice(list(self.writers))
        _kill(self.writers.pop(victim))
        number = next(self.numbers)
        self.writers[number] = self.writer(number)

    def kill_a_reader(self, chance: random.Random) -> None:
        victim = chance.randrange(len(self.readers))
        _kill(self.readers[victim])
        self.readers[victim] = self.reader()

    def kill_the_server(self) -> None:
        """And starts it again; waits until all writers have gone on."""
        self.server.kill()
        self.server.wait()
        before = np.array(self.flushed)
        self.server = self.serve()
        until = time.monotonic() + 120.0
        for number, process in self.writers.items():
            while self.flushed[number] == before[number]:
                assert process.is_alive() and time.monotonic() < until
                time.sleep(0.01)
        # A step before this one may have gone with the server that was killed.
        self.began = np.array(self.flushed)

    def checkpoint(self, client: Client) -> None:
        """What was acknowledged before it was asked for will be there at the end."""
        flushed = np.array(self.flushed)
        client.checkpoint()
        for number in np.flatnonzero(flushed > self.began).tolist():
            last = range(int(self.began[number]) + 2, int(flushed[number]))
            self.promised |= {number * 1_000_000 + step for step in last}

    def end(self) -> None:
        """All but the server end by themselves, with status 0."""
        self.stop.set()
        for process in (*self.writers.values(), *self.readers):
            process.join(90.0)
            assert process.exitcode == 0

    def clear(self) -> None:
        self.stop.set()
        self.server.terminate()  # takes the memory that it shares along
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.wait(30.0)
        self.server.kill()
        for process in (*self.writers.values(), *self.readers):
            process.kill()


def _kill(process: Any) -> None:
    assert process.is_alive(), f"it ended by itself, with status {process.exitcode}"
    os.kill(process.pid, signal.SIGKILL)
    process.join()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_any_time(tmp_path: Path, kills: int, shared: bool) -> None:
    chance = random.Random(kills)
    arena = Arena(tmp_path, shared, linger=5 + kills / 5)
    client = Client(arena.address)
    try:
        while not client.info()["tables"]["t"].get("inserts"):
            time.sleep(0.05)
        for kill in range(kills):
            time.sleep(chance.uniform(0.1, 0.4))
            if kill % 2:
                (arena.kill_a_writer, arena.kill_a_reader)[kill // 2 % 2](chance)
                continue
            arena.checkpoint(client)
            _whole(client.look("t", 1000).data)
            if kill % 8 == 4:  # in the middle of another one
                threading.Thread(target=_asked_in_vain, args=(arena.address,)).start()
            time.sleep(chance.uniform(0.0, 0.3))
            arena.kill_the_server()
            client = wait_for(arena.address)
        living = [process.pid for process in (*arena.writers.values(), *arena.readers)]
        size = client.info()["tables"]["t"]["size"]
        while client.info()["tables"]["t"]["size"] == size:
            time.sleep(0.05)  # writers go on
        all_of_them = (*arena.writers.values(), *arena.readers)
        assert [p.pid for p in all_of_them if p.is_alive()] == living
        arena.end()
        _nothing_twice_and_nothing_lost(arena, client)
    finally:
        arena.clear()


def _asked_in_vain(address: str) -> None:
    with contextlib.suppress(ConnectionError, ReplayError):
        Client(address).checkpoint()


def _nothing_twice_and_nothing_lost(arena: Arena, client: Client) -> None:
    from t2t.bin.replay_config import stores
    from t2t.replay.checkpoint import Archive

    until = time.monotonic() + 60.0
    while (info := client.info())["writers"] or info["connections"] > 1:
        assert time.monotonic() < until, "lost writers are forgotten"
        time.sleep(0.1)
    client.checkpoint()
    service = Service(stores(str(arena.folder / "tables.gin")))
    Archive(arena.folder / "kept").restore(service)
    table = service.table("t")
    places = table.occupied()
    stamps = table.store.columns["n"][table.rows[places, 2]]
    assert len(np.unique(stamps)) == len(stamps)
    assert len(arena.promised) > 20 and arena.promised <= set(stamps.tolist())
    held = {int(row) // table.store.steps for row in table.rows[places].ravel()}
    (store,) = info["stores"]
    assert store["slots"] - store["free"] == len(held), "no slot leaks"


CRAMPED = """
import resource, sys, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from t2t.bin.replay import command, _main
sys.exit(command.call(_main, sys.argv[1:]))
"""


def _cramped(folder: Path, tables: str) -> subprocess.Popen[bytes]:
    """A server whose files are limited in size, which looks like a full disk."""
    (folder / "tables.gin").write_text(tables)
    return subprocess.Popen(
        [
            sys.executable, "-c", CRAMPED, "serve",
            f"--config={folder / 'tables.gin'}", f"--listen={folder / 's'}",
            f"--checkpoint_dir={folder / 'kept'}",
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_disk_that_is_full_costs_a_checkpoint_only(tmp_path: Path) -> None:
    address = str(tmp_path / "s")
    server = _cramped(tmp_path, TABLES)
    try:
        client = wait_for(address, timeout=60.0)
        with Writer(client, "t") as writer:
            for step in range(400):
                writer.append({"n": np.int64(step), "x": np.full(20, step)})
                writer.create_item("t")
        with pytest.raises(ReplayError, match="no checkpoint: .*File too large"):
            client.checkpoint()
        assert len(client.sample("t", 8).keys) == 8
        assert not list((tmp_path / "kept").glob("*.tmp"))
        assert not list((tmp_path / "kept").glob("replay-*"))
    finally:
        server.kill()


def test_a_disk_without_room_for_a_table_is_told(tmp_path: Path) -> None:
    server = _cramped(tmp_path, TABLES + f"store.folder = '{tmp_path / 'columns'}'")
    try:
        client = wait_for(str(tmp_path / "s"), timeout=60.0)
        for _ in range(2):
            with pytest.raises(
                ReplayError, match="no room for .* MB: .*File too large"
            ):
                Writer(client, "t").append({"n": np.int64(0)})
        assert client.info()["tables"]["t"]["size"] == 0  # it serves on
    finally:
        server.kill()


def test_a_thousand_writers_come_back_at_once(tmp_path: Path) -> None:
    """Their server goes away and comes back: every step is there once."""
    allow_connections()
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 4_000:
        pytest.skip("2 000 sockets and more cannot be had here")
    path, count = tmp_path / "s", 1_000
    store = StoreConfig((TableConfig("t", 1),), chunk_steps=1, writers=count)
    service = Service([store])
    server = Server(service, unix=path).start()
    writers = [Writer(Client(str(path)), "t", timeout=120.0) for _ in range(count)]

    def write(part: list[tuple[int, Writer]], turn: int) -> None:
        for number, writer in part:
            writer.append({"n": np.int64(2 * number + turn)})
            writer.create_item("t")
            writer.flush()

    def all_write(turn: int) -> None:
        numbered = list(enumerate(writers))
        threads = [
            threading.Thread(target=write, args=(numbered[i::50], turn))
            for i in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120.0)

    all_write(0)
    assert server.call(lambda: len(server.connections)) == count
    server.stop()
    with contextlib.ExitStack() as stack:  # all at the door before anyone is let in
        waiting = socket.socket(socket.AF_UNIX)
        stack.callback(waiting.close)
        server = Server(service, unix=path)
        for _ in range(count):
            knocking = socket.socket(socket.AF_UNIX)
            stack.callback(knocking.close)
            knocking.setblocking(False)
            knocking.connect(str(path))
        server.start()
        all_write(1)
    stored = Client(str(path)).look("t", 1000, order="newest").data["n"].ravel()
    assert sorted(stored.tolist()) == list(range(1, 2 * count, 2))
    assert service.table("t").size == 2 * count
    for writer in writers:
        writer.close()
    while server.call(lambda: len(server.connections)) > 1:
        time.sleep(0.01)
    used = server.call(lambda: service.stores[0].slots - service.stores[0].free)  # type: ignore[union-attr]
    assert used == 2 * count, "no slot leaks"
    server.stop()


class Trickle(threading.Thread):
    """A server that says one byte in a while: every wait for it is a short one."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()
        self.over = threading.Event()

    def run(self) -> None:
        client, _ = self.listening.accept()
        with contextlib.suppress(OSError):
            client.sendall(b"".join(frames.frame(frames.HELLO, 0, {"nonce": ""})))
            client.sendall(b"".join(frames.frame(frames.REPLY, 0)))
            while not self.over.wait(0.05):
                client.sendall(frames.MAGIC[:1])


def test_a_call_ends_at_its_deadline_however_bytes_trickle(tmp_path: Path) -> None:
    slow = Trickle(tmp_path / "s")
    slow.start()
    with pytest.raises(DeadlinePassed, match="did not answer"):
        Client(str(tmp_path / "s")).info(timeout=0.4)
    slow.over.set()
    slow.listening.close()


def test_a_message_half_sent_at_its_deadline_is_sent_once(tmp_path: Path) -> None:
    """The limiter keeps the server from reading, so the socket fills up."""
    from t2t.replay import limiter

    config = TableConfig("t", 1, 20, sampler="fifo", limits=limiter.queue(1))
    config = dataclasses.replace(config, max_times_sampled=1)
    server = Server(
        Service([StoreConfig((config,), chunk_steps=1)]), unix=tmp_path / "s"
    )
    server.start()
    client, got = Client(str(tmp_path / "s")), []
    writer = Writer(client, "t", timeout=0.2, in_flight=8)
    wide = np.zeros(1_000_000, np.uint8)

    def sample() -> None:
        with contextlib.suppress(DeadlinePassed):
            got.extend(client.sample("t", 1, timeout=0.1).data["n"].ravel().tolist())

    for number in range(12):
        while True:
            try:
                writer.append({"n": np.int64(number), "wide": wide})
                break
            except (DeadlinePassed, ConnectionError):
                sample()
        writer.create_item("t")
    while len(got) < 12:
        with contextlib.suppress(DeadlinePassed, ConnectionError):
            writer.flush()
        sample()
    assert got == list(range(12))
    server.stop()
