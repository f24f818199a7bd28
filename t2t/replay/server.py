"""The server: one thread, one loop, a generator a connection.

A connection's generator yields what it waits for: bytes to read, room to write, or
an answer that the service has parked. While an insert is parked its connection is
not read, so a writer that is too fast feels its socket fill up.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import errno
import functools
import os
import resource
import selectors
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from t2t.replay.checkpoint import Archive, freeze, room_for
from t2t.replay.chunks import ChunkStore
from t2t.replay.frames import Buffer
from t2t.replay.requests import ANSWER, READ, WRITE, Notice, Steps, serve
from t2t.replay.service import Service
from t2t.replay.snapshot import Room
from t2t.replay.streams import ReplayError, Stream

TURN = 1 << 18  # bytes that a connection may read before others have their turn
EVENTS = {
    READ: selectors.EVENT_READ,
    WRITE: selectors.EVENT_WRITE,
    ANSWER: selectors.EVENT_READ,  # to see a client go that waits for its answer
}


class Connection:
    """A client's socket, what is to be sent on it, and the generator that serves it."""

    def __init__(self, sock: socket.socket, loop: Server) -> None:
        self.socket, self.loop = sock, loop
        self.out: collections.deque[Buffer] = collections.deque()
        self.closed = False
        self.waits = READ
        self.events = 0  # what the selector watches for
        self.answer: Any = None
        self.writer = ""  # the stream it opened
        self.stream: Stream | None = None
        self.parked: Any = None  # the callback of a parked sample
        self.ahead: dict[str, int] = {}  # table -> items asked for at a time
        self._turn = 0
        self._pinned: collections.deque[tuple[ChunkStore, np.ndarray]] = (
            collections.deque()
        )
        self.steps = serve(self)

    def resume(self) -> None:
        """Goes on until it has to wait."""
        self._turn = 0
        try:
            self.waits = next(self.steps)
        except (StopIteration, OSError):
            self.close()
        except Exception:
            traceback.print_exc()  # a fault of ours; the others are served on
            self.close()
        if not self.closed:
            self.loop.watch(self, EVENTS[self.waits])

    def happened(self) -> None:
        """The socket is ready for what the generator waits for, or so it seems."""
        if self.waits != ANSWER:
            self.resume()
            return
        try:
            more = self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if more:  # the next request, which has to wait
            self.loop.watch(self, 0)
        else:
            self.close()

    def read(self, size: int) -> Steps:
        """Exactly `size` bytes, as a bytearray."""
        buffer = bytearray(size)
        yield from self.read_into([memoryview(buffer)])
        return buffer

    def read_into(self, views: list[memoryview]) -> Steps:
        """Fills the buffers, in order, straight from the socket."""
        views = [view for view in views if len(view)]
        while views:
            if self._turn > TURN:
                yield READ
            try:
                got = self.socket.recv_into(views[0])
            except BlockingIOError:
                yield READ
                continue
            if not got:
                raise ConnectionResetError
            self._turn += got
            views[0] = views[0][got:]
            if not len(views[0]):
                views.pop(0)

    def send(self, buffers: list[Buffer]) -> Steps:
        """Sends all; waits for a reader that is slow."""
        self.out.extend(buffers)
        while self.out:
            if not self._send_some():
                yield WRITE

    def _send_some(self) -> bool:
        """Whether anything more could be sent just now."""
        part = [self.out[i] for i in range(min(len(self.out), 64))]
        try:
            sent = self.socket.sendmsg(part)
        except BlockingIOError:
            return False
        while sent or (self.out and not len(self.out[0])):
            first = memoryview(self.out.popleft())
            if sent < len(first):
                self.out.appendleft(first[sent:])
                break
            sent -= len(first)
        return True

    def answered(self, answer: Any) -> None:
        """The service's callback: what was parked can be answered."""
        self.answer = answer
        if self.waits == ANSWER and not self.closed:
            self.loop.ready.append(self)

    def pin(self, table: str, rows: np.ndarray) -> None:
        """Keeps the chunks of a sample that the client gathers by itself."""
        store = self.loop.service.table(table).store
        slots = store.slots_of(rows)
        store.retain(slots)
        self._pinned.append((store, slots))
        self.loop.pins += 1

    def unpin(self) -> None:
        """The client has gathered its oldest sample."""
        if self._pinned:
            store, slots = self._pinned.popleft()
            store.release(slots)
            self.loop.pins -= 1
            self.loop.ready.extend(self.loop.starved)
            self.loop.starved.clear()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        while self._pinned:
            self.unpin()
        self.steps.close()
        self.loop.forget(self)
        self.socket.close()


class Server:
    """Serves a `Service` on a unix socket, a TCP port, or both.

    Args:
      service: its only user is this server's thread.
      unix: path of the socket.
      tcp: (host, port), loopback unless you say otherwise; port 0 takes a free one.
      secret: that TCP clients must know; none by default.
      archive: where checkpoints go when they are asked for.
    """

    def __init__(
        self,
        service: Service,
        *,
        unix: str | Path | None = None,
        tcp: tuple[str, int] | None = None,
        secret: str = "",
        archive: Archive | None = None,
    ) -> None:
        self.service, self.secret, self.archive = service, secret, archive
        self._writing: threading.Thread | None = None
        self.ready: collections.deque[Connection] = collections.deque()
        self.connections: set[Connection] = set()
        self.pins = 0  # samples that clients have yet to gather
        self.starved: list[Connection] = []  # wait for a slot
        self.board: dict[str, Notice] = {}
        self._calls: collections.deque[tuple[Callable[[], Any], Any]] = (
            collections.deque()
        )
        self._selector = selectors.DefaultSelector()
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._selector.register(self._ours, selectors.EVENT_READ)
        self._listening: list[socket.socket] = []
        self._unix = Path(unix) if unix else None
        if self._unix:
            self._listen(_unix_socket(self._unix))
        if tcp:
            self._listen(socket.create_server(tcp, backlog=4096))
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Of the TCP socket."""
        for sock in self._listening:
            if sock.family != socket.AF_UNIX:
                return sock.getsockname()[1]
        raise ValueError("this server has no TCP port")

    def start(self) -> Server:
        """Serves in a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="t2t-replay", daemon=True)
        self._thread.start()
        return self

    def call(self, function: Callable[[], Any]) -> Any:
        """What the function gives, run on the server's thread, from any other."""
        result: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._calls.append((function, result))
        self._theirs.send(b"c")
        return result.result()

    def checkpoint(self, done: Callable[[Any], None]) -> None:
        """Freezes the service soon, writes it in a thread, then calls done(number).

        For the server's thread; done gets an Exception when it could not be done.
        """
        if self.archive is None:
            done(ReplayError("this server was started without --checkpoint_dir"))
            return
        if self._writing is not None and self._writing.is_alive():
            done(ReplayError("a checkpoint is being written"))
            return
        archive, size = self.archive, room_for(self.service)

        def write() -> None:
            try:
                room = Room(size)
                frozen = self.call(lambda: freeze(self.service, room))
            except Exception as error:
                self._later(functools.partial(done, error))
                return
            try:
                result: Any = archive.write(frozen)
            except Exception as error:
                result = error
            self._later(lambda: (frozen.thaw(), done(result)))

        self._writing = threading.Thread(target=write, name="t2t-replay-checkpoint")
        self._writing.start()

    def _later(self, function: Callable[[], Any]) -> None:
        """Has the server's thread run the function; waits for nothing."""
        self._calls.append((function, concurrent.futures.Future()))
        with contextlib.suppress(OSError):
            self._theirs.send(b"c")

    def stop(self) -> None:
        """Ends `run`, from any thread, and closes all connections."""
        self._theirs.send(b"x")
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def run(self) -> None:
        """Serves until `stop`."""
        allow_connections()
        stopped = False
        while not stopped:
            wait = 0.0 if self.ready else self.service.tick()
            for key, _ in self._selector.select(min(wait, 1.0)):
                if key.fileobj is self._ours:
                    stopped = b"x" in self._ours.recv(4096)
                    self._answer_calls()
                elif key.data is None:
                    self._accept(key.fileobj)  # type: ignore[arg-type]
                elif not key.data.closed:
                    key.data.happened()
            for _ in range(len(self.ready)):
                connection = self.ready.popleft()
                if not connection.closed:
                    connection.resume()
        self._close()

    def watch(self, connection: Connection, events: int) -> None:
        """Waits for these events of a connection."""
        before, connection.events = connection.events, events
        if before == events:
            return
        if not before:
            self._selector.register(connection.socket, events, connection)
        elif not events:
            self._selector.unregister(connection.socket)
        else:
            self._selector.modify(connection.socket, events, connection)

    def forget(self, connection: Connection) -> None:
        """A connection has gone: whatever it held is free again."""
        self.watch(connection, 0)
        self.connections.discard(connection)
        if connection.writer:
            self.service.lose_stream(connection.writer)
        if connection.parked is not None:
            self.service.cancel(connection.parked)

    def _answer_calls(self) -> None:
        while self._calls:
            function, result = self._calls.popleft()
            try:
                result.set_result(function())
            except BaseException as error:
                result.set_exception(error)

    def _listen(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ)
        self._listening.append(sock)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(256):
            try:
                sock, _ = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    time.sleep(0.01)  # others must close first
                return
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, self)
            self.connections.add(connection)
            connection.resume()

    def _close(self) -> None:
        while self._writing is not None and self._writing.is_alive():
            self._answer_calls()  # one of which it may be waiting for
            self._writing.join(0.01)
        self._answer_calls()
        for connection in list(self.connections):
            connection.close()
        for sock in self._listening:
            sock.close()
        if self._unix:
            self._unix.unlink(missing_ok=True)
        self._selector.close()
        self._ours.close()
        self._theirs.close()


def allow_connections() -> None:
    """As many open sockets as this process may have at all: each client has one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems allow fewer
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _unix_socket(path: Path) -> socket.socket:
    """Listens at `path`, which only this user may open; a dead server's goes."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        with contextlib.suppress(OSError):
            probe.connect(str(path))
            raise ReplayError(f"{path}: a server is running there")
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    sock.listen(4096)
    return sock
