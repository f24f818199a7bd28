"""A service in this process: the same client and writer, without sockets.

    client = LocalClient(Service([StoreConfig((TableConfig("t"),), chunk_steps=1)]))

Threads may share it. One thread alone must not wait for itself: it asks `room`
before it writes and `ready` before it samples.
"""

from __future__ import annotations

import collections
import threading
import time
from typing import Any

import numpy as np

from t2t.replay import columns, frames
from t2t.replay.service import Service
from t2t.replay.streams import Items, Stream
from t2t.replay.table import Sampled


class LocalClient:
    """What `client.Client` offers, by calls."""

    address = "this process"

    def __init__(self, service: Service) -> None:
        self.service = service
        self.changed = threading.Condition(threading.RLock())

    def info(self) -> dict[str, Any]:
        with self.changed:
            return self.service.info()

    def room(self, table: str, n: int) -> bool:
        """Whether n inserts are allowed just now."""
        with self.changed:
            found = self.service.tables.get(table)
            return found is None or found.limiter.may_insert(n, found.size) == n

    def ready(self, table: str, n: int) -> bool:
        """Whether n samples are allowed just now."""
        with self.changed:
            found = self.service.tables.get(table)
            return found is not None and found.limiter.may_sample(n, found.size) == n

    def sample(self, table: str, n: int, *, timeout: float = 60.0) -> Sampled:
        """n items, or fewer when the limiter did not allow more in time.

        Raises:
          DeadlinePassed: when it allowed none.
        """
        answers: list[Any] = []
        with self.changed:
            self.service.sample(table, n, timeout=timeout, done=answers.append)
            self.changed.notify_all()
            while not answers:
                self.changed.wait(min(1.0, self.service.tick()))
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    def update(self, table: str, keys: np.ndarray, priorities: np.ndarray) -> int:
        """Sets priorities; returns how many of the items were still there."""
        with self.changed:
            return self.service.update(table, keys, priorities)

    def delete(self, table: str, keys: np.ndarray) -> int:
        """Removes items; returns how many were still there."""
        with self.changed:
            count = self.service.delete(table, keys)
            self.changed.notify_all()
        return count

    def reset(self, table: str) -> None:
        """Empties a table and begins its limiter anew."""
        with self.changed:
            self.service.reset(table)
            self.changed.notify_all()

    def connect(self) -> LocalConnection:
        return LocalConnection(self)

    def close(self) -> None:
        pass


class LocalConnection:
    """A writer's line to the service; see `client.Connection`."""

    def __init__(self, client: LocalClient) -> None:
        self._service, self._changed = client.service, client.changed
        self._writer = ""
        self._stream: Stream | None = None
        self._taken: collections.deque[int] = collections.deque()

    def ask(
        self, operation: int, meta: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], None]:
        """Opens or closes the stream."""
        with self._changed:
            if operation == frames.CLOSE:
                self._service.close_stream(self._writer)
                return {}, None
            assert operation == frames.OPEN and meta is not None
            self._writer = meta["writer"]
            signature = columns.from_plain(meta["signature"])
            self._stream = self._service.open_stream(
                self._writer, meta["table"], signature
            )
            return {**self._service.welcome(self._stream), "shared": None}, None

    def send(
        self, operation: int, meta: dict[str, Any], arrays: list[np.ndarray]
    ) -> None:
        """Takes a chunk and its items."""
        stream, service = self._stream, self._service
        assert operation == frames.APPEND and stream is not None
        with self._changed:
            count, rest = meta["steps"], iter(arrays)
            store = service.stores[stream.store]
            assert store is not None
            slot = service.lease(stream) if count else None
            for name in store.signature:
                values = next(rest)
                if slot is not None:
                    store.views(slot, count)[name][:] = values
            if slot is not None:
                service.commit(stream, slot, count)
            items = [
                Items(name, next(rest), next(rest), next(rest))
                for name, _ in meta["items"]
            ]
            service.insert(stream, items, lambda _: self._take(meta["sequence"]))

    def receive(self, *, timeout: float) -> None:
        """Waits until the oldest message has been taken.

        Raises:
          TimeoutError: when it was not in time.
        """
        until = time.monotonic() + timeout
        with self._changed:
            while not self._taken:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._changed.wait(left)
            self._taken.popleft()

    def answered(self) -> bool:
        return bool(self._taken)

    def close(self) -> None:
        with self._changed:
            self._service.lose_stream(self._writer)

    def _take(self, sequence: int) -> None:
        self._taken.append(sequence)
        self._changed.notify_all()
