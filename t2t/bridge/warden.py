"""The process that owns compilers, so that none outlives the host. Run by `wards`.

It starts each in a process group of its own, with a limit of CPU time and a deadline,
and ends whole groups: at the deadline, when asked, when their leader has gone, and all
of them when the host's end of the socket closes, however the host died. Should the
warden itself be killed, Linux kills the compilers that it started.

A file of its own, small and with the standard library alone, because it forks: a host
that holds TensorFlow's threads and memory should not.

Each line it reads is a JSON object: {"id", "argv", "cwd", "env", "cpu", "deadline",
"log", "descriptors"} starts a compiler, {"id", "end": reason} ends one. Each line it
writes says how one ended: {"id", "status", "cpu", "wall", "reason"}.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1
MOST_DESCRIPTORS = 64


class Ward:
    """A compiler that runs."""

    def __init__(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        self.pid = process.pid
        self.process = process  # kept: dropping it would reap behind our back
        self.begun = time.monotonic()
        self.until = self.begun + deadline
        self.reason = ""

    def end(self, reason: str) -> None:
        """Kills the whole group."""
        self.reason = self.reason or reason
        self.until = float("inf")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class Warden:
    """Starts, watches and ends compilers for whoever holds the socket's other end."""

    def __init__(self, host: socket.socket) -> None:
        self.host = host
        self.wards: dict[int, Ward] = {}
        self._text = b""
        self._descriptors: list[int] = []
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Until the host is gone; then ends all that still runs."""
        poll = select.poll()
        poll.register(self.host, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        try:
            while True:
                ready = {fd for fd, _ in poll.poll(self._patience())}
                if self.host.fileno() in ready and not self._listen():
                    return
                if self._woken in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._woken, 4096)
                self._reap()
                now = time.monotonic()
                for ward in self.wards.values():
                    if now >= ward.until:
                        ward.end("deadline")
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            for ward in self.wards.values():
                ward.end("the host is gone")

    def _patience(self) -> float | None:
        """Milliseconds to the next deadline."""
        soonest = min((w.until for w in self.wards.values()), default=float("inf"))
        if soonest == float("inf"):
            return None
        return max(0.0, soonest - time.monotonic()) * 1e3 + 1

    def _listen(self) -> bool:
        data, found, _, _ = socket.recv_fds(self.host, 1 << 16, MOST_DESCRIPTORS)
        self._descriptors += found
        if not data:
            return False
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "end" in request:
                if ward := self.wards.get(request["id"]):
                    ward.end(request["end"])
            else:
                self._start(request)
        return True

    def _start(self, request: dict[str, Any]) -> None:
        count = request["descriptors"]
        passed, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        words = {f"{{{place}}}": str(number) for place, number in enumerate(passed)}
        env = {name: _placed(v, words) for name, v in request["env"].items()}
        try:
            with open(request["log"], "wb") as log:
                process = subprocess.Popen(
                    [_placed(word, words) for word in request["argv"]],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=request["cwd"],
                    env={**os.environ, **env},
                    pass_fds=passed,
                    process_group=0,
                    preexec_fn=_limits(request["cpu"]),
                )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._say(request["id"], reason=f"cannot be started: {error}")
        else:
            self.wards[request["id"]] = Ward(process, request["deadline"])
        finally:
            for number in passed:
                os.close(number)

    def _reap(self) -> None:
        for name, ward in list(self.wards.items()):
            # The group's number is ours until its leader is reaped: first the others.
            if _has_ended(ward.pid):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(ward.pid, signal.SIGKILL)
                _, status, used = os.wait4(ward.pid, 0)
                ward.process.returncode = os.waitstatus_to_exitcode(status)
                del self.wards[name]
                self._say(
                    name,
                    status=ward.process.returncode,
                    cpu=used.ru_utime + used.ru_stime,
                    wall=time.monotonic() - ward.begun,
                    reason=ward.reason,
                )

    def _say(self, name: int, **values: Any) -> None:
        line = {"id": name, "status": -1, "cpu": 0.0, "wall": 0.0, **values}
        self.host.sendall(json.dumps(line).encode() + b"\n")


def _placed(word: str, words: dict[str, str]) -> str:
    for name, number in words.items():
        word = word.replace(name, number)
    return word


def _has_ended(pid: int) -> bool:
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        state = ["ps", "-o", "state=", "-p", str(pid)]
        return subprocess.run(state, capture_output=True).stdout.startswith(b"Z")
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, pid, flags) is not None


def _limits(cpu: int) -> Callable[[], None]:
    """What a compiler does between fork and exec."""
    warden = os.getpid()
    library = ctypes.CDLL(None) if sys.platform == "linux" else None

    def limit() -> None:
        if library is not None:
            library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != warden:
                os._exit(1)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return limit


def main() -> None:
    """warden.py SOCKET FOLDER: the folder goes when the host does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host's to handle
    host = socket.socket(fileno=int(sys.argv[1]))
    try:
        Warden(host).run()
    finally:
        shutil.rmtree(sys.argv[2], ignore_errors=True)


if __name__ == "__main__":
    main()
