"""Writes steps, and items over them, to a replay server.

    with Writer(client, "table") as writer:
        writer.append({"observation": x, "action": a, "reward": r})
        writer.create_item("table", length=5, priority=1.0)
        writer.end_episode()

Steps travel in chunks, each with the items that end in it, in numbered messages of
which a few may be unacknowledged. The server does not acknowledge a message before
the limiter lets its items in: a writer that is too fast waits. After a lost
connection the writer asks which message was the last to be taken and sends the
rest again, so that every item gets in once.
"""

from __future__ import annotations

import collections
import math
import random
import time
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from t2t.replay import columns, frames
from t2t.replay.client import ServerGone
from t2t.replay.clock import Clock, steady
from t2t.replay.columns import Signature
from t2t.replay.lines import Line, Lines
from t2t.replay.patterns import Pattern
from t2t.replay.shared import Mapping, attached
from t2t.replay.streams import DeadlinePassed, ReplayError

SCALARS = (int, float, bool)
MAX = math.nan  # on the wire: the greatest priority of the table so far


class _Message(NamedTuple):
    """A chunk and its items, kept until the server has taken them."""

    sequence: int
    meta: dict[str, Any]
    columns: list[np.ndarray]
    items: list[np.ndarray]
    slot: int | None  # where the columns are in the server's memory, if they are


def _recovered(message: _Message) -> _Message:
    """The message with its columns out of a server's memory."""
    if message.slot is None:
        return message
    columns = [column.copy() for column in message.columns]
    return message._replace(columns=columns, slot=None)


class Writer:
    """One stream of steps.

    Args:
      client: of the server.
      table: one of the tables that the steps are for.
      signature: of a step; that of the first step by default.
      in_flight: messages that may wait for the limiter.
      timeout: seconds that a call may wait before `DeadlinePassed`; reconnecting
        counts, too.
      shared: fill the server's memory, where this host has it.
      patterns: items that the writer makes by itself.
      resume: the `state` of a writer whose stream a restored server knows.
      clock: of the deadlines.
    """

    def __init__(
        self,
        client: Lines,
        table: str,
        *,
        signature: Signature | None = None,
        in_flight: int = 2,
        timeout: float = 60.0,
        shared: bool = True,
        patterns: Sequence[Pattern] = (),
        resume: dict[str, Any] | None = None,
        clock: Clock = steady,
    ) -> None:
        before = resume or {"name": uuid.uuid4().hex, "sequence": 0, "steps": 0}
        self._client, self._table = client, table
        self._in_flight, self._timeout, self._clock = in_flight, timeout, clock
        self._name: str = before["name"]
        self._connection: Line | None = None
        self._signature: Signature = {}
        self._windows: dict[str, int] = {}
        self._waiting: collections.deque[_Message] = collections.deque()
        self._sent = 0  # of `_waiting`, how many are on this connection
        self._sequence: int = before["sequence"]
        self._acknowledged = self._sequence  # of the last message that was taken
        self.steps: int = before["steps"]  # appended in all
        self._committed = self.steps  # steps in the messages that were taken
        self._episode: int = before.get("episode", 0)  # the step it began with
        self._count = 0  # steps in the chunk that is being filled
        self._chunk: dict[str, np.ndarray] = {}
        self._spare: list[dict[str, np.ndarray]] = []  # buffers to be filled again
        self._shared = shared
        self._mapping: Mapping | None = None
        self._granted: collections.deque[int] = collections.deque()
        self._slot: int | None = None  # that `_chunk` is in, in the server's memory
        self._items: dict[str, list[tuple[int, int, float]]] = {}
        # With the step at which each fitted last, -1 before.
        self._patterns = {pattern: -1 for pattern in patterns}
        if signature is not None:
            self._begin(signature)

    # -- what a user calls -----------------------------------------------------------

    def append(self, step: dict[str, Any]) -> None:
        """Adds a step of the episode.

        Raises:
          BadStep: for values that are not of the signature.
          DeadlinePassed: when the limiter let nothing in for `timeout` seconds; the
            step was not added.
        """
        if not self._signature:
            self._begin(columns.signature_of(step))
        if self._count == self._size:
            self._send_chunk()
        if step.keys() != self._signature.keys():
            columns.check_step(step, self._signature)
        for name, column in self._signature.items():
            value = step[name]
            if type(value) not in SCALARS or column.shape:
                value = np.asarray(value)
                if value.shape != column.shape or value.dtype != column.dtype:
                    value = columns.check_step(step, self._signature)[name]
            self._chunk[name][self._count] = value
        self._count += 1
        self.steps += 1
        if self._patterns:
            self._match(step, end=False)

    def create_item(
        self, table: str, *, length: int = 1, priority: float | str = 1.0
    ) -> None:
        """An item over the last `length` steps, which must be of this episode.

        Args:
          priority: a number, or 'max' for the greatest of the table so far.

        Raises:
          ReplayError: when the table or so many steps are not there.
        """
        if table not in self._windows:
            names = ", ".join(self._windows) or "none before the first step"
            raise ReplayError(f"this writer writes to {names}, not to {table!r}")
        if not 1 <= length <= min(self._windows[table], self.episode_steps):
            raise ReplayError(
                f"an item of {length} steps: table {table} takes 1 to "
                f"{self._windows[table]}, and the episode has {self.episode_steps}"
            )
        value = MAX if priority == "max" else float(priority)
        if priority != "max" and not (value >= 0 and math.isfinite(value)):
            raise ReplayError(f"a priority is 0 or more, or 'max', not {priority!r}")
        self._items.setdefault(table, []).append((self.steps, length, value))

    @property
    def episode_steps(self) -> int:
        """Steps of this episode so far."""
        return self.steps - self._episode

    def end_episode(self) -> None:
        """The next step begins another episode; no item lies over both."""
        if self._patterns and self.episode_steps:
            self._match({}, end=True)
        self._episode = self.steps

    def flush(self) -> None:
        """Waits until the server has taken everything.

        Raises:
          DeadlinePassed: when it did not in `timeout` seconds; nothing is lost, and
            `flush` may be called again.
        """
        if not self._signature:
            return  # nothing was appended yet
        if self._count or self._items:
            self._send_chunk()
        self._until(lambda: not self._waiting)

    def state(self) -> dict[str, Any]:
        """Flushes; JSON values for `resume`."""
        self.flush()
        return {
            "name": self._name,
            "sequence": self._sequence,
            "steps": self.steps,
            "episode": self._episode,
        }

    def close(self) -> None:
        """Flushes and ends the stream."""
        if not self._signature:
            return
        self.flush()
        if self._connection is not None:
            self._connection.ask(frames.CLOSE, timeout=self._timeout)
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is None:
            self.close()
        elif self._connection is not None:
            self._connection.close()

    # -- parts -----------------------------------------------------------------------

    def _begin(self, signature: Signature) -> None:
        self._signature = columns.ordered(signature)
        try:
            self._until(lambda: self._connection is not None)
        except ReplayError:
            self._signature = {}
            raise
        self._chunk = self._buffers()

    def _match(self, step: dict[str, Any], *, end: bool) -> None:
        """Makes the items of the patterns that fit the step just appended."""
        for pattern, last in self._patterns.items():
            if pattern.at_end != end or pattern.length > self.episode_steps:
                continue
            facts = {
                **step,
                "step": self.episode_steps - 1,
                "since": self.steps - 1 - last,
                "end": int(end),
            }
            if pattern.fits(facts):
                self._patterns[pattern] = self.steps - 1
                self.create_item(
                    pattern.table, length=pattern.length, priority=pattern.priority
                )

    def _buffers(self) -> dict[str, np.ndarray]:
        self._slot = None
        if self._mapping is not None and self._granted:
            self._slot = self._granted.popleft()
            return self._mapping.views(self._slot)
        if self._spare:
            return self._spare.pop()
        return {
            name: np.empty((self._size, *column.shape), column.dtype)
            for name, column in self._signature.items()
        }

    def _send_chunk(self) -> None:
        """Puts the chunk and its items into the queue, and waits for room in it."""
        self._until(lambda: len(self._waiting) < self._in_flight)
        self._sequence += 1
        chunk = [self._chunk[name][: self._count] for name in self._signature]
        items = []
        for values in self._items.values():
            ends, lengths, priorities = zip(*values, strict=True)
            items += [np.array(ends, np.int64), np.array(lengths, np.int64)]
            items.append(np.array(priorities, np.float64))
        meta = {
            "sequence": self._sequence,
            "steps": self._count,
            "items": [[name, len(values)] for name, values in self._items.items()],
        }
        self._waiting.append(_Message(self._sequence, meta, chunk, items, self._slot))
        self._chunk, self._count, self._items = self._buffers(), 0, {}
        self._until(lambda: self._sent == len(self._waiting))

    def _until(self, reached: Any) -> None:
        """Sends, receives and reconnects until something is reached."""
        until = self._clock() + self._timeout
        pause = 0.01
        while True:
            try:
                self._work(until)
                if reached():
                    return
                self._receive(until)
                pause = 0.01
            except TimeoutError:
                if self._connection is not None and self._connection.torn:
                    self._lose()
                raise DeadlinePassed(
                    f"{self._client.address} took nothing for {self._timeout:g} s: "
                    f"{len(self._waiting)} messages wait for table {self._table}"
                ) from None
            except OSError as error:
                self._lose()
                if self._clock() > until:
                    raise ServerGone(f"{self._client.address}: {error}") from error
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(1.0, 2 * pause)

    def _work(self, until: float) -> None:
        """Connects if need be, and sends what is not on this connection."""
        if self._connection is None:
            self._connect(until)
        assert self._connection is not None
        while self._sent < len(self._waiting):
            message = self._waiting[self._sent]
            meta, arrays = message.meta, [*message.columns, *message.items]
            if message.slot is not None:
                meta, arrays = {**meta, "slot": message.slot}, message.items
            left = until - self._clock()
            self._connection.send(frames.APPEND, meta, arrays, timeout=left)
            self._sent += 1
        while self._sent and self._connection.answered():
            self._receive(until)

    def _receive(self, until: float) -> None:
        """Waits for one acknowledgement."""
        if not self._sent:
            return
        left = until - self._clock()
        if left <= 0:
            raise TimeoutError
        assert self._connection is not None
        answer = self._connection.receive(timeout=left)
        if answer is not None and answer[0].get("slot") is not None:
            self._granted.append(answer[0]["slot"])
        self._taken(self._waiting[0].sequence)

    def _taken(self, sequence: int) -> None:
        """The server has taken all messages up to this one."""
        while self._waiting and self._waiting[0].sequence <= sequence:
            message = self._waiting.popleft()
            self._acknowledged = message.sequence
            self._committed += message.meta["steps"]
            self._reuse(message)
            self._sent = max(0, self._sent - 1)

    def _reuse(self, message: _Message) -> None:
        """Its buffers may be filled again, if they are our own."""
        whole = message.meta["steps"] == self._size
        if message.slot is None and whole and self._mapping is None:
            self._spare.append(dict(zip(self._signature, message.columns, strict=True)))

    def _connect(self, until: float) -> None:
        left = max(0.0, until - self._clock())
        connection = self._client.connect(timeout=min(10.0, left))
        request = {
            "writer": self._name,
            "table": self._table,
            "signature": columns.plain(self._signature),
            "sequence": self._acknowledged,
            "steps": self._committed,
            "slots": self._in_flight + 1 if self._shared else 0,
        }
        try:
            left = until - self._clock()
            meta, _ = connection.ask(frames.OPEN, request, timeout=left)
        except BaseException:
            connection.close()
            raise
        self._connection, self._sent = connection, 0
        self._size, self._windows = int(meta["chunk_steps"]), dict(meta["windows"])
        self._mapping = attached(meta["shared"]) if self._shared else None
        self._granted.extend(meta.get("slots", ()))
        self._taken(int(meta["sequence"]))
        self._sent = 0

    def _lose(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._sent = None, 0
        # What was in the server's memory is ours again, before it gives slots away.
        if self._slot is not None:
            self._chunk = {name: a.copy() for name, a in self._chunk.items()}
        self._granted.clear()
        self._slot = None
        self._waiting = collections.deque(map(_recovered, self._waiting))
