"""A client of a replay server: plain sockets, no TensorFlow, deadlines everywhere."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from t2t.replay import frames
from t2t.replay.clock import Clock, steady
from t2t.replay.columns import Signature, from_plain
from t2t.replay.frames import BadFrame
from t2t.replay.requests import prove
from t2t.replay.sampled import Sampled
from t2t.replay.streams import DeadlinePassed, ReplayError

TIMEOUT = 60.0  # seconds for a request that says nothing else
NO_TABLE = {"max_size": 0}  # the server's to refuse
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
    """One socket to a server; requests are answered in order.

    Every method raises TimeoutError when all of it took longer than `timeout`
    seconds, however the bytes trickle. A connection that is `torn` then, in the
    middle of a frame, is good for nothing more.
    """

    def __init__(
        self,
        address: str,
        *,
        secret: str = "",
        timeout: float = 10.0,
        clock: Clock = steady,
    ) -> None:
        place = parse(address)
        family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._clock, self._until = clock, clock() + timeout
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._request = 0
        self.torn = False
        try:
            self._hurry()
            self._socket.connect(place)
            if family == socket.AF_INET:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            nonce = self._receive()[1].get("nonce", "")
            proof = prove(secret, nonce) if nonce else ""
            self.send(frames.HELLO, {"proof": proof}, timeout=timeout)
            self.receive(timeout=timeout)
        except OSError as error:
            self.close()
            raise ServerGone(f"no replay server at {address}: {error}") from error
        except ReplayError:
            self.close()
            raise

    def ask(
        self,
        operation: int,
        meta: dict[str, Any] | None = None,
        arrays: list[np.ndarray] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> tuple[dict[str, Any], Receive]:
        """Sends a request and waits for its answer."""
        begun = self._clock()
        self.send(operation, meta, arrays, timeout=timeout)
        return self.receive(timeout=timeout - (self._clock() - begun))

    def send(
        self,
        operation: int,
        meta: dict[str, Any] | None = None,
        arrays: list[np.ndarray] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        """Sends a request; `receive` gives its answer."""
        self._until = self._clock() + timeout
        self._request += 1
        buffers = frames.frame(operation, self._request, meta, arrays)
        views = [memoryview(buffer) for buffer in buffers]
        self.torn = True
        while views:
            self._hurry()
            sent = self._socket.sendmsg(views[:64])
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if views:
                views[0] = views[0][sent:]
        self.torn = False

    def receive(self, *, timeout: float) -> tuple[dict[str, Any], Receive]:
        """The next answer: what it says, and how to receive the arrays after it,
        which must happen before the same deadline.

        Raises:
          ReplayError, DeadlinePassed: as the server says.
        """
        self._until = self._clock() + timeout
        header, meta = self._receive()
        self.torn = header.data > 0
        if header.operation == frames.LATE:
            raise DeadlinePassed(meta["error"])
        if header.operation == frames.REFUSED:
            raise ReplayError(meta["error"])
        if header.operation != frames.REPLY:
            raise BadFrame(f"an answer of kind {header.operation}")
        return meta, Receive(self, header.data)

    def receive_sample(self, *, timeout: float) -> Sampled:
        """The next answer, to a SAMPLE."""
        return sampled(*self.receive(timeout=timeout))

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
            self._hurry()
            got = self._socket.recv_into(view)
            self.torn = True
            if not got:
                raise ConnectionResetError("the server closed the connection")
            view = view[got:]

    def _hurry(self) -> None:
        """The socket may take the time that is left."""
        left = self._until - self._clock()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)

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
        self._connection.torn = self._left > 0
        return arrays


class Client:
    """Asks one server; threads may share it, none waits for another.

    Every request takes a `timeout` in seconds and raises `DeadlinePassed` after it,
    or `ServerGone`.

    Args:
      address: '/path/of/socket' or 'HOST:PORT'.
      secret: of a TCP server that wants one.
      clock: of the deadlines.
    """

    def __init__(
        self, address: str, *, secret: str = "", clock: Clock = steady
    ) -> None:
        self.address, self.secret, self.clock = address, secret, clock
        self._idle: list[Connection] = []

    def info(self, *, detail: bool = False, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Numbers of the server; `detail` also looks at items."""
        return self._ask(frames.INFO, {"detail": detail}, timeout=timeout)[0]

    def signature(self, table: str, *, timeout: float = TIMEOUT) -> Signature:
        """{name in a batch: Column([T, …])} of an item, once a writer told the steps.

        Raises:
          DeadlinePassed: when none came in time.
        """
        until = self.clock() + timeout
        while True:
            left = max(0.001, until - self.clock())
            if "max_size" in self.info(timeout=left)["tables"].get(table, NO_TABLE):
                meta = self._ask(frames.MAP, {"table": table}, timeout=left)[0]
                return from_plain(meta["signature"])
            if self.clock() > until:
                raise DeadlinePassed(f"table {table}: no writer came in time")
            time.sleep(0.05)

    def look(
        self,
        table: str,
        n: int,
        *,
        order: str = "newest",
        timeout: float = TIMEOUT,
    ) -> Sampled:
        """Some items without sampling them: newest, oldest, highest or lowest."""
        meta = {"table": table, "n": n, "order": order}
        return self._ask(frames.LOOK, meta, take=sampled, timeout=timeout)

    def checkpoint(self, *, timeout: float = 3600.0) -> int:
        """Has the server write a checkpoint; its number, when it is on disk.

        Raises:
          ReplayError: when it cannot.
        """
        return self._ask(frames.CHECKPOINT, {}, timeout=timeout)[0]["number"]

    def sample(self, table: str, n: int, *, timeout: float = TIMEOUT) -> Sampled:
        """n items, or fewer when the limiter did not allow more in time.

        Raises:
          DeadlinePassed: when it allowed none.
        """
        meta = {"table": table, "n": n, "timeout": timeout}
        return self._ask(frames.SAMPLE, meta, take=sampled, timeout=timeout + SPARE)

    def update(
        self,
        table: str,
        keys: np.ndarray,
        priorities: np.ndarray,
        *,
        timeout: float = TIMEOUT,
    ) -> int:
        """Sets priorities; returns how many of the items were still there."""
        keys = np.ascontiguousarray(keys, np.uint64)
        priorities = np.ascontiguousarray(priorities, np.float64)
        if keys.shape != priorities.shape or keys.ndim != 1:
            raise ReplayError(
                f"keys {keys.shape}, priorities {priorities.shape}: expected [N] both"
            )
        meta = {"table": table, "n": len(keys)}
        arrays = [keys, priorities]
        return self._ask(frames.UPDATE, meta, arrays, timeout=timeout)[0]["count"]

    def delete(self, table: str, keys: np.ndarray, *, timeout: float = TIMEOUT) -> int:
        """Removes items; returns how many were still there."""
        keys = np.ascontiguousarray(keys, np.uint64)
        meta = {"table": table, "n": len(keys)}
        return self._ask(frames.DELETE, meta, [keys], timeout=timeout)[0]["count"]

    def reset(self, table: str, *, timeout: float = TIMEOUT) -> None:
        """Empties a table and begins its limiter anew."""
        self._ask(frames.RESET, {"table": table}, timeout=timeout)

    def publish(
        self,
        name: str,
        version: int,
        arrays: dict[str, np.ndarray],
        meta: dict[str, Any] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        """Puts arrays and JSON on the server's board, for others to `fetch`."""
        contiguous = {n: np.ascontiguousarray(a) for n, a in arrays.items()}
        described = {
            "name": name,
            "version": version,
            "meta": meta or {},
            "arrays": frames.describe(contiguous),
        }
        self._ask(frames.PUBLISH, described, [*contiguous.values()], timeout=timeout)

    def fetch(
        self, name: str, *, newer_than: int = -1, timeout: float = TIMEOUT
    ) -> tuple[int, dict[str, np.ndarray], dict[str, Any]] | None:
        """(version, arrays, JSON) under a name; None when there is nothing newer."""

        def take(meta: dict[str, Any], receive: Receive) -> Any:
            if meta["version"] is None:
                return None
            arrays = receive.arrays(meta["arrays"], _size(meta["arrays"]))
            return meta["version"], arrays, meta["meta"]

        wanted = {"name": name, "newer_than": newer_than}
        return self._ask(frames.FETCH, wanted, take=take, timeout=timeout)

    def connect(self, *, timeout: float = 10.0) -> Connection:
        """A connection of one's own, as writers and samplers have."""
        return Connection(
            self.address, secret=self.secret, timeout=timeout, clock=self.clock
        )

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _ask(
        self,
        operation: int,
        meta: dict[str, Any],
        arrays: list[np.ndarray] | None = None,
        *,
        timeout: float,
        take: Callable[[dict[str, Any], Receive], Any] | None = None,
    ) -> Any:
        """What `take` makes of the answer, else the answer itself."""
        until = self.clock() + timeout
        try:  # another thread may take the last one meanwhile
            connection = self._idle.pop()
        except IndexError:
            connection = self.connect(timeout=min(timeout, 10.0))
        try:
            left = until - self.clock()
            answer = connection.ask(operation, meta, arrays, timeout=left)
            result = take(*answer) if take else answer
        except OSError as error:
            # What is left on the socket belongs to nobody now.
            connection.close()
            if isinstance(error, TimeoutError):
                raise DeadlinePassed(f"{self.address} did not answer") from error
            self.close()  # the others were to the same server
            raise ServerGone(f"{self.address} went away: {error}") from error
        except ReplayError:
            self._idle.append(connection)
            raise
        except BaseException:
            connection.close()  # the answer is half read
            raise
        self._idle.append(connection)
        return result


def sampled(meta: dict[str, Any], receive: Receive) -> Sampled:
    """The sample in an answer."""
    known = receive.arrays(meta["known"], _size(meta["known"]))
    rows = known.pop("rows", np.zeros((0, 0), np.int64))
    data = receive.arrays(meta["data"])
    return Sampled(**known, size=meta["size"], data=data, rows=rows)


def _size(described: list[Any]) -> int:
    return sum(np.dtype(d).itemsize * int(np.prod(s)) for _, d, s in described)


def wait_for(
    address: str, *, secret: str = "", timeout: float = 10.0, clock: Clock = steady
) -> Client:
    """A client of a server that may still be starting.

    Raises:
      ServerGone: when none answers in time.
    """
    until = clock() + timeout
    while True:
        client = Client(address, secret=secret, clock=clock)
        try:
            client.info(timeout=max(0.1, until - clock()))
            return client
        except (ServerGone, DeadlinePassed):
            if clock() > until:
                raise
            time.sleep(0.05)
