"""What writers and samplers ask of: a server, or a service in this process."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from t2t.replay.columns import Signature
from t2t.replay.sampled import Sampled


class Line(Protocol):
    """A connection."""

    torn: bool  # in the middle of a frame

    def ask(
        self,
        operation: int,
        meta: dict[str, Any] | None = None,
        arrays: list[np.ndarray] | None = None,
        *,
        timeout: float = ...,
    ) -> Any: ...

    def send(
        self,
        operation: int,
        meta: dict[str, Any] | None = None,
        arrays: list[np.ndarray] | None = None,
        *,
        timeout: float = ...,
    ) -> None: ...

    def receive(self, *, timeout: float) -> Any: ...

    def receive_sample(self, *, timeout: float) -> Sampled: ...

    def answered(self) -> bool: ...

    def close(self) -> None: ...


class Lines(Protocol):
    """What gives connections: `client.Client`, `local.LocalClient`."""

    address: str

    def connect(self, *, timeout: float = ...) -> Line: ...

    def signature(self, table: str, *, timeout: float = ...) -> Signature: ...
