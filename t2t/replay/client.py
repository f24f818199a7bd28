"""A client of a replay server: plain sockets, no TensorFlow, deadlines everywhere."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from t2t.replay import frames
from t2t.replay.frames import BadFrame
from t2t.replay.requests import prove
from t2t.replay.streams import DeadlinePassed, ReplayError
from t2t.replay.table import Sampled

TIMEOUT = 60.0  # seconds for a request that says nothing else
SPARE = 5.0  # seconds over a request's own deadline that its answer may take


class ServerGone(ConnectionError):
    """No server at the address, or none that answers."""


def parse(address: str) -> str | tuple[str, int]:
    """A unix socket's path, or (host, port) for 'host:port'.

    Raises:
      ReplayError: when it is neither.
    """
    if "/" in address or address.startswith("unix:"):
        return address.removeprefix("unix:")
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise ReplayError(
            f"{address!r} is no address: expected /path/of/socket or HOST:PORT"
        )
    return host or "127.0.0.1", int(port)


class Connection:
    """One socket to a server; requests are answered in order."""

    def __init__(
        self, address: str, *, secret: str = "", timeout: float = 10.0
    ) -> None:
        place = parse(address)
        family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._request = 0
        try:
            self._socket.connect(place)
            if family == socket.AF_INET:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            nonce = self._receive()[1].get("nonce", "")
            proof = prove(secret, nonce) if nonce else ""
            self.send(frames.HELLO, {"proof": proof})
            self.receive(timeout=timeout)
        except OSError as error:
            self.close()
            raise ServerGone(f"no replay server at {address}: {error}") from error

    def ask(
        self,
        operation: int,
        meta: dict[str, Any] | None = None,
        arrays: list[np.ndarray] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> tuple[dict[str, Any], Receive]:
        """Sends a request and waits for its answer."""
        self.send(operation, meta, arrays)
        return self.receive(timeout=timeout)

    def send(
        self,
        operation: int,
        meta: dict[str, Any] | None = None,
        arrays: list[np.ndarray] | None = None,
    ) -> None:
        self._request += 1
        buffers = frames.frame(operation, self._request, meta, arrays)
        views = [memoryview(buffer) for buffer in buffers]
        while views:
            sent = self._socket.sendmsg(views[:64])
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if views:
                views[0] = views[0][sent:]

    def receive(self, *, timeout: float) -> tuple[dict[str, Any], Receive]:
        """The next answer: what it says, and how to receive the arrays after it.

        Raises:
          ReplayError, DeadlinePassed: as the server says.
        """
        self._socket.settimeout(timeout)
        header, meta = self._receive()
        if header.operation == frames.LATE:
            raise DeadlinePassed(meta["error"])
        if header.operation == frames.REFUSED:
            raise ReplayError(meta["error"])
        if header.operation != frames.REPLY:
            raise BadFrame(f"an answer of kind {header.operation}")
        return meta, Receive(self, header.data)

    def answered(self) -> bool:
        """Whether an answer, or the end of the connection, has arrived."""
        return bool(self._poll.poll(0))

    def _receive(self) -> tuple[frames.Header, dict[str, Any]]:
        header = frames.header_of(self.read(frames.HEADER))
        return header, frames.meta_of(self.read(header.meta))

    def read(self, size: int) -> memoryview:
        view = memoryview(bytearray(size))
        self.read_into(view)
        return view

    def read_into(self, view: memoryview) -> None:
        while len(view):
            got = self._socket.recv_into(view)
            if not got:
                raise ConnectionResetError("the server closed the connection")
            view = view[got:]

    def close(self) -> None:
        self._socket.close()


class Receive:
    """The arrays that follow an answer; they must be received before the next one."""

    def __init__(self, connection: Connection, size: int) -> None:
        self._connection, self._left = connection, size

    def arrays(self, described: list[Any], size: int | None = None) -> dict[str, Any]:
        """Arrays as described, of `size` bytes (all that are left by default)."""
        size = self._left if size is None else size
        arrays = frames.blank(described, size)
        for array in arrays.values():
            self._connection.read_into(frames.flat(array))
        self._left -= size
        return arrays


class Client:
    """Asks one server; threads may share it.

    Args:
      address: '/path/of/socket' or 'HOST:PORT'.
      secret: of a TCP server that wants one.
    """

    def __init__(self, address: str, *, secret: str = "") -> None:
        self.address, self.secret = address, secret
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def info(self, *, detail: bool = False) -> dict[str, Any]:
        """Numbers of the server; `detail` looks at all items."""
        return self._ask(lambda c: c.ask(frames.INFO, {"detail": detail})[0])

    def look(self, table: str, n: int, *, order: str = "newest") -> Sampled:
        """Some items without sampling them: newest, oldest, highest or lowest."""
        meta = {"table": table, "n": n, "order": order}
        return self._ask(lambda c: sampled(*c.ask(frames.LOOK, meta)))

    def checkpoint(self, *, timeout: float = 3600.0) -> int:
        """Has the server write a checkpoint; its number, when it is on disk.

        Raises:
          ReplayError: when it cannot.
        """
        return self._ask(lambda c: c.ask(frames.CHECKPOINT, timeout=timeout)[0])[
            "number"
        ]

    def sample(self, table: str, n: int, *, timeout: float = TIMEOUT) -> Sampled:
        """n items, or fewer when the limiter did not allow more in time.

        Raises:
          DeadlinePassed: when it allowed none.
        """
        meta = {"table": table, "n": n, "timeout": timeout}
        return self._ask(
            lambda c: sampled(*c.ask(frames.SAMPLE, meta, timeout=timeout + SPARE))
        )

    def update(self, table: str, keys: np.ndarray, priorities: np.ndarray) -> int:
        """Sets priorities; returns how many of the items were still there."""
        keys = np.ascontiguousarray(keys, np.uint64)
        priorities = np.ascontiguousarray(priorities, np.float64)
        if keys.shape != priorities.shape or keys.ndim != 1:
            raise ReplayError(
                f"keys {keys.shape}, priorities {priorities.shape}: expected [N] both"
            )
        meta = {"table": table, "n": len(keys)}
        return self._ask(
            lambda c: c.ask(frames.UPDATE, meta, [keys, priorities])[0]["count"]
        )

    def delete(self, table: str, keys: np.ndarray) -> int:
        """Removes items; returns how many were still there."""
        keys = np.ascontiguousarray(keys, np.uint64)
        meta = {"table": table, "n": len(keys)}
        return self._ask(lambda c: c.ask(frames.DELETE, meta, [keys])[0]["count"])

    def reset(self, table: str) -> None:
        """Empties a table and begins its limiter anew."""
        self._ask(lambda c: c.ask(frames.RESET, {"table": table}))

    def publish(
        self,
        name: str,
        version: int,
        arrays: dict[str, np.ndarray],
        meta: dict[str, Any] | None = None,
    ) -> None:
        """Puts arrays and JSON on the server's board, for others to `fetch`."""
        contiguous = {n: np.ascontiguousarray(a) for n, a in arrays.items()}
        described = {
            "name": name,
            "version": version,
            "meta": meta or {},
            "arrays": frames.describe(contiguous),
        }
        self._ask(lambda c: c.ask(frames.PUBLISH, described, [*contiguous.values()]))

    def fetch(
        self, name: str, *, newer_than: int = -1
    ) -> tuple[int, dict[str, np.ndarray], dict[str, Any]] | None:
        """(version, arrays, JSON) under a name; None when there is nothing newer."""

        def ask(connection: Connection) -> Any:
            meta, receive = connection.ask(
                frames.FETCH, {"name": name, "newer_than": newer_than}
            )
            if meta["version"] is None:
                return None
            arrays = receive.arrays(meta["arrays"], _size(meta["arrays"]))
            return meta["version"], arrays, meta["meta"]

        return self._ask(ask)

    def connect(self) -> Connection:
        """A connection of one's own, as writers and samplers have."""
        return Connection(self.address, secret=self.secret)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _ask(self, request: Callable[[Connection], Any]) -> Any:
        with self._lock:
            if self._connection is None:
                self._connection = self.connect()
            try:
                return request(self._connection)
            except OSError as error:
                # What is left on the socket belongs to nobody now.
                self._connection.close()
                self._connection = None
                if isinstance(error, TimeoutError):
                    raise DeadlinePassed(f"{self.address} did not answer") from error
                raise ServerGone(f"{self.address} went away: {error}") from error


def sampled(meta: dict[str, Any], receive: Receive) -> Sampled:
    """The sample in an answer."""
    known = receive.arrays(meta["known"], _size(meta["known"]))
    rows = known.pop("rows", np.zeros((0, 0), np.int64))
    data = receive.arrays(meta["data"])
    return Sampled(**known, size=meta["size"], data=data, rows=rows)


def _size(described: list[Any]) -> int:
    return sum(np.dtype(d).itemsize * int(np.prod(s)) for _, d, s in described)


def wait_for(address: str, *, secret: str = "", timeout: float = 10.0) -> Client:
    """A client of a server that may still be starting.

    Raises:
      ServerGone: when none answers in time.
    """
    until = time.monotonic() + timeout
    while True:
        client = Client(address, secret=secret)
        try:
            client.info()
            return client
        except ServerGone:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
