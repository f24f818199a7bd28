"""A server to be fuzzed, what is counted of it, and the claims: for fuzz_serve."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parent.parent
PLACES = 4  # of requests, and of voices
DEADLINE = 90.0  # seconds for any answer: the queue of four and one of a film
GROWTH = 48 * 2**20  # bytes that a part's second half may add


@dataclasses.dataclass(frozen=True)
class Size:
    """Of the server, with its decoding processes."""

    memory: int
    files: int
    threads: int
    processes: int


@dataclasses.dataclass(frozen=True)
class Server:
    """address: host and port; log: what it writes."""

    address: str
    port: int
    process: psutil.Process
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def voice_url(self) -> str:
        return f"ws://{self.address}/v1/realtime"

    def health(self) -> dict[str, Any]:
        """
        Raises:
          OSError: when it does not answer.
        """
        with urllib.request.urlopen(f"{self.url}/healthz", timeout=DEADLINE) as found:
            return json.loads(found.read())

    def admitted(self) -> int:
        """Requests that have not ended."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=DEADLINE) as found:
            lines = found.read().decode().splitlines()
        (line,) = (line for line in lines if line.startswith("t2t_waiting "))
        return int(float(line.split()[1]))

    def size(self) -> Size:
        main = self.process
        children = main.children(recursive=True)
        return Size(
            sum(p.memory_info().rss for p in [main, *children]),
            main.num_fds(), main.num_threads(), 1 + len(children),
        )  # fmt: skip


@contextmanager
def served(run: Path, log: Path) -> Iterator[Server]:
    """`t2t-serve` of a run in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "t2t.bin.serve", f"--output_dir={run}"]
    with log.open("w") as written:
        process = subprocess.Popen(
            [*words, f"--port={port}", f"--max_sessions={PLACES}"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=written,
        )
    server = Server(f"127.0.0.1:{port}", port, psutil.Process(process.pid), log)
    try:
        while not answers(server):
            if process.poll() is not None:
                raise SystemExit(f"t2t-serve has ended: {log.read_text()[-2_000:]}")
            time.sleep(0.5)
        yield server
    finally:
        process.terminate()
        process.wait()


def answers(server: Server) -> bool:
    try:
        return server.health()["status"] == "ok"
    except (OSError, urllib.error.URLError):
        return False


@dataclasses.dataclass
class Part:
    """count: cases; ends: how many of them ended how; slowest: seconds of one."""

    count: int = 0
    ends: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    slowest: float = 0.0


class Cases:
    """What was sent and how it ended.

    failures: {'part', 'claim', 'why', 'case'} of each that broke a claim.
    sizes: of the server, by when.
    """

    CLAIMS = {
        "status": "no 5xx but 503 with Retry-After, no 'failed' event",
        "schema": "answers are of the form that the OpenAPI document says",
        "hang": f"every case ends within {DEADLINE:g} s",
        "health": "/healthz answers afterwards",
        "log": "nothing in the log failed",
        "growth": f"a part's second half adds at most {GROWTH >> 20} MiB and 8 files",
        "places": f"nothing waits at the end, and all {PLACES} places are free",
    }

    def __init__(self, server: Server, seed: int) -> None:
        self.server, self.seed, self.since = server, seed, time.monotonic()
        self.parts: dict[str, Part] = {}
        self.failures: list[dict[str, str]] = []
        self.sizes = [("loaded", server.size())]
        self.name = ""

    def begin(self, name: str) -> None:
        self.name = name
        self.parts[name] = Part()

    @contextmanager
    def case(self, what: Any) -> Iterator[collections.Counter[str]]:
        """One case; how it ended is counted in what it gives."""
        part, begin = self.parts[self.name], time.monotonic()
        part.count += 1
        try:
            yield part.ends
        except TimeoutError:
            part.ends["hang"] += 1
            self.fail("hang", "no answer", what)
        took = time.monotonic() - begin
        part.slowest = max(part.slowest, took)
        if part.count % 100 == 0:
            self._healthy(what)
            print(f"  {part.count}", end="\r", flush=True)

    def fail(self, claim: str, why: str, what: Any) -> None:
        """A claim is broken by a case."""
        case = what if isinstance(what, str) else repr(what)
        self.failures.append(
            {"part": self.name, "claim": claim, "why": why, "case": case[:4_000]}
        )

    def status(self, status: int, headers: Any, body: bytes, what: Any) -> None:
        """Whether an answer over HTTP may be."""
        if status >= 500 and not (status == 503 and headers.get("retry-after")):
            self.fail("status", f"{status}: {body[:300]!r}", what)

    def measure(self, when: str) -> None:
        """Notes how large the server is, when it is at rest."""
        time.sleep(1.0)
        self.sizes.append((f"{self.name} {when}", self.server.size()))

    def end(self) -> None:
        """What is to be seen at the end of all."""
        self._settled()
        self._healthy("the end")
        time.sleep(6.0)  # connections that are kept alive are closed after 5 s
        self.measure("the end")
        self._check_growth()
        self._read_log()

    def _check_growth(self) -> None:
        sizes = dict(self.sizes)
        for name in self.parts:
            half, whole = sizes[f"{name} 2/4"], sizes[f"{name} 4/4"]
            grown = whole.memory - half.memory
            if grown > GROWTH or whole.files > half.files + 8:
                why = f"{grown >> 20} MiB, {half.files} to {whole.files} files"
                self.fail("growth", why, name)

    def claims(self) -> dict[str, str]:
        """What broke each claim, '' for nothing."""
        found = {}
        for claim, words in self.CLAIMS.items():
            broken = [f for f in self.failures if f["claim"] == claim]
            first = f"{len(broken)} times; {broken[0]['why'][:300]}" if broken else ""
            found[words] = first
        return found

    def _read_log(self) -> None:
        """What failed, once for each place and error."""
        log = self.server.log.read_text()
        found = {}
        for text in log.split("Traceback (most recent call last):\n")[1:]:
            trace, error = [], ""
            for line in text.splitlines():
                if not line.startswith(" "):
                    error = line
                    break
                trace.append(line)
            found[error, "".join(trace[-2:])] = text
        for (error, place), text in found.items():
            self.fail("log", f"{error} {' '.join(place.split())}", text)

    def _healthy(self, what: Any) -> None:
        try:
            self.server.health()
        except OSError as error:
            self.fail("health", repr(error), what)

    def _settled(self) -> None:
        """All places are free: nothing waits, and that many voices can be connected,
        where there were any."""
        until = time.monotonic() + DEADLINE
        while self._waiting() and time.monotonic() < until:
            time.sleep(0.1)
        try:
            if waiting := self._waiting():
                raise ValueError(f"{waiting} pieces of work wait")
            if "voice" not in self.parts:
                return
            with ExitStack() as stack:
                for _ in range(PLACES):
                    stack.enter_context(connect(self.server.voice_url))
        except Exception as error:
            self.fail("places", repr(error), "the end")

    def _waiting(self) -> int:
        return self.server.health()["waiting"] + self.server.admitted()
