"""Decoding in processes of their own, which may crash, hang and grow without us.

Decoders of C have had holes for decades. A decoding process opens no file and no
connection, has a limit of memory, and an alarm of the kernel ends it at the deadline.
Starting one takes a third of a second, so up to AT_ONCE wait for the next file; one
that died is replaced.

What goes between is one line of JSON and plain bytes: see `worker.py`.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t.media.limits import Limits, MediaError, MediaUnavailable

AT_ONCE = 2  # files that are decoded together; others wait their turn
USES = 500  # of one process, so that what leaks does not add up
READY = b"ready\n"


def decode(
    kind: str, data: bytes, *, limits: Limits, **options: Any
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What `worker.DECODERS[kind]` gives: (facts, arrays).

    Raises:
      MediaError: when the file is refused, or its decoder crashed or hung.
      MediaUnavailable: when a library is missing.
    """
    with _workers.one() as worker:
        return worker.decode(kind, data, limits, options)


def prepare() -> None:
    """Starts a decoding process ahead of the first file, for servers.

    Raises:
      MediaUnavailable: when it does not start.
    """
    with _workers.one():
        pass


class Worker:
    """A decoding process, used by one thread at a time."""

    def __init__(self) -> None:
        # Ours, wherever it was imported from.
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, os.environ.get("PYTHONPATH", "")]
        one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "t2t.media.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                **one_thread,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            },
        )
        self.uses = 0
        if self._pipes()[1].readline() != READY:
            self.close()
            raise MediaUnavailable(
                "the decoding process could not start: python -m t2t.media.worker "
                "tells why"
            )

    @property
    def usable(self) -> bool:
        return self._process.poll() is None and self.uses < USES

    def decode(
        self, kind: str, data: bytes, limits: Limits, options: dict[str, Any]
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """See `isolation.decode`."""
        self.uses += 1
        request = {
            "kind": kind,
            "size": len(data),
            "limits": dataclasses.asdict(limits),
            "options": options,
        }
        try:
            answer = self._ask(json.dumps(request).encode() + b"\n", data)
            return self._read(answer, limits)
        except (MediaError, MediaUnavailable):
            raise
        except (OSError, EOFError, json.JSONDecodeError):
            raise MediaError(self._obituary(kind, len(data), limits)) from None
        except BaseException:
            # Half an answer may be left in the pipe.
            self.uses = USES
            raise

    def _ask(self, line: bytes, data: bytes) -> dict[str, Any]:
        stdin, stdout = self._pipes()
        stdin.write(line)
        stdin.write(data)
        stdin.flush()
        return json.loads(stdout.readline() or b"{")

    def _read(
        self, answer: dict[str, Any], limits: Limits
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        if "missing" in answer:
            raise MediaUnavailable(answer["missing"])
        if "refused" in answer:
            raise MediaError(answer["refused"])
        arrays = [np.empty(shape, dtype) for dtype, shape in answer["arrays"]]
        for array in arrays:
            view = array.reshape(-1).view(np.uint8).data
            if self._pipes()[1].readinto(view) != len(view):
                raise EOFError
        return answer["facts"], arrays

    def _pipes(self) -> tuple[Any, Any]:
        return self._process.stdin, self._process.stdout

    def _obituary(self, kind: str, size: int, limits: Limits) -> str:
        """Why it is gone, after making sure of it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        self.close()
        status = self._process.returncode
        if status == -signal.SIGALRM:
            return (
                f"a {kind} of {size:,} bytes was not decoded within "
                f"{limits.deadline:g} s"
            )
        return f"a {kind} of {size:,} bytes ended its decoder (status {status})"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes():
            # What could not be written is of no use any more.
            with contextlib.suppress(OSError):
                pipe.close()


class Workers:
    """Those that wait for work; at most AT_ONCE, each started when it is needed."""

    def __init__(self) -> None:
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        self._free = threading.BoundedSemaphore(AT_ONCE)

    @contextlib.contextmanager
    def one(self) -> Iterator[Worker]:
        """A worker of the caller's own."""
        with self._free:
            worker = self._take()
            try:
                yield worker
            finally:
                if worker.usable:
                    self._idle.put(worker)
                else:
                    worker.close()

    def _take(self) -> Worker:
        with contextlib.suppress(queue.Empty):
            while True:
                worker = self._idle.get_nowait()
                if worker.usable:
                    return worker
                worker.close()
        return Worker()

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()


def _start_anew() -> None:
    """After a fork: the pipes are the parent's."""
    global _workers
    _workers = Workers()


_workers = Workers()
atexit.register(lambda: _workers.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
