"""What Prometheus is told at /metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from t2t.decode.answering import Occupancy, Reply

if TYPE_CHECKING:
    from t2t.serve.service import Service

TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Of one server, in a registry of its own."""

    def __init__(self, service: Service) -> None:
        self._all = CollectorRegistry()
        self._requests = Counter(
            "t2t_requests", "Requests that have ended", ["route", "status"],
            registry=self._all,
        )  # fmt: skip
        self._seconds = Histogram(
            "t2t_request_seconds", "From a request's head to its answer's end",
            ["route"], registry=self._all, buckets=SECONDS,
        )  # fmt: skip
        self._tokens = Counter(
            "t2t_tokens", "Tokens of requests and of answers", ["of"],
            registry=self._all,
        )  # fmt: skip
        self._failed = Counter(
            "t2t_reloads_failed", "Newer checkpoints that could not be served",
            registry=self._all,
        )  # fmt: skip

        def rows() -> Occupancy:
            return Occupancy() if service.loading else service.answerer.occupancy

        gauges = {
            "ready": ("1 when it answers", lambda: not service.loading),
            "checkpoint_step": ("Of what is served", lambda: service.step or 0),
            "loads": ("Checkpoints that were served so far", lambda: service.loads),
            "waiting": ("Requests that have not ended", lambda: service.admitted),
            "rows": ("Outputs that can be written at a time", lambda: rows().rows),
            "rows_taken": ("Outputs that are written", lambda: rows().taken),
            "rows_waited_for": ("Outputs that wait", lambda: rows().waiting),
            "steps": ("Calls of the compiled step", lambda: rows().steps),
        }
        for name, (about, found) in gauges.items():
            Gauge(f"t2t_{name}", about, registry=self._all).set_function(found)

    def ended(self, route: str, status: int, seconds: float) -> None:
        """A request has."""
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def replied(self, reply: Reply) -> None:
        """Counts its tokens."""
        self._tokens.labels("requests").inc(reply.asked.total)
        self._tokens.labels("answers").inc(reply.answered.total)

    def reload_failed(self) -> None:
        self._failed.inc()

    def text(self) -> bytes:
        """All of them, in the form that `TYPE` names."""
        return generate_latest(self._all)
