"""Batches of a table, asked for ahead, so that a learner does not wait for the wire.

A batch that was asked for ahead was drawn before the newest priorities came:
`in_flight` times `workers` batches is how stale it may be, see `staleness`; the
server shows it in `info`, beside what it measures.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator

import numpy as np

from t2t.replay import frames
from t2t.replay.client import SPARE
from t2t.replay.lines import Line, Lines
from t2t.replay.sampled import Sampled, join, split
from t2t.replay.shared import Mapping, attached
from t2t.replay.streams import DeadlinePassed, ReplayError


class Sampler:
    """An iterator of samples of one size.

    Args:
      client: of the server, or of a service in this process.
      table: its name.
      batch_size: items of a sample.
      in_flight: samples asked for ahead, on each connection.
      workers: connections.
      shared: gather from the server's memory, where this host has it.
      timeout: seconds that a sample may take.
    """

    def __init__(
        self,
        client: Lines,
        table: str,
        batch_size: int,
        *,
        in_flight: int = 2,
        workers: int = 1,
        shared: bool = True,
        timeout: float = 60.0,
    ) -> None:
        for name, value in (
            ("batch_size", batch_size),
            ("in_flight", in_flight),
            ("workers", workers),
        ):
            if value < 1:
                raise ReplayError(f"{name} is at least 1, not {value}")
        self._client, self._timeout = client, timeout
        self._batch_size, self._ahead = batch_size, in_flight * workers
        self._meta = {"table": table, "n": batch_size, "timeout": timeout}
        self._meta["ahead"] = self.staleness
        self._workers, self._shared = workers, shared
        self._mapping: Mapping | None = None
        self._columns: dict[str, tuple[str, int, int | None]] = {}
        self._asked: collections.deque[Line] = collections.deque()
        self._rest: Sampled | None = None  # came too late to make a batch

    @property
    def staleness(self) -> int:
        """Items that may have been drawn before what is known now."""
        return self._ahead * self._batch_size

    def __iter__(self) -> Iterator[Sampled]:
        return self

    def __next__(self) -> Sampled:
        """The sample that was asked for longest ago.

        Raises:
          DeadlinePassed: when the limiter did not allow all of it in time; what it
            allowed comes with the next one.
          ConnectionError: when the server went away; the next call connects anew.
        """
        if not self._asked:
            self._begin()
        connection = self._asked.popleft()
        try:
            found = self._gathered(
                connection.receive_sample(timeout=self._timeout + SPARE)
            )
            if self._shared and self._mapping is None:
                self._look_for_memory()
            self._ask(connection, gathered=int(found.rows.size > 0))
        except DeadlinePassed:
            self._ask(connection)
            raise
        except TimeoutError:
            self._give_up(connection)
            name = self._meta["table"]
            raise DeadlinePassed(
                f"{self._client.address} did not answer for table {name}"
            ) from None
        except BaseException:
            self._give_up(connection)
            raise
        return self._whole(found)

    def close(self) -> None:
        """Gives back the connections, and what was asked for on them."""
        for connection in set(self._asked):
            connection.close()
        self._asked.clear()

    # -- parts -----------------------------------------------------------------------

    def _gathered(self, found: Sampled) -> Sampled:
        """With its data, which are in the server's memory if they did not travel."""
        if self._mapping is None or not found.rows.size:
            return found
        data = {
            name: self._mapping.gather(column, found.rows[:, start:stop])
            for name, (column, start, stop) in self._columns.items()
        }
        return found._replace(data=data)

    def _whole(self, found: Sampled) -> Sampled:
        """A batch of what came now and what was left over before."""
        if self._rest is not None:
            # Whether rows travelled differs when memory was found in between.
            parts = [part._replace(rows=NO_ROWS) for part in (self._rest, found)]
            found = join(parts)
        if len(found.keys) < self._batch_size:
            self._rest = found
            raise DeadlinePassed(
                f"only {len(found.keys)} of {self._batch_size} items of table "
                f"{self._meta['table']} came within {self._timeout:g} s"
            )
        found, self._rest = split(found, self._batch_size)
        return found

    def _give_up(self, connection: Line) -> None:
        connection.close()
        self.close()

    def _begin(self) -> None:
        """Connects, and asks for as much as may be in flight."""
        connections = [self._client.connect() for _ in range(self._workers)]
        self._mapping = None
        if self._shared:
            self._look_for_memory()
        for i in range(self._ahead):
            self._ask(connections[i % self._workers])

    def _look_for_memory(self) -> None:
        """Finds the server's memory, if a writer came and this host has it."""
        connection = self._client.connect()
        with contextlib.suppress(ReplayError):  # no writer came yet
            meta, _ = connection.ask(frames.MAP, {"table": self._meta["table"]})
            self._mapping = attached(meta["shared"])
            self._columns = meta["columns"]
            self._shared = self._mapping is not None
        connection.close()

    def _ask(self, connection: Line, *, gathered: int = 0) -> None:
        meta = {**self._meta, "gathered": gathered}
        if self._mapping is not None:
            meta["shared"] = True
        connection.send(frames.SAMPLE, meta)
        self._asked.append(connection)


NO_ROWS = np.zeros((0, 0), np.int64)
