"""Who is decoded next: requests that wait, rows that are free, and what comes of them.

No model is known here. Rows come from `Rows`, such as `t2t.decode.slots.Slots`; whoever
waits for a ticket calls `advance` until it has news, and thereby moves all others on.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any, Protocol

Output = tuple[list[int], float]  # tokens, and a score


@dataclasses.dataclass(frozen=True)
class Written:
    """tokens: so far, of the best. outputs: all, best first, when it is done."""

    tokens: list[int]
    outputs: list[Output] | None = None


class Rows(Protocol):
    """So many outputs as are written at a time."""

    @property
    def free(self) -> int:
        """Rows that may still be joined."""
        ...

    def join(self, prompt: Any) -> int:
        """Begins a row; its handle."""
        ...

    def leave(self, handle: int) -> None:
        """Nobody wants it any more."""
        ...

    def step(self) -> dict[int, Written]:
        """More of every row; those that are done are left."""
        ...


@dataclasses.dataclass(eq=False)
class Ticket:
    """Of one prompt.

    written: what is there by now.
    news: whether there is more than when it was last looked at by `look`.
    """

    prompt: Any
    lane: str
    handle: int | None = None
    written: Written = dataclasses.field(default_factory=lambda: Written([]))
    news: bool = False
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.written.outputs is not None

    def look(self) -> Written:
        """What is written.

        Raises: what kept its prompt from being begun.
        """
        self.news = False
        if self.error is not None:
            raise self.error
        return self.written


class Batcher:
    """Rows that are filled from lanes in turn, so that nobody's many keep out another.

    steps: how many were taken. Not safe for threads: one owns it.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows, self.steps = rows, 0
        self._lanes: collections.OrderedDict[str, collections.deque[Ticket]]
        self._lanes = collections.OrderedDict()
        self._joined: dict[int, Ticket] = {}

    @property
    def waiting(self) -> int:
        """Tickets without a row."""
        return sum(map(len, self._lanes.values()))

    @property
    def taken(self) -> int:
        """Rows that are written."""
        return len(self._joined)

    def submit(self, prompt: Any, lane: str = "") -> Ticket:
        """Puts a prompt at the end of its lane."""
        ticket = Ticket(prompt, lane)
        self._lanes.setdefault(lane, collections.deque()).append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Nobody waits for it any more; its row is free, if it has one."""
        if ticket.handle is not None:
            if self._joined.pop(ticket.handle, None) is not None:
                self.rows.leave(ticket.handle)
        elif ticket in self._lanes.get(ticket.lane, ()):
            self._lanes[ticket.lane].remove(ticket)
            self._drop_empty(ticket.lane)

    def advance(self) -> None:
        """Fills the free rows, and takes a step of all."""
        while self._lanes and self.rows.free:
            self._join(self._next())
        if not self._joined:
            return
        self.steps += 1
        for handle, written in self.rows.step().items():
            ticket = self._joined[handle]
            ticket.written, ticket.news = written, True
            if ticket.done:
                del self._joined[handle]

    def _next(self) -> Ticket:
        """The first of the lane whose turn it is, which then goes to the end."""
        name = next(iter(self._lanes))
        ticket = self._lanes[name].popleft()
        self._lanes.move_to_end(name)
        self._drop_empty(name)
        return ticket

    def _join(self, ticket: Ticket) -> None:
        try:
            ticket.handle = self.rows.join(ticket.prompt)
        except Exception as error:  # its own alone
            ticket.error, ticket.news = error, True
        else:
            self._joined[ticket.handle] = ticket

    def _drop_empty(self, name: str) -> None:
        if not self._lanes[name]:
            del self._lanes[name]
