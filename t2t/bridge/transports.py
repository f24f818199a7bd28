"""How bytes get from a compiler to its host and back; the host's ends.

fifo   two named pipes, BASE.out and BASE.in: what LLVM opens
fd     two inherited pipes
unix   a socket in the file system
shm    two rings in shared memory, with fifos for bells: see `ring`

No end ever blocks: what cannot be written now is kept and sent by `flush`. A compiler
that never opens its end, or dies while it does, leaves nobody waiting, since both ends
of a fifo are open here before it starts.
"""

from __future__ import annotations

import abc
import array
import contextlib
import fcntl
import os
import socket
import termios
from pathlib import Path

from t2t.bridge import ring
from t2t.names import close_to

TURN = 1 << 20  # bytes taken at once


class Endpoint(abc.ABC):
    """The host's end of one compiler's channel.

    Attributes:
      address: what the compiler is told.
      descriptors: what it inherits, called {0} and {1} in the address.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.descriptors: list[int] = []
        self._unsent = bytearray()

    @abc.abstractmethod
    def fileno(self) -> int:
        """Is readable when `read` may have something."""

    @abc.abstractmethod
    def outlet(self) -> int:
        """Is writable when `flush` may get on; -1 where `fileno` tells that, too."""

    @abc.abstractmethod
    def read(self) -> bytes | None:
        """What is there now; b'' for nothing, None when nothing will ever come."""

    @abc.abstractmethod
    def _send(self, data: memoryview) -> int:
        """Sends what goes now; how much that was."""

    @abc.abstractmethod
    def close(self) -> None: ...

    def started(self) -> None:
        """The compiler has its descriptors: ours of the same may go."""
        for number in self.descriptors:
            os.close(number)
        self.descriptors = []

    def write(self, data: bytes) -> None:
        """Sends these bytes, now or by `flush`."""
        if self._unsent:
            self._unsent += data
        elif (sent := self._send(memoryview(data))) < len(data):
            self._unsent += data[sent:]

    def flush(self) -> bool:
        """Goes on sending; whether all is sent."""
        if self._unsent:
            with memoryview(bytes(self._unsent[:TURN])) as some:
                del self._unsent[: self._send(some)]
        return not self._unsent

    @property
    def unsent(self) -> int:
        """Bytes that are kept."""
        return len(self._unsent)

    def unread(self) -> bool:
        """Whether the compiler has left answers unread, as far as can be told."""
        return bool(self._unsent)

    def nap(self) -> bool:
        """Before the host waits: whether `fileno` will wake it."""
        return True

    def quiet(self) -> bool:
        """Whether nothing is there, as far as can be told without the system."""
        return True


class _Pipes(Endpoint):
    """Reads from one descriptor, writes to another."""

    def __init__(self, address: str, inlet: int, outlet: int) -> None:
        super().__init__(address)
        self._in, self._out = inlet, outlet
        for number in (inlet, outlet):
            os.set_blocking(number, False)
            _widen(number)

    def fileno(self) -> int:
        return self._in

    def outlet(self) -> int:
        return self._out

    def read(self) -> bytes | None:
        try:
            return os.read(self._in, TURN) or None
        except BlockingIOError:
            return b""

    def unread(self) -> bool:
        left = array.array("i", [0])
        fcntl.ioctl(self._out, termios.FIONREAD, left)
        return super().unread() or left[0] > 0

    def _send(self, data: memoryview) -> int:
        return _write(self._out, data)

    def close(self) -> None:
        self.started()
        os.close(self._in)
        os.close(self._out)


def _widen(pipe: int) -> None:
    """Room for a large question at once, where the system lets a pipe have it."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, TURN)


def _write(number: int, data: memoryview) -> int:
    """To a descriptor that does not block; nobody there counts as sent."""
    try:
        return os.write(number, data)
    except BlockingIOError:
        return 0
    except (BrokenPipeError, ConnectionResetError):
        return len(data)


class Fifo(_Pipes):
    """BASE.out is read, BASE.in is written; the address is BASE."""

    def __init__(self, base: Path) -> None:
        self._paths = [base.with_name(f"{base.name}.{end}") for end in ("out", "in")]
        for path in self._paths:
            os.mkfifo(path, 0o600)
        # Open for both, so that there is never an end of file, whoever comes and goes.
        inlet, outlet = (os.open(p, os.O_RDWR | os.O_NONBLOCK) for p in self._paths)
        super().__init__(f"fifo:{base}", inlet, outlet)

    def close(self) -> None:
        super().close()
        for path in self._paths:
            path.unlink(missing_ok=True)


class Pipes(_Pipes):
    """Inherited pipes: the address is fd:READ,WRITE as the compiler sees them."""

    def __init__(self, base: Path) -> None:
        inlet, theirs_out = os.pipe()
        theirs_in, outlet = os.pipe()
        super().__init__("fd:{0},{1}", inlet, outlet)
        self.descriptors = [theirs_in, theirs_out]


class Unix(Endpoint):
    """A socket that takes one compiler."""

    def __init__(self, base: Path) -> None:
        super().__init__(f"unix:{base}")
        self._path = base
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.bind(str(base))
        self._socket.listen(1)
        self._listens = True

    def fileno(self) -> int:
        return self._socket.fileno()

    outlet = fileno

    def read(self) -> bytes | None:
        if self._listens:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return b""
            connection.setblocking(False)
            self._socket.close()
            self._socket, self._listens = connection, False
        try:
            return self._socket.recv(TURN) or None
        except BlockingIOError:
            return b""
        except ConnectionResetError:
            return None

    def _send(self, data: memoryview) -> int:
        return _write(self._socket.fileno(), data)

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


class Shared(Endpoint):
    """Rings in shared memory; BASE.ring holds them, BASE.in and BASE.out are bells."""

    def __init__(self, base: Path) -> None:
        super().__init__(f"shm:{base}")
        self._bells = Fifo(base)
        self._path = base.with_name(f"{base.name}.ring")
        self._pair = ring.Pair.create(self._path)
        self._from, self._to = self._pair.rings
        self._napping = False

    def fileno(self) -> int:
        return self._bells.fileno()

    def outlet(self) -> int:
        """The compiler rings when it has made room."""
        return -1

    def read(self) -> bytes:
        if self._napping:
            self._from.reader_sleeps(False)
            self._to.writer_sleeps(False)
            self._napping = False
        if not (data := self._from.read()):
            # Rung for something that was seen already, or for room in the other ring.
            self._bells.read()
            data = self._from.read()
        if data and self._from.has_sleeping_writer():
            self._ring()
        return data

    def nap(self) -> bool:
        self._napping = True
        self._from.reader_sleeps(True)
        self._to.writer_sleeps(bool(self._unsent))
        return self._from.empty() and (not self._unsent or self._to.full())

    def quiet(self) -> bool:
        return self._from.empty()

    def unread(self) -> bool:
        return super().unread() or not self._to.empty()

    def _send(self, data: memoryview) -> int:
        sent = self._to.write(data)
        if sent and self._to.has_sleeping_reader():
            self._ring()
        return sent

    def _ring(self) -> None:
        _write(self._bells.outlet(), memoryview(b"!"))

    def close(self) -> None:
        self._pair.close()
        self._bells.close()
        self._path.unlink(missing_ok=True)


TRANSPORTS = {"fifo": Fifo, "fd": Pipes, "unix": Unix, "shm": Shared}


def endpoint(transport: str, base: Path) -> Endpoint:
    """A new channel whose files begin with `base`.

    Raises:
      ValueError: when there is no such transport.
      OSError: when its files cannot be made.
    """
    if transport not in TRANSPORTS:
        raise ValueError(
            f"there is no transport {transport!r}."
            f"{close_to(transport, TRANSPORTS)} Transports: {', '.join(TRANSPORTS)}"
        )
    return TRANSPORTS[transport](base)
