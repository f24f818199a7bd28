"""Encoding in worker processes: chunks out, records back, in order.

Not `multiprocessing.Pool`: its feeder reads the whole corpus into memory, and its
workers outlive a parent that was killed. Here each worker has one pipe. It holds
at most two chunks, so memory is flat; when the pipe's other end goes, however
the parent died, it ends.
"""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from t2t import registry
from t2t.data import records

Chunk = list[dict[str, Any]]
Encoded = tuple[list[bytes], dict[str, int]]  # records, tokens by text feature
AHEAD = 2  # chunks a worker holds


class WorkerFailed(RuntimeError):
    """An example could not be encoded, or a worker died."""


def encode_chunk(problem: Any, chunk: Chunk) -> Encoded:
    """The records of raw examples, and how many tokens each text feature has."""
    features = problem.features
    texts = [n for n, feature in features.items() if feature.sequence]
    made, tokens = [], dict.fromkeys(texts, 0)
    for example in chunk:
        try:
            encoded = problem.encode(example)
            made.append(records.encode(encoded, features))
        except Exception as error:
            raise WorkerFailed(
                f"{type(error).__name__}: {error} in the example {str(example)[:200]}"
            ) from error
        for name in texts:
            tokens[name] += len(encoded[name])
    return made, tokens


class Encoders:
    """Encodes chunks in `processes` workers; with 1 or fewer, in this process."""

    def __init__(self, problem: Any, *, processes: int) -> None:
        self._problem = problem
        self._pipes: list[Any] = []
        self._workers: list[Any] = []
        if processes <= 1:
            return
        context: Any = multiprocessing.get_context(_start_method())
        ends = [context.Pipe() for _ in range(processes)]
        self._pipes = [ours for ours, _ in ends]
        forked = context.get_start_method() == "fork"
        parcel = problem if forked else _pack(problem)
        for i, (_, theirs) in enumerate(ends):
            # A forked worker inherits all ends; it must close those not its own,
            # or no worker would ever see the parent's end go.
            others = [e for k, pair in enumerate(ends) for e in pair if k != i]
            inherited = [*others, ends[i][0]] if forked else []
            worker = context.Process(
                target=_work, args=(theirs, parcel, inherited), daemon=True
            )
            with _unread_script(problem) if not forked else contextlib.nullcontext():
                worker.start()
            self._workers.append(worker)
        for _, theirs in ends:
            theirs.close()

    def encode(self, chunks: Iterable[Chunk]) -> Iterator[Encoded]:
        """Encodes each chunk; results come in the order of the chunks.

        Raises:
          WorkerFailed: with the example that could not be encoded.
        """
        if not self._pipes:
            yield from (encode_chunk(self._problem, chunk) for chunk in chunks)
            return
        waiting: collections.deque[int] = collections.deque()
        for number, chunk in enumerate(chunks):
            if len(waiting) == AHEAD * len(self._pipes):
                yield self._receive(waiting.popleft())
            worker = number % len(self._pipes)
            self._send(worker, chunk)
            waiting.append(worker)
        while waiting:
            yield self._receive(waiting.popleft())

    def _send(self, worker: int, chunk: Chunk) -> None:
        try:
            self._pipes[worker].send(chunk)
        except OSError as error:
            raise self._dead(worker) from error

    def _receive(self, worker: int) -> Encoded:
        try:
            result = self._pipes[worker].recv()
        except (EOFError, OSError) as error:
            raise self._dead(worker) from error
        if isinstance(result, str):
            raise WorkerFailed(result)
        return result

    def _dead(self, worker: int) -> WorkerFailed:
        self._workers[worker].join(5)
        code = self._workers[worker].exitcode
        return WorkerFailed(f"a worker process died with exit status {code}")

    def close(self) -> None:
        """Ends the workers and waits for them."""
        for pipe in self._pipes:
            pipe.close()
        for worker in self._workers:
            worker.join(5)
            if worker.is_alive():
                worker.kill()
                worker.join()
        self._pipes, self._workers = [], []


def _start_method() -> str:
    """fork starts at once, but only a process without other threads may fork."""
    alone = threading.active_count() == 1 and "tensorflow" not in sys.modules
    return "fork" if alone and sys.platform == "linux" else "spawn"


@contextlib.contextmanager
def _unread_script(problem: Any) -> Iterator[None]:
    """A spawned worker begins by running the user's script again, up to its guard
    `if __name__ == "__main__"`. It need not, unless the problem is defined there."""
    script = sys.modules["__main__"]
    path = getattr(script, "__file__", None)
    if path is None or type(problem).__module__ == "__main__":
        yield
        return
    del script.__file__
    try:
        yield
    finally:
        script.__file__ = path


def _pack(problem: Any) -> tuple[list[Path], str, bytes]:
    """A problem for a process that has to import its plug-in folder first."""
    known = registry.current()
    base, _ = registry.split_suffixes(problem.name)
    name = base if base in known.names("problem") else ""
    return known.usr_dirs, name, pickle.dumps(problem)


def _unpack(usr_dirs: list[Path], name: str, pickled: bytes) -> Any:
    for folder in usr_dirs:
        registry.current().add_usr_dir(folder)
    if name:
        registry.current().load("problem", name)
    return pickle.loads(pickled)


def _work(pipe: Any, parcel: Any, inherited: list[Any]) -> None:
    """A worker's life: chunks are read ahead by a thread, so sends never block."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for end in inherited:
        end.close()
    chunks: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pipe, chunks), daemon=True).start()
    try:
        problem = _unpack(*parcel) if isinstance(parcel, tuple) else parcel
        while (chunk := chunks.get()) is not None:
            pipe.send(encode_chunk(problem, chunk))
    except (BrokenPipeError, ConnectionResetError):
        return
    except WorkerFailed as error:
        pipe.send(str(error))
    except Exception:
        pipe.send("a worker failed: " + traceback.format_exc(limit=-1))


def _read(pipe: Any, chunks: queue.SimpleQueue[Chunk | None]) -> None:
    try:
        while True:
            chunks.put(pipe.recv())
    except (EOFError, OSError):
        chunks.put(None)
