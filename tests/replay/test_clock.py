"""A clock on the wall that jumps: no deadline breaks, no writer is freed or killed, and
nothing is younger than new."""

from __future__ import annotations

import ast
import threading
import time
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from test_service import SIGNATURE, Feeder, one, sample

import t2t.replay
from t2t.bin import replay_show
from t2t.replay import limiter
from t2t.replay import service as service_lib
from t2t.replay.checkpoint import Archive, freeze
from t2t.replay.client import Client, ServerGone, wait_for
from t2t.replay.local import LocalClient
from t2t.replay.server import Server
from t2t.replay.service import Service, StoreConfig
from t2t.replay.shards import Shards
from t2t.replay.streams import DeadlinePassed
from t2t.replay.table import TableConfig
from t2t.replay.writer import Writer

HOUR, DAY = 3600.0, 86400.0
JUMPS = [HOUR, -HOUR, DAY, -DAY, HOUR, HOUR, -DAY, -DAY, DAY]
REPLAY = Path(t2t.replay.__file__).parent
FILES = [*sorted(REPLAY.glob("*.py")), *sorted((REPLAY.parent / "bin").glob("replay*"))]
# Of the module `time`: what asks the wall, in one form or another.
WALL = {"time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime"}


class Hand:
    """A steady clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Wall:
    """What time.time() says when somebody sets the clock now and then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off, real = 0.0, time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.off)
        monkeypatch.setattr(time, "time_ns", lambda: int((real() + self.off) * 1e9))

    def jump(self, seconds: float) -> None:
        self.off += seconds


def _calls(path: Path) -> list[str]:
    """'module.name' of what a file uses of `time` and `datetime`."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found = [n for n in nodes if isinstance(n, ast.Attribute)]
    return [ast.unparse(n) for n in found if isinstance(n.value, ast.Name)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_asks_the_wall(path: Path) -> None:
    used = _calls(path)
    assert not [name for name in used if name in {f"time.{w}" for w in WALL}]
    assert not [name for name in used if name.startswith(("datetime.", "date."))]
    # The steady clock, too, comes by injection only.
    assert path.name == "clock.py" or "time.monotonic" not in used
    imports = [n for n in ast.walk(ast.parse(path.read_text())) if _from_time(n)]
    assert not imports


def _from_time(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime")


def _service(clock: Hand, **table: Any) -> Service:
    tables = (TableConfig("t", 2, 50, **table),)
    store = StoreConfig(tables, SIGNATURE, chunk_steps=3, max_steps=60, writers=4)
    return Service([store], clock=clock)


steps = st.lists(
    st.tuples(st.sampled_from(JUMPS), st.floats(0.0, 40.0)), min_size=1, max_size=12
)


@given(steps, st.floats(0.0, 300.0))
def test_a_deadline_is_kept_by_the_steady_clock(jumps, timeout):
    clock = Hand()
    with pytest.MonkeyPatch.context() as patch:
        wall, service = Wall(patch), _service(clock, limits=limiter.min_size(9))
        Feeder(service, 0)
        answers: list[Any] = []
        service.sample("t", 1, timeout=timeout, done=answers.append)
        until = clock.now + timeout
        for jump, passes in jumps:
            wall.jump(jump)
            clock.now += passes
            nearest = service.tick()
            assert bool(answers) == (clock.now >= until)
            assert answers or nearest == until - clock.now
        clock.now = until
        service.tick()
        assert isinstance(answers[0], DeadlinePassed) and len(answers) == 1


@given(steps)
def test_writers_are_freed_by_the_steady_clock_and_never_while_connected(jumps):
    clock = Hand()
    with pytest.MonkeyPatch.context() as patch:
        wall, service = Wall(patch), _service(clock)
        here, gone = Feeder(service, 0), Feeder(service, 1)
        for feeder in (here, gone):
            feeder.chunk(3)
        service.lose_stream(gone.name)
        left = clock.now
        for jump, passes in jumps:
            wall.jump(jump)
            clock.now += 3 * passes
            service.tick()
            kept = clock.now - left <= service_lib.LINGER
            assert set(service.streams) == {here.name, *([gone.name] if kept else [])}
        here.chunk(2)  # it lives, and what it wrote is there
        assert here.items(one("t", 5, 2)) == [None]


@given(steps)
def test_no_age_is_negative(jumps):
    clock = Hand()
    with pytest.MonkeyPatch.context() as patch:
        wall, service = Wall(patch), _service(clock)
        feeder, born = Feeder(service, 0), []
        for jump, passes in jumps:
            wall.jump(jump)
            clock.now += passes
            feeder.chunk(1)
            feeder.items(one("t", feeder.stream.steps, 1))
            born.append(clock.now)
            found = service.info(detail=True)["tables"]["t"]["seconds"]
            assert min(found) >= 0
            assert found[-1] == pytest.approx(clock.now - born[0], abs=1e-3)
            assert (sample(service, "t", 4).ages >= 0).all()


@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY, -DAY])
def test_ages_and_writers_go_on_after_a_restart(tmp_path, jump, monkeypatch):
    """Another process: its steady clock began anywhere, and the wall's was set."""
    wall, clock = Wall(monkeypatch), Hand()
    service = _service(clock)
    feeder = Feeder(service, 0)
    feeder.chunk(2)
    feeder.items(one("t", 2, 2))
    clock.now += 30.0
    archive, frozen = Archive(tmp_path), freeze(service)
    archive.write(frozen)
    frozen.thaw()
    wall.jump(jump)
    other = Hand()
    other.now = 5.0
    again = _service(other)
    Archive(tmp_path).restore(again)
    assert again.info(detail=True)["tables"]["t"]["seconds"] == [30.0] * 5
    other.now += service_lib.LINGER
    again.tick()
    assert list(again.streams) == [feeder.name]
    other.now += 2.0
    again.tick()
    assert not again.streams


@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY, -DAY])
def test_a_server_and_its_clients_notice_nothing(tmp_path, jump, monkeypatch):
    wall = Wall(monkeypatch)
    store = StoreConfig((TableConfig("t", 1),), chunk_steps=2)
    server = Server(Service([store]), unix=tmp_path / "s").start()
    try:
        client = wait_for(str(tmp_path / "s"))
        answers: list[Any] = []

        def ask() -> None:
            answers.append(Client(client.address).sample("t", 4, timeout=60.0))

        parked = threading.Thread(target=ask)
        parked.start()
        while not client.info()["tables"]["t"]["waiting_samples"]:
            time.sleep(0.01)
        with Writer(client, "t") as writer:
            for i in range(20):
                wall.jump(jump if i % 2 else -jump / 2)
                writer.append({"n": np.int64(i)})
                writer.create_item("t")
                writer.flush()
            assert client.info()["writers"] == 1
        parked.join(30.0)
        assert len(answers[0].keys) == 4
        looks = [{**client.info(detail=True), "time": client.clock()} for _ in range(2)]
        assert min(looks[0]["tables"]["t"]["seconds"]) >= 0
        assert (
            "-" not in replay_show.dashboard("", looks[1], looks[0]).split("waiting")[0]
        )
    finally:
        server.stop()


class Fast(Hand):
    """Time passes whenever somebody looks, a second by default."""

    def __init__(self, step: float = 1.0) -> None:
        super().__init__()
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_every_waiter_is_told_the_time(tmp_path):
    local = LocalClient(_service(Fast(), limits=limiter.min_size(9)))
    Feeder(local.service, 0)
    with pytest.raises(DeadlinePassed, match="has 0 items of the 9"):
        local.sample("t", 1, timeout=4.0)
    store = StoreConfig((TableConfig("t", limits=limiter.queue(1)),), chunk_steps=1)
    server = Server(Service([store]), unix=tmp_path / "s").start()
    try:
        client = Client(str(tmp_path / "s"), clock=Fast())
        with pytest.raises(DeadlinePassed):
            client.signature("t", timeout=60.0)
        with pytest.raises(DeadlinePassed, match="no shard has items"):
            Shards([Client(client.address)], clock=Fast()).sample("t", 1, timeout=30.0)
        with pytest.raises(ServerGone):
            wait_for(str(tmp_path / "none"), timeout=60.0, clock=Fast())
        writer = Writer(Client(client.address), "t", clock=Fast(0.1), timeout=2.0)
        with pytest.raises(DeadlinePassed, match="took nothing for 2 s"):
            for i in range(50):
                writer.append({"n": np.int64(i)})
                writer.create_item("t")
    finally:
        server.stop()
