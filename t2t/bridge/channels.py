"""The compiler's ends of the transports, for compilers that are written in Python.

Those in C and C++ have t2t_bridge.h, which opens the same addresses: fifo:BASE,
fd:READ,WRITE, unix:PATH and shm:BASE.
"""

from __future__ import annotations

import abc
import os
import select
import socket
import time
from pathlib import Path

from t2t.bridge import ring
from t2t.names import close_to

TURN = 1 << 16


class NoHost(ConnectionError):
    """The host is gone, or was never there."""


class Channel(abc.ABC):
    """Sends and receives with a deadline.

    Args:
      inlet: a descriptor, readable when there is something.
      timeout: seconds that one call may wait.
    """

    def __init__(self, inlet: int, *, timeout: float) -> None:
        self._in, self._timeout = inlet, timeout
        os.set_blocking(inlet, False)
        self._readable = select.poll()
        self._readable.register(inlet, select.POLLIN)

    @abc.abstractmethod
    def send(self, data: bytes) -> None:
        """Sends all of it.

        Raises:
          NoHost: when nobody reads.
          TimeoutError: when nobody reads in time.
        """

    def receive(self) -> bytes:
        """What comes next, at least one byte.

        Raises:
          NoHost: when nothing will ever come.
          TimeoutError: when nothing does in time.
        """
        if not self._readable.poll(self._timeout * 1e3):
            raise TimeoutError(f"no answer in {self._timeout:g} s")
        if data := os.read(self._in, TURN):
            return data
        raise NoHost("the host is gone")

    def close(self) -> None:
        os.close(self._in)


class Pipes(Channel):
    """Two pipes, named or inherited."""

    def __init__(self, inlet: int, outlet: int, *, timeout: float) -> None:
        super().__init__(inlet, timeout=timeout)
        self._out = outlet
        os.set_blocking(outlet, False)
        self._writable = select.poll()
        self._writable.register(outlet, select.POLLOUT)

    def send(self, data: bytes) -> None:
        rest, until = memoryview(data), time.monotonic() + self._timeout
        while rest:
            try:
                rest = rest[os.write(self._out, rest) :]
            except BlockingIOError:
                left = until - time.monotonic()
                if left <= 0 or not self._writable.poll(left * 1e3):
                    raise TimeoutError("nobody reads") from None
            except (BrokenPipeError, ConnectionResetError):
                raise NoHost("the host is gone") from None

    def close(self) -> None:
        super().close()
        if self._out != self._in:
            os.close(self._out)


class Shared(Channel):
    """Rings in shared memory.

    Args:
      base: of the files.
      spin: seconds that `receive` looks again and again before it sleeps.
    """

    def __init__(self, base: Path, *, timeout: float, spin: float) -> None:
        inlet, self._bell = _fifos(base)
        super().__init__(inlet, timeout=timeout)
        self._pair = ring.Pair.attach(base.with_name(f"{base.name}.ring"))
        self._to, self._from = self._pair.rings
        self._spin = spin

    def send(self, data: bytes) -> None:
        rest, until = memoryview(data), time.monotonic() + self._timeout
        while True:
            sent = self._to.write(rest)
            rest = rest[sent:]
            if sent and self._to.has_sleeping_reader():
                self._ring()
            if not rest:
                return
            self._to.writer_sleeps(True)
            if self._to.full():
                self._sleep(until)
            self._to.writer_sleeps(False)

    def receive(self) -> bytes:
        until = time.monotonic() + self._spin
        while not (data := self._from.read()) and time.monotonic() < until:
            pass
        until += self._timeout
        while not data:
            self._from.reader_sleeps(True)
            if self._from.empty():
                self._sleep(until)
            self._from.reader_sleeps(False)
            data = self._from.read()
        if self._from.has_sleeping_writer():
            self._ring()
        return data

    def _sleep(self, until: float) -> None:
        """Until the bell rings."""
        left = until - time.monotonic()
        if left <= 0 or not self._readable.poll(left * 1e3):
            raise TimeoutError("no answer in time")
        if not os.read(self._in, TURN):
            raise NoHost("the host is gone")

    def _ring(self) -> None:
        try:
            os.write(self._bell, b"!")
        except BlockingIOError:  # it has rung enough
            pass
        except BrokenPipeError:
            raise NoHost("the host is gone") from None

    def close(self) -> None:
        super().close()
        os.close(self._bell)
        self._pair.close()


def _fifos(base: Path) -> tuple[int, int]:
    inlet = os.open(f"{base}.in", os.O_RDONLY | os.O_NONBLOCK)
    return inlet, os.open(f"{base}.out", os.O_WRONLY | os.O_NONBLOCK)


def connect(address: str, *, timeout: float = 10.0, spin: float = 0.0) -> Channel:
    """Opens a host's address.

    Args:
      address: as a `Job` has it in place of `{channel}`.
      timeout: seconds that sending or receiving may wait.
      spin: seconds that a receiver on shared memory does not sleep.

    Raises:
      ValueError: when it is none.
      NoHost: when nobody is there.
    """
    kind, _, place = address.partition(":")
    try:
        if kind == "fifo":
            return Pipes(*_fifos(Path(place)), timeout=timeout)
        if kind == "fd":
            inlet, outlet = (int(number) for number in place.split(","))
            return Pipes(inlet, outlet, timeout=timeout)
        if kind == "unix":
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(place)
            number = connection.detach()
            return Pipes(number, number, timeout=timeout)
        if kind == "shm":
            return Shared(Path(place), timeout=timeout, spin=spin)
    except OSError as error:
        raise NoHost(f"no host at {address}: {error}") from None
    kinds = ("fifo", "fd", "unix", "shm")
    raise ValueError(
        f"{address!r} is no address.{close_to(kind, kinds)} Kinds: {', '.join(kinds)}"
    )
