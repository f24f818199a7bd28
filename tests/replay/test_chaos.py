"""kill -9 of servers and writers, again and again: nothing twice, nothing lost that a
checkpoint holds, writers that live go on by themselves."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2t.replay.client import Client, wait_for
from t2t.replay.streams import ReplayError
from t2t.replay.writer import Writer

TABLES = """
store.tables = [@table()]
store.chunk_steps = 4
store.writers = 400
table.name = 't'
table.window = 3
table.max_size = 200_000
"""


def _write(address: str, number: int, stop: Any) -> None:
    """Stamped steps until it is told to stop; lives through the server's deaths."""
    with Writer(Client(address), "t", timeout=120.0) as writer:
        step = 0
        while not stop.is_set():
            stamp = np.int64(number * 1_000_000 + step)
            writer.append({"n": stamp, "x": np.full(20, stamp)})
            step += 1
            if step >= 3:
                writer.create_item("t", length=3)
            time.sleep(0.001)


class Arena:
    """A server that is started again, and writers that are replaced."""

    def __init__(self, folder: Path, shared: bool) -> None:
        self.folder, self.shared = folder, shared
        self.address = str(folder / "s")
        (folder / "tables.gin").write_text(TABLES)
        self.context = multiprocessing.get_context("spawn")
        self.stop = self.context.Event()
        self.numbers = iter(range(10_000))
        self.server = self.serve()
        self.writers = [self.writer() for _ in range(3)]

    def serve(self) -> subprocess.Popen[bytes]:
        flags = [f"--config={self.folder / 'tables.gin'}", f"--listen={self.address}"]
        flags.append(f"--checkpoint_dir={self.folder / 'kept'}")
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

    def writer(self) -> Any:
        process = self.context.Process(
            target=_write, args=(self.address, next(self.numbers), self.stop)
        )
        process.start()
        return process

    def kill_a_writer(self, chosen: int) -> None:
        process = self.writers[chosen]
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        self.writers[chosen] = self.writer()

    def kill_the_server(self) -> None:
        self.server.kill()
        self.server.wait()
        self.server = self.serve()


def _items(client: Client) -> np.ndarray:
    """The steps [N, 3] of all items, whose columns must agree."""
    info = client.info()["tables"]["t"]
    found = client.look("t", min(1000, max(1, info["size"])), order="newest")
    windows = found.data["n"]
    assert (np.diff(windows, axis=1) == 1).all()
    assert (found.data["x"] == windows[..., None]).all()
    return windows


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_any_time(tmp_path: Path, kills: int, shared: bool) -> None:
    chance, arena = random.Random(kills), Arena(tmp_path, shared)
    client = Client(arena.address)
    try:
        for kill in range(kills):
            time.sleep(chance.uniform(0.2, 0.6))
            if kill % 2:
                arena.kill_a_writer(chance.randrange(3))
                continue
            while not client.info()["tables"]["t"].get("inserts"):
                time.sleep(0.05)
            kept = client.info()["tables"]["t"]["size"]
            client.checkpoint()
            _items(client)
            time.sleep(chance.uniform(0.0, 0.3))
            arena.kill_the_server()
            client = wait_for(arena.address)
            # What came after the checkpoint may be gone; what it held is not.
            assert client.info()["tables"]["t"]["size"] >= kept
            _items(client)
        living = [process.pid for process in arena.writers]
        size = client.info()["tables"]["t"]["size"]
        time.sleep(1.0)
        assert client.info()["tables"]["t"]["size"] > size, "writers go on"
        assert [p.pid for p in arena.writers if p.is_alive()] == living
        arena.stop.set()
        for process in arena.writers:
            process.join(60)
            assert process.exitcode == 0
        client.checkpoint()
        _nothing_twice(arena)
    finally:
        arena.stop.set()
        arena.server.kill()
        for process in arena.writers:
            process.kill()


def _nothing_twice(arena: Arena) -> None:
    from t2t.bin.replay_config import stores
    from t2t.replay.checkpoint import Archive
    from t2t.replay.service import Service

    service = Service(stores(str(arena.folder / "tables.gin")))
    Archive(arena.folder / "kept").restore(service)
    table = service.table("t")
    places = table.occupied()
    stamps = table.store.columns["n"][table.rows[places, 2]]
    assert len(np.unique(stamps)) == len(stamps)
    used = table.store.slots - table.store.free
    held = {int(row) // table.store.steps for row in table.rows[places].ravel()}
    held |= {slot for s in service.streams.values() for _, _, slot in s.chunks}
    assert used == len(held), "no slot leaks"


def test_a_disk_that_is_full_costs_a_checkpoint_only(tmp_path: Path) -> None:
    """By the limit on the size of files, which looks like a full disk."""
    (tmp_path / "tables.gin").write_text(TABLES)
    address = str(tmp_path / "s")
    code = (
        "import resource, sys, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from t2t.bin.replay import command, _main\n"
        "sys.exit(command.call(_main, sys.argv[1:]))\n"
    )
    server = subprocess.Popen(
        [
            sys.executable, "-c", code, "serve", f"--config={tmp_path / 'tables.gin'}",
            f"--listen={address}", f"--checkpoint_dir={tmp_path / 'kept'}",
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
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
