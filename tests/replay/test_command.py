"""t2t-replay as a user calls it: what its file may say, and what it shows."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2t.bin.replay_config import stores
from t2t.replay.client import Client, wait_for
from t2t.replay.columns import Column
from t2t.replay.limiter import Limits
from t2t.replay.patterns import Pattern
from t2t.replay.writer import Writer

TABLES = """
import counting_hooks
server.stores = [@games/store(), @robots/store()]
games/store.tables = [@game/table()]
games/store.signature = {'image': ([8, 8], 'uint8'), 'reward': ([], 'float32')}
games/store.packing = {'image': 'auto'}
games/store.chunk_steps = 4
game/table.name = 'game'
game/table.window = 3
game/table.max_size = 100
game/table.remover = 'prioritized'
game/table.remover_exponent = 2.0
game/table.limits = @queue()
game/table.max_times_sampled = 1
game/table.columns = {'now': @now/slice(), 'next': @next/slice()}
game/table.hooks = (@counting_hooks.count,)
queue.size = 90
now/slice.column = 'image'
now/slice.stop = 2
next/slice.column = 'image'
next/slice.start = 1
robots/store.tables = [@robot/table()]
robot/table.name = 'robot'
robot/table.sampler = 'prioritized'
robot/table.exponent = 0.6
robot/table.max_size = 100
"""
HOOKS = """
import gin
counts = {}
@gin.register
def count(event, table, places):
    counts[event] = counts.get(event, 0) + len(places)
"""


def test_a_file_may_say_all_that_a_table_is(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "counting_hooks.py").write_text(HOOKS)
    (tmp_path / "tables.gin").write_text(TABLES)
    monkeypatch.syspath_prepend(str(tmp_path))
    games, robots = stores(str(tmp_path / "tables.gin"))
    (table,) = games.tables
    assert games.signature == {
        "image": Column((8, 8), "uint8"), "reward": Column((), "float32"),
    }  # fmt: skip
    assert games.packing == {"image": "auto"} and robots.signature is None
    assert table.limits == Limits(1.0, 1, 0.0, 90.0)
    assert table.remover_exponent == 2.0 and table.columns is not None
    assert table.columns["now"].stop == 2 and table.columns["next"].start == 1
    from t2t.replay.local import LocalClient
    from t2t.replay.service import Service

    client = LocalClient(Service([games, robots]))
    assert client.signature("game", timeout=0.0)["now"] == Column((2, 8, 8), "uint8")
    with Writer(client, "game", patterns=[Pattern("game", 3)]) as writer:
        for i in range(8):
            image = np.full((8, 8), i, np.uint8)
            writer.append({"image": image, "reward": np.float32(0)})
    found = client.sample("game", 6)
    assert (found.data["now"][:, 1] == found.data["next"][:, 0]).all()
    import counting_hooks  # type: ignore[import-not-found]

    assert counting_hooks.counts == {"insert": 6, "sample": 6, "delete": 6}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("table.sampler = 'unifrom'", "there is no selector 'unifrom'. Did you mean"),
        ("table.nam = 't'", "nam"),
        (
            "store.packing = {'x': 'gzip'}\nstore.signature = {'x': ([], 'int8')}",
            "gzip",
        ),
        ("store.signature = {'x': ([2], 'object')}", "not a dtype of plain numbers"),
        ("table.exponent = -1.0", "an exponent is 0 or more"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_in_a_line(
    tmp_path: Path, line: str, said: str
) -> None:
    text = f"store.tables = [@table()]\ntable.name = 't'\n{line}\n"
    (tmp_path / "tables.gin").write_text(text)
    flags = [f"--config={tmp_path / 'tables.gin'}", f"--listen={tmp_path / 's'}"]
    done = subprocess.run(
        [sys.executable, "-m", "t2t.bin.replay", "serve", *flags],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and said in done.stderr
    assert "Traceback" not in done.stderr


@contextlib.contextmanager
def _watching(folder: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    watch = subprocess.Popen(
        [sys.executable, "-m", "t2t.bin.replay", "info", str(folder / "s"), *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield watch
    finally:
        watch.kill()


def test_watching_shows_rates_ratio_ages_priorities_and_staleness(
    tmp_path: Path,
) -> None:
    (tmp_path / "tables.gin").write_text(
        "store.tables = [@table()]\ntable.name = 't'\ntable.sampler = 'prioritized'"
    )
    flags = [f"--config={tmp_path / 'tables.gin'}", f"--listen={tmp_path / 's'}"]
    server = subprocess.Popen(
        [sys.executable, "-m", "t2t.bin.replay", "serve", *flags],
        stderr=subprocess.DEVNULL,
    )
    over = threading.Event()
    try:
        client = wait_for(str(tmp_path / "s"), timeout=60.0)

        def work() -> None:
            with Writer(Client(client.address), "t") as writer:
                while not over.wait(0.01):
                    writer.append({"x": np.zeros(3)})
                    writer.create_item("t", priority="max")
                    writer.flush()
                    found = client.sample("t", 2)
                    client.update("t", found.keys, np.array([1.0, 3.0]))

        busy = threading.Thread(target=work)
        busy.start()
        page = tmp_path / "page.html"
        with _watching(tmp_path, "--watch", f"--html={page}") as watch:
            text, shown = "", (
                "inserts/s", "samples per insert", "samples/s", "priorities ",
                "staleness: 2 items asked for ahead", "priorities came back",
                "ages: least", "times sampled",
            )  # fmt: skip
            assert watch.stdout is not None and watch.stderr is not None
            # Some of it takes a few seconds of work to be known.
            for _ in range(300):
                text += watch.stdout.readline()
                if all(what in text for what in shown):
                    break
            assert [what for what in shown if what not in text] == []
            watch.send_signal(signal.SIGINT)
            assert watch.wait(30) in (0, 130)
            assert "Traceback" not in watch.stderr.read()
        drawn = page.read_text(encoding="utf-8")
        assert "t: a second" in drawn and "<svg" in drawn and "staleness" in drawn
        assert "prioritized sampler" in drawn and ("▁" in drawn or "█" in drawn)
        with _watching(tmp_path, "--json") as once:
            info = json.loads(once.communicate(timeout=60)[0])
        assert info["tables"]["t"]["staleness"]["median"] >= 0
        over.set()
        busy.join(30)
    finally:
        over.set()
        server.kill()
