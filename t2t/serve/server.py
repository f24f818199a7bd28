"""A server that runs: its socket, its loading, its end."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from t2t.decode.answering import Answerer
from t2t.media import isolation
from t2t.serve.reloading import Checkpoint, Watch
from t2t.serve.routes import app
from t2t.serve.service import ServeOptions, Service

CONNECTIONS = 500  # open at once; more are told so by a status of 503


def serve(
    name: str,
    checkpoint: Checkpoint,
    *,
    options: ServeOptions,
    say: Callable[[str], None],
    reload: float = 0.0,
) -> int:
    """Serves until it is stopped; the exit status.

    Args:
      name: of the run.
      checkpoint: while it is being loaded, requests are told to come again.
      say: tells a line to who started it.
      reload: seconds between two looks for a newer checkpoint; 0 for none.

    Raises:
      OSError: when the address cannot be had.
    """
    running = Running(name, options)
    failed: list[BaseException] = []

    def loading() -> None:
        try:
            running.load(*checkpoint.take())
            say(f"{name} answers at {running.url}")
        except BaseException as error:
            failed.append(error)
            running.server.should_exit = True
            return
        if reload:
            Watch(checkpoint, again, seconds=reload)

    def again() -> None:
        try:
            running.load(*checkpoint.take())
            say(f"{name} answers with the checkpoint of step {running.service.step}")
        except Exception as error:  # the older one goes on
            running.service.metrics.reload_failed()
            say(f"a newer checkpoint cannot be served: {error}")

    say(f"{name} is being loaded; {running.url} for a page to talk to it")
    threading.Thread(target=loading, daemon=True).start()
    running.run()
    if failed:
        raise failed[0]
    return 0


class Running:
    """A server and its open socket.

    Raises:
      OSError: when the address cannot be had.
    """

    def __init__(self, name: str, options: ServeOptions) -> None:
        self.socket = _listening(options.host, options.port)
        port = self.socket.getsockname()[1]
        self.options = dataclasses.replace(options, port=port)
        self.service = Service(name, self.options)
        config = uvicorn.Config(
            app(self.service),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=16 * 2**20,
            ws_max_queue=8,
            h11_max_incomplete_event_size=64 * 1024,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=math.ceil(options.deadline),
            limit_concurrency=CONNECTIONS,
        )
        self.server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        host = self.options.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.options.port}"

    def load(self, answerer: Answerer, step: int | None = None) -> None:
        """Compiles what a run needs that was loaded; then requests are answered.

        Raises:
          MediaUnavailable: when files cannot be read that an omni run is sent.
        """
        if answerer.side:
            isolation.prepare()
        answerer.rehearse()
        self.service.ready(answerer, step=step)

    def run(self) -> None:
        """Until the server is told to stop."""
        try:
            self.server.run(sockets=[self.socket])
        finally:
            self.socket.close()
            self.service.worker.close()

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Runs in a thread while the block is done."""
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.server.should_exit = True
            thread.join()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _drop_stalled(found, 30_000)
        found.bind((host, port))
        found.listen(128)
    except BaseException:
        found.close()
        raise
    return found


def _drop_stalled(found: socket.socket, milliseconds: int) -> None:
    """Connections whose other end takes nothing for so long are closed by the kernel,
    where it can (Linux): what is still to be sent to them would be kept for ever."""
    option: Any = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and sys.platform == "linux":
        found.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
