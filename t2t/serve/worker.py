"""One thread that infers, and a fair queue before it.

A piece of work is an iterator: the worker takes one step of it at a time and goes round
the lanes, one lane for each client, so that nobody waits for another's long answer, and
what a client no longer wants is left after the step that is being taken.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from t2t.decode.fields import RequestError

END = object()  # after the last item
Make = Callable[[], Iterator[Any]]


class Work:
    """What one client waits for: `async for item in work`.

    Args:
      lane: whose turn it takes.
      make: gives the iterator; called by the worker's thread, as are its steps.
      deadline: seconds from now; for all of it.
    """

    def __init__(self, lane: str, make: Make, *, deadline: float) -> None:
        self.lane, self.make = lane, make
        self.until = time.monotonic() + deadline
        self.cancelled = False
        self._iterator: Iterator[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Any] = asyncio.Queue()

    def cancel(self) -> None:
        """Nobody waits any more; no further step is taken."""
        self.cancelled = True

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Items as they come.

        Raises:
          RequestError: after the deadline; and whatever the iterator raises.
        """
        try:
            while (item := await self._items.get()) is not END:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.cancel()

    async def last(self) -> Any:
        """The last item."""
        found = None
        async for item in self:
            found = item
        return found

    # -- in the worker's thread ----------------------------------------------------

    def step(self) -> bool:
        """One more item; whether there may be another."""
        try:
            if self.cancelled:
                return self._end(END)
            if time.monotonic() > self.until:
                raise RequestError(
                    "the answer took too long", code="timeout", status=503
                )
            if self._iterator is None:
                self._iterator = self.make()
            self._give(next(self._iterator))
            return True
        except StopIteration:
            return self._end(END)
        except Exception as error:
            return self._end(error)

    def _end(self, last: Any) -> bool:
        close = getattr(self._iterator, "close", None)
        with contextlib.suppress(Exception):
            if close is not None:
                close()
        self._give(last)
        return False

    def _give(self, item: Any) -> None:
        # The loop may have been closed while the step was taken.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)


class Worker:
    """The thread; `close` ends it."""

    def __init__(self) -> None:
        self._lanes: collections.OrderedDict[str, collections.deque[Work]]
        self._lanes = collections.OrderedDict()
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="t2t-serve", daemon=True)
        self._thread.start()

    def submit(self, lane: str, make: Make, *, deadline: float) -> Work:
        """Puts work at the end of its lane."""
        work = Work(lane, make, deadline=deadline)
        with self._changed:
            self._lanes.setdefault(lane, collections.deque()).append(work)
            self._changed.notify()
        return work

    async def call(
        self, lane: str, function: Callable[[], Any], *, deadline: float = 60.0
    ) -> Any:
        """What a function gives when it is its lane's turn."""
        return await self.submit(
            lane, lambda: iter([function()]), deadline=deadline
        ).last()

    @property
    def waiting(self) -> int:
        """Pieces of work that have not ended."""
        with self._changed:
            return sum(map(len, self._lanes.values()))

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            more = work.step()
            with self._changed:
                lane = self._lanes[work.lane]
                if not more:
                    lane.popleft()
                if not lane:
                    del self._lanes[work.lane]

    def _next(self) -> Work | None:
        """The first of the lane whose turn it is, which then goes to the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lanes or self._closed)
            if self._closed:
                return None
            name = next(iter(self._lanes))
            self._lanes.move_to_end(name)
            return self._lanes[name][0]
