"""A service in this process: the same client and writer, without sockets.

    client = LocalClient(Service([StoreConfig((TableConfig("t"),), chunk_steps=1)]))

Threads may share it. One thread alone must not wait for itself: it asks `room`
before it writes and `ready` before it samples.
"""

from __future__ import annotations

import collections
import threading
from typing import Any

import numpy as np

from t2t.replay import columns, frames
from t2t.replay.columns import Signature
from t2t.replay.sampled import Sampled
from t2t.replay.service import Service
from t2t.replay.streams import DeadlinePassed, Items, Stream

KNOWN = {"max_size": 0}  # of a table that is not there: the service refuses it


class LocalClient:
    """What `client.Client` offers, by calls.

    Args:
      service: by whose clock deadlines are measured.
    """

    address = "this process"

    def __init__(self, service: Service) -> None:
        self.service, self.clock = service, service.clock
        self.changed = threading.Condition(threading.RLock())

    def info(self, *, detail: bool = False) -> dict[str, Any]:
        with self.changed:
            return self.service.info(detail=detail)

    def signature(self, table: str, *, timeout: float = 60.0) -> Signature:
        """{name in a batch: Column([T, …])} of an item, once a writer told the steps.

        Raises:
          DeadlinePassed: when none came in time.
        """
        until = self.clock() + timeout
        with self.changed:
            while "max_size" not in self.service.info()["tables"].get(table, KNOWN):
                if self.clock() > until:
                    raise DeadlinePassed(f"table {table}: no writer came in time")
                self.changed.wait(0.05)
            return self.service.table(table).batch_signature

    def look(self, table: str, n: int, *, order: str = "newest") -> Sampled:
        """Some items without sampling them: newest, oldest, highest or lowest."""
        with self.changed:
            return self.service.look(table, n, order)

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
        answers: collections.deque[Any] = collections.deque()
        with self.changed:
            self.ask_for(table, n, timeout, answers)
            return self.wait_for(answers)

    def ask_for(
        self, table: str, n: int, timeout: float, answers: collections.deque[Any]
    ) -> None:
        """Asks for a sample that `wait_for` waits for."""
        with self.changed:
            self.service.sample(table, n, timeout=timeout, done=answers.append)
            self.changed.notify_all()

    def wait_for(self, answers: collections.deque[Any]) -> Sampled:
        """The oldest answer; the service answers all before their deadlines."""
        with self.changed:
            while not answers:
                nearest = self.service.tick()  # may be what answers
                if not answers:
                    self.changed.wait(min(1.0, nearest))
            found = answers.popleft()
        if isinstance(found, Exception):
            raise found
        return found

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

    def connect(self, *, timeout: float = 10.0) -> LocalConnection:
        return LocalConnection(self)

    def close(self) -> None:
        pass


class LocalConnection:
    """A writer's or a sampler's line to the service; see `client.Connection`."""

    torn = False

    def __init__(self, client: LocalClient) -> None:
        self._client = client
        self._service, self._changed = client.service, client.changed
        self._writer = ""
        self._stream: Stream | None = None
        self._taken: collections.deque[int] = collections.deque()
        self._samples: collections.deque[Any] = collections.deque()

    def ask(
        self,
        operation: int,
        meta: dict[str, Any] | None = None,
        arrays: list[np.ndarray] | None = None,
        *,
        timeout: float = 60.0,
    ) -> tuple[dict[str, Any], None]:
        """Opens or closes the stream, or tells of a table."""
        with self._changed:
            if operation == frames.CLOSE:
                self._service.close_stream(self._writer)
                return {}, None
            assert meta is not None
            if operation == frames.MAP:  # nothing is nearer than this process
                return {**self._service.described(meta["table"]), "shared": None}, None
            assert operation == frames.OPEN
            self._writer = meta["writer"]
            signature = columns.from_plain(meta["signature"])
            self._stream = self._service.open_stream(
                self._writer, meta["table"], signature
            )
            return {**self._service.welcome(self._stream), "shared": None}, None

    def send(
        self,
        operation: int,
        meta: dict[str, Any] | None = None,
        arrays: list[np.ndarray] | None = None,
        *,
        timeout: float = 60.0,
    ) -> None:
        """Takes a chunk and its items, or asks for a sample."""
        assert meta is not None
        if operation == frames.SAMPLE:
            table, n, within = meta["table"], meta["n"], meta["timeout"]
            self._client.ask_for(table, n, within, self._samples)
            return
        assert operation == frames.APPEND
        with self._changed:
            self._append(meta, arrays or [])

    def _append(self, meta: dict[str, Any], arrays: list[np.ndarray]) -> None:
        stream, service = self._stream, self._service
        assert stream is not None
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
            Items(name, next(rest), next(rest), next(rest)) for name, _ in meta["items"]
        ]
        service.insert(stream, items, lambda _: self._take(meta["sequence"]))

    def receive_sample(self, *, timeout: float) -> Sampled:
        """The sample that was asked for longest ago; it has its own deadline."""
        return self._client.wait_for(self._samples)

    def receive(self, *, timeout: float) -> None:
        """Waits until the oldest message has been taken.

        Raises:
          TimeoutError: when it was not in time.
        """
        clock = self._client.clock
        until = clock() + timeout
        with self._changed:
            while not self._taken:
                left = until - clock()
                if left <= 0:
                    raise TimeoutError
                self._changed.wait(left)
            self._taken.popleft()

    def answered(self) -> bool:
        return bool(self._taken)

    def close(self) -> None:
        with self._changed:
            self._service.cancel(self._samples.append)
            if self._writer:
                self._service.lose_stream(self._writer)

    def _take(self, sequence: int) -> None:
        self._taken.append(sequence)
        self._changed.notify_all()
