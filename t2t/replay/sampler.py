"""Batches of a table, asked for ahead, so that a learner does not wait for the wire.

A batch that was asked for ahead was drawn before the newest priorities came:
`in_flight` times `workers` batches is how stale it may be, see `staleness`.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator

from t2t.replay import frames
from t2t.replay.client import SPARE, Client, Connection, sampled
from t2t.replay.shared import Mapping, attached
from t2t.replay.streams import DeadlinePassed, ReplayError
from t2t.replay.table import Sampled


class Sampler:
    """An iterator of samples of one size.

    Args:
      client: of the server.
      table: its name.
      batch_size: items of a sample.
      in_flight: samples asked for ahead, on each connection.
      workers: connections.
      shared: gather from the server's memory, where this host has it.
      timeout: seconds that a sample may take.
    """

    def __init__(
        self,
        client: Client,
        table: str,
        batch_size: int,
        *,
        in_flight: int = 2,
        workers: int = 1,
        shared: bool = True,
        timeout: float = 60.0,
    ) -> None:
        self._client, self._timeout = client, timeout
        self._meta = {"table": table, "n": batch_size, "timeout": timeout}
        self._batch_size, self._ahead = batch_size, in_flight * workers
        self._workers, self._shared = workers, shared
        self._mapping: Mapping | None = None
        self._columns: dict[str, tuple[str, int, int | None]] = {}
        self._asked: collections.deque[Connection] = collections.deque()

    @property
    def staleness(self) -> int:
        """Items that may have been drawn before what is known now."""
        return self._ahead * self._batch_size

    def __iter__(self) -> Iterator[Sampled]:
        return self

    def __next__(self) -> Sampled:
        """The sample that was asked for longest ago.

        Raises:
          DeadlinePassed: when the limiter did not allow all of it in time.
          ConnectionError: when the server went away; the next call connects anew.
        """
        if not self._asked:
            self._begin()
        connection = self._asked.popleft()
        try:
            answer = connection.receive(timeout=self._timeout + SPARE)
            found = sampled(*answer)
            if self._mapping is not None:
                data = {
                    name: self._mapping.gather(column, found.rows[:, start:stop])
                    for name, (column, start, stop) in self._columns.items()
                }
                found = found._replace(data=data)
            self._ask(connection, gathered=1)
        except DeadlinePassed:
            self._ask(connection)
            raise
        except OSError:
            self.close()
            raise
        if len(found.keys) < self._batch_size:
            raise DeadlinePassed(
                f"only {len(found.keys)} of {self._batch_size} items of table "
                f"{self._meta['table']} came within {self._timeout:g} s"
            )
        return found

    def close(self) -> None:
        """Gives back the connections, and what was asked for on them."""
        for connection in set(self._asked):
            connection.close()
        self._asked.clear()

    def _begin(self) -> None:
        """Connects, and asks for as much as may be in flight."""
        connections = [self._client.connect() for _ in range(self._workers)]
        self._mapping = None
        if self._shared:
            with contextlib.suppress(ReplayError):  # no writer came yet
                table = {"table": self._meta["table"]}
                meta, _ = connections[0].ask(frames.MAP, table)
                self._mapping = attached(meta["shared"])
                self._columns = meta["columns"]
        for i in range(self._ahead):
            self._ask(connections[i % self._workers])

    def _ask(self, connection: Connection, *, gathered: int = 0) -> None:
        meta = self._meta
        if self._mapping is not None:
            meta = {**meta, "shared": True, "gathered": gathered}
        connection.send(frames.SAMPLE, meta)
        self._asked.append(connection)
