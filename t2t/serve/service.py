"""The run that is served, who may wait for it, and how much of anything is taken."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from t2t import registry
from t2t.decode.answering import Answerer, Reply, Writing
from t2t.decode.fields import RequestError, shown
from t2t.decode.requests import Request, parse
from t2t.media.fetch import Access
from t2t.media.limits import MEGA, Limits
from t2t.serve.metrics import Metrics
from t2t.serve.worker import Work, Worker


@dataclasses.dataclass(frozen=True)
class ServeOptions:
    """How a run is served.

    Args:
      host: to bind to; of a loopback address only requests to it are answered.
      port: 0 for a free one.
      api_key: that clients must show; '' for none.
      max_sessions: requests that may wait at once, and voices that may be connected.
      access: what references in requests may be.
      limits: of decoding what requests carry.
      body: most bytes of a request.
      reading: seconds in which a request's body must have come.
      stalled: seconds after which a client that reads nothing is dropped.
      deadline: seconds for an answer, with its waiting.
      idle: seconds after which a silent voice session is closed.
      seal: of PNG and WAV as they leave.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str = dataclasses.field(default="", repr=False)
    max_sessions: int = 16
    access: Access = Access()
    limits: Limits = Limits(file_bytes=16 * MEGA, seconds=30.0, film_seconds=30.0)
    body: int = 24 * MEGA
    reading: float = 30.0
    stalled: float = 20.0
    deadline: float = 120.0
    idle: float = 600.0
    seal: Callable[[bytes], bytes] = lambda data: data


class Service:
    """A run that is being loaded or answers.

    Args:
      name: of the run, which is the model's for clients.

    step: of its checkpoint; loads: how many checkpoints have been ready.
    """

    def __init__(self, name: str, options: ServeOptions) -> None:
        self.name, self.options = name, options
        self.started = int(time.time())
        self.worker = Worker()
        self._answerer: Answerer | None = None
        self._admitted, self._voices, self._count = 0, 0, 0
        self.step: int | None = None
        self.loads = 0
        self.metrics = Metrics(self)
        self._seconds = 1.0  # an answer lately takes

    def ready(self, answerer: Answerer, *, step: int | None = None) -> None:
        """From now on it answers; what is being answered is finished by the former.

        Args:
          step: of its checkpoint.
        """
        self._answerer, self.step = answerer, step
        self.loads += 1

    @property
    def admitted(self) -> int:
        """Requests that wait or are answered."""
        return self._admitted

    @property
    def loading(self) -> bool:
        return self._answerer is None

    @property
    def answerer(self) -> Answerer:
        """
        Raises:
          RequestError: while the run is being loaded.
        """
        if self._answerer is None:
            raise RequestError(
                f"{self.name} is being loaded", code="loading", status=503
            )
        return self._answerer

    # -- places --------------------------------------------------------------------

    def admit(self) -> Place:
        """A place for a request.

        Raises:
          RequestError: when all are taken, or the run is being loaded.
        """
        _ = self.answerer
        if self._admitted >= self.options.max_sessions:
            raise self.busy(f"{self._admitted} requests wait already")
        self._admitted += 1
        return Place(self)

    @contextlib.contextmanager
    def voice(self) -> Iterator[None]:
        """A place for a voice session.

        Raises: as `admit`.
        """
        _ = self.answerer
        if self._voices >= self.options.max_sessions:
            raise self.busy(f"{self._voices} voices are connected already")
        self._voices += 1
        try:
            yield
        finally:
            self._voices -= 1

    def busy(self, why: str) -> RequestError:
        return RequestError(
            f"{why}: try again in {self.retry_after} s", code="busy", status=429
        )

    @property
    def retry_after(self) -> int:
        """Seconds until a place may be free."""
        return min(60, max(1, math.ceil(self._seconds)))

    def leave(self, place: Place) -> None:
        """Its place is free again."""
        self._admitted -= 1
        self._seconds += 0.2 * (time.monotonic() - place.since - self._seconds)

    # -- requests ------------------------------------------------------------------

    def parse(self, body: Any) -> Request:
        """A request of chat completions, its media read.

        Raises:
          RequestError: for what cannot be read.
        """
        options = self.options
        side = self.answerer.side or 32
        request = parse(body, access=options.access, limits=options.limits, side=side)
        return self.checked(request)

    def checked(self, request: Request) -> Request:
        """A request for this model.

        Raises:
          RequestError: for another model, or modalities that it does not answer in.
        """
        self.check_model(request.model)
        return dataclasses.replace(request, model=self.name, seal=self.options.seal)

    def check_model(self, model: str) -> None:
        """
        Raises:
          RequestError: for another model's name.
        """
        if model not in ("", self.name):
            hint = registry.close_to(model[:80], [self.name])
            raise RequestError(
                f"there is no model {shown(model)}, only {self.name!r}.{hint}",
                param="model",
                code="model_not_found",
                status=404,
            )

    def submit(self, lane: str, request: Request) -> Work:
        """A request's deltas and reply, when it is its lane's turn."""
        answerer = self.answerer
        if answerer.together:  # its rows are shared in turns: nobody waits here
            request = dataclasses.replace(request, client=lane)
            self._count += 1
            lane = f"{lane} {self._count}"
        return self.worker.submit(
            lane,
            lambda: self._counted(answerer.answer(request)),
            deadline=self.options.deadline,
        )

    def _counted(self, writing: Writing) -> Writing:
        """The same; what it took is in the metrics."""
        try:
            for item in writing:
                if isinstance(item, Reply):
                    self.metrics.replied(item)
                yield item
        finally:  # a row that nobody waits for is left at once
            if isinstance(writing, Generator):
                writing.close()


class Place:
    """Of one request among those that wait; freed once."""

    def __init__(self, service: Service) -> None:
        self._service: Service | None = service
        self.since = time.monotonic()

    def free(self) -> None:
        if self._service is not None:
            self._service.leave(self)
            self._service = None

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: Any) -> None:
        self.free()


def name_of(run: str | Path) -> str:
    """What clients call a run's model: the folder's name."""
    return Path(run).resolve().name
