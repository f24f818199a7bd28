"""The host's end of the warden: compilers are started, ended and waited for by it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_WARDEN = Path(__file__).with_name("warden.py")
_PATIENCE = 5.0  # seconds that the warden may take to end everything


class Ended(NamedTuple):
    """How a compiler ended."""

    number: int
    status: int  # exit status; minus a signal's number
    cpu: float  # seconds, those of its own children included
    wall: float  # seconds
    reason: str  # why it was ended; '' when it went by itself


class WardenGone(RuntimeError):
    """The warden was killed, and with it the compilers."""


class Wards:
    """A warden, and a folder that goes with it."""

    def __init__(self) -> None:
        # Short: a socket's path has 107 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="t2t-"))
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    _WARDEN,
                    str(theirs.fileno()),
                    self.folder,
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is the host's to handle
            )
        self._text = b""

    def fileno(self) -> int:
        """Is readable when `ended` has something to tell."""
        return self._socket.fileno()

    def start(
        self,
        number: int,
        argv: Sequence[str],
        *,
        deadline: float,
        cpu: int,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        """Starts a compiler; `{0}`, `{1}` in words and variables become inherited
        descriptors.

        Args:
          number: what `ended` and `end` call it.
          argv: no shell sees it.
          deadline, cpu: seconds of the clock and of CPU time.
          log: file for all that it prints.
          cwd: the host's own by default.
          env: variables beside those that the host was made with.
          descriptors: to be inherited.

        Raises:
          WardenGone: when it is.
        """
        request = {
            "id": number,
            "argv": [os.fspath(word) for word in argv],
            "cwd": cwd and os.fspath(cwd),
            "env": dict(env or {}),
            "cpu": cpu,
            "deadline": deadline,
            "log": os.fspath(log),
            "descriptors": len(descriptors),
        }
        self._send(request, descriptors)

    def end(self, number: int, reason: str) -> None:
        """Kills a compiler and its children; `ended` tells when it is done."""
        self._send({"id": number, "end": reason})

    def _send(self, request: dict, descriptors: Sequence[int] = ()) -> None:
        raw = json.dumps(request).encode() + b"\n"
        try:
            if descriptors:
                sent = socket.send_fds(self._socket, [raw], descriptors)
                raw = raw[sent:]
            self._socket.sendall(raw)
        except OSError as error:
            raise WardenGone(f"the warden is gone: {error}") from None

    def ended(self) -> list[Ended]:
        """The compilers that have ended since the last call; it does not wait.

        Raises:
          WardenGone: when it is.
        """
        try:
            data = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            raise WardenGone("the warden was killed, and the compilers with it")
        *lines, self._text = (self._text + data).split(b"\n")
        found = [json.loads(line) for line in lines]
        return [
            Ended(d["id"], d["status"], d["cpu"], d["wall"], d["reason"]) for d in found
        ]

    def close(self) -> None:
        """Ends all that still runs and waits until it has."""
        self._socket.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
