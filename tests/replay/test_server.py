"""Over sockets: what arrives, what is refused, and who suffers from a bad client."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from t2t.replay import frames, limiter
from t2t.replay.client import Client, ServerGone, parse
from t2t.replay.columns import Column
from t2t.replay.local import LocalClient
from t2t.replay.server import Server
from t2t.replay.service import Service, StoreConfig
from t2t.replay.streams import DeadlinePassed, ReplayError
from t2t.replay.table import TableConfig
from t2t.replay.writer import Writer

STEP = {"writer": 0, "step": np.zeros(50, np.int32)}


@contextlib.contextmanager
def serving(
    folder: Path,
    *tables: TableConfig,
    secret: str = "",
    memory: Path | None = None,
):
    tables = tables or (TableConfig("t", 4),)
    shared = memory is not None
    service = Service(
        [StoreConfig(tables, chunk_steps=8, folder=memory, shared=shared)]
    )
    server = Server(
        service, unix=folder / "socket", tcp=("127.0.0.1", 0), secret=secret
    ).start()
    try:
        yield server
    finally:
        server.stop()


def write(client: Client, number: int, steps: int, table: str = "t") -> None:
    with Writer(client, table) as writer:
        for i in range(steps):
            writer.append({"writer": number, "step": np.full(50, i, np.int32)})
            writer.create_item(table, length=min(4, i + 1), priority=float(i + 1))


class Flaky:
    """Passes bytes between clients and a server, and cuts now and then."""

    def __init__(self, path: Path, target: Path, seed: int) -> None:
        self.path, self.target = path, target
        self.random = random.Random(seed)
        self.cuts = 0
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self.target))
            left = self.random.randrange(2_000, 6_000)
            for pair in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass, args=(*pair, left), daemon=True
                ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, left: int) -> None:
        with contextlib.suppress(OSError):
            while left > 0 and (data := source.recv(min(left, 4096))):
                sink.sendall(data)
                left -= len(data)
        self.cuts += left <= 0
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.mark.parametrize("shared", [False, True])
def test_every_step_gets_in_once_through_a_line_that_breaks(tmp_path, shared):
    memory = tmp_path / "memory" if shared else None
    table = TableConfig("t", 4, sampler="fifo")
    with serving(tmp_path, table, memory=memory) as server:
        flaky = Flaky(tmp_path / "flaky", tmp_path / "socket", seed=0)
        writers = [
            threading.Thread(target=write, args=(Client(str(flaky.path)), n, 300))
            for n in range(3)
        ]
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join(60)
        flaky.listening.close()
        table = server.service.table("t")
        places = table.occupied()
        assert table.size == 900 and flaky.cuts > 10
        rows = table.rows[places, table.lengths[places] - 1]
        stamps = [
            table.store.columns["writer"][rows],
            table.store.columns["step"][rows, 0],
        ]
        assert len(np.unique(np.stack(stamps), axis=1).T) == 900
        assert table.store.free == table.store.slots - sum(table.store.references > 0)


def test_a_batch_is_what_was_written(tmp_path):
    with serving(tmp_path) as server:
        for address in (str(tmp_path / "socket"), f"127.0.0.1:{server.port}"):
            client = Client(address)
            write(client, 7, 20)
            batch = client.sample("t", 64)
            for last, length, steps in zip(
                batch.priorities, batch.lengths, batch.data["step"], strict=True
            ):
                expected = np.arange(last - length, last)
                assert (steps[:length] == expected[:, None]).all()
            assert client.update("t", batch.keys[:1], np.array([0.5])) == 1
            assert client.delete("t", batch.keys[:1]) == 1
            assert client.delete("t", batch.keys[:1]) == 0
            client.reset("t")
            assert client.info()["tables"]["t"]["size"] == 0
            client.close()


def test_columns_may_be_named_in_any_order(tmp_path):
    signature = {"b": Column((), "int32"), "a": Column((), "float32")}
    service = Service([StoreConfig((TableConfig("t"),), signature, chunk_steps=4)])
    for other in (signature, dict(reversed(signature.items())), None):
        for client in (LocalClient(service), None):
            server = (
                Server(service, unix=tmp_path / "s").start() if not client else None
            )
            with Writer(
                client or Client(str(tmp_path / "s")), "t", signature=other
            ) as w:
                a, b = np.float32(0.5), np.int32(7)
                w.append({"a": a, "b": b} if other is None else {"b": b, "a": a})
                w.create_item("t")
            if server:
                server.stop()
    sampled = LocalClient(service).sample("t", 32)
    assert (sampled.data["a"] == 0.5).all() and (sampled.data["b"] == 7).all()


def test_the_writer_waits_for_the_limiter_and_says_so(tmp_path):
    limits = limiter.ratio(1.0, min_size=1, error_buffer=4)
    with serving(tmp_path, TableConfig("t", 4, limits=limits)):
        writer = Writer(Client(str(tmp_path / "socket")), "t", timeout=1.0)
        writer.flush()  # of nothing
        while not writer.steps:  # a busy machine may take longer to connect
            with contextlib.suppress(DeadlinePassed, ConnectionError):
                writer.append(STEP)
        with pytest.raises(DeadlinePassed, match="took nothing for 1 s"):
            for _ in range(200):
                writer.append(STEP)
                writer.create_item("t")
        client = Client(str(tmp_path / "socket"))
        while True:  # now its items are sampled, and all goes on
            with contextlib.suppress(DeadlinePassed):
                client.sample("t", 4, timeout=0.05)
            with contextlib.suppress(DeadlinePassed, ConnectionError):
                writer.flush()
                break
        counts = client.info()["tables"]["t"]
        assert counts["inserts"] >= 8
        assert abs(counts["inserts"] - counts["samples"] - 1) <= 4


def test_deadlines_hold(tmp_path):
    with serving(tmp_path):
        client = Client(str(tmp_path / "socket"))
        begin = time.monotonic()
        with pytest.raises(DeadlinePassed, match="no writer came in time"):
            client.sample("t", 1, timeout=0.2)
        assert 0.1 < time.monotonic() - begin < 5
        assert client.info()["tables"]["t"]["waiting_samples"] == 0


def test_a_client_that_leaves_is_forgotten(tmp_path):
    with serving(tmp_path) as server:
        connection = Client(str(tmp_path / "socket")).connect()
        connection.send(frames.SAMPLE, {"table": "t", "n": 1, "timeout": 60})
        client = Client(str(tmp_path / "socket"))
        while not client.info()["tables"]["t"]["waiting_samples"]:
            pass
        connection.close()
        while client.info()["connections"] > 1:
            pass
        assert client.info()["tables"]["t"]["waiting_samples"] == 0
        assert server.service.streams == {}


GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: replay\r\n\r\n",
    b"\x00" * 24,
    frames._LAYOUT.pack(frames.MAGIC, frames.HELLO, 0, 1 << 30, 0),
    frames._LAYOUT.pack(frames.MAGIC, frames.HELLO, 0, 2, 0) + b"[]",
    frames._LAYOUT.pack(frames.MAGIC, frames.HELLO, 0, 4, 0) + b"\xff\xfe{}",
    frames._LAYOUT.pack(frames.MAGIC, 99, 0, 0, 0),
]


@pytest.mark.parametrize("raw", GARBAGE)
def test_garbage_closes_its_own_connection_only(tmp_path, raw):
    with serving(tmp_path):
        client = Client(str(tmp_path / "socket"))
        write(client, 0, 3)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(tmp_path / "socket"))
            sock.settimeout(5)
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(4096):
                    pass  # the server's hello, then the end
        assert len(client.sample("t", 4).keys) == 4


@pytest.mark.parametrize(
    ("operation", "meta", "size"),
    [
        (99, {}, 0),
        (frames.SAMPLE, {}, 0),
        (frames.SAMPLE, {"table": "t", "n": "many", "timeout": 1}, 0),
        (frames.UPDATE, {"table": "t", "n": 1 << 40}, 1 << 60),
        (frames.DELETE, {"table": "t", "n": -1}, 0),
        (frames.APPEND, {"sequence": 1, "steps": 1, "items": []}, 1 << 50),
        (frames.OPEN, {"writer": "w", "table": "t", "signature": {"x": 3}}, 0),
        (frames.INFO, {}, 1 << 50),
    ],
)
def test_nonsense_is_refused_before_memory_is_taken(tmp_path, operation, meta, size):
    with serving(tmp_path):
        connection = Client(str(tmp_path / "socket")).connect()
        described = json.dumps(meta).encode()
        header = frames._LAYOUT.pack(frames.MAGIC, operation, 1, len(described), size)
        connection._socket.sendall(header + described)
        with pytest.raises((ConnectionError, ReplayError)):
            connection.receive(timeout=5)
        Client(str(tmp_path / "socket")).info()


def test_random_bytes_do_no_harm(tmp_path):
    rng = np.random.default_rng(0)
    with serving(tmp_path):
        client = Client(str(tmp_path / "socket"))
        write(client, 0, 5)
        for _ in range(200):
            connection = client.connect()
            with contextlib.suppress(OSError):
                meta = rng.bytes(int(rng.integers(0, 40)))
                head = frames._LAYOUT.pack(
                    frames.MAGIC, int(rng.integers(0, 12)), 1, len(meta), 30
                )
                connection._socket.sendall(head + meta + rng.bytes(30))
            connection.close()
        assert len(client.sample("t", 4).keys) == 4
        while client.info()["connections"] > 1:
            pass


def test_a_reader_that_stops_reading_holds_up_nobody(tmp_path):
    with serving(tmp_path):
        client = Client(str(tmp_path / "socket"))
        write(client, 0, 8)
        lazy = client.connect()
        for _ in range(4):  # some 50 MB that it never reads
            lazy.send(frames.SAMPLE, {"table": "t", "n": 20_000, "timeout": 5})
        begin = time.monotonic()
        for _ in range(20):
            client.sample("t", 8)
        assert time.monotonic() - begin < 10
        lazy.close()


def test_tcp_may_want_a_secret(tmp_path):
    with serving(tmp_path, secret="s3cret") as server:
        address = f"127.0.0.1:{server.port}"
        with pytest.raises(ReplayError, match="this server wants its secret"):
            Client(address).info()
        with pytest.raises(ReplayError, match="this server wants its secret"):
            Client(address, secret="wrong").info()
        assert Client(address, secret="s3cret").info()["writers"] == 0
        Client(str(tmp_path / "socket")).info()  # the file's mode protects this one


def test_a_thousand_connect_at_once(tmp_path):
    with serving(tmp_path) as server:
        client = Client(str(tmp_path / "socket"))
        connections = [client.connect() for _ in range(1000)]
        assert client.info()["connections"] == 1001
        for connection in connections:
            connection.close()
        while client.info()["connections"] > 1:
            pass
        assert len(server.connections) == 1


def test_addresses_and_missing_servers(tmp_path):
    assert parse("unix:x") == "x" and parse(":80") == ("127.0.0.1", 80)
    with pytest.raises(ReplayError, match="expected /path/of/socket or HOST:PORT"):
        parse("nowhere")
    with pytest.raises(ServerGone, match="no replay server at"):
        Client(str(tmp_path / "none")).info()
    with serving(tmp_path), pytest.raises(ReplayError, match="a server is running"):
        Server(Service([]), unix=tmp_path / "socket")
