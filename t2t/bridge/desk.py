"""Compilers that wait while somebody thinks: for environments, which are stepped.

`Host` asks a policy and gives back what is finished. Here whoever steps the compilers
is asked himself:

    with Desk() as desk:
        number = desk.begin(job)
        while not isinstance(told := desk.wait()[number], Episode | Failure):
            desk.answer(number, 1)          # told is a record of what is observed
"""

from __future__ import annotations

from typing import Any

import numpy as np

from t2t.bridge.episodes import Episode, Failure, Job, echo
from t2t.bridge.host import Host, Running
from t2t.bridge.talk import Stream, rows

Told = np.ndarray | Episode | Failure  # a question is a record, shape [1]


class Desk(Host):
    """Owns compilers, and tells what each asks or how it has ended."""

    def __init__(self, **options: Any) -> None:
        super().__init__(echo, parallel=1, **options)
        self._asking: dict[int, tuple[Running, Stream]] = {}
        self._told: dict[int, Told] = {}
        self._busy: set[int] = set()
        self._gone: dict[int, Episode | Failure] = {}  # while it was thought about

    def begin(self, job: Job) -> int:
        """Starts a compiler; the number that it has from now on."""
        self._start(job)
        self._busy.add(self._count)
        return self._count

    def answer(self, number: int, advice: Any) -> None:
        """Answers the question that `wait` told of."""
        if number in self._gone:
            self._told[number] = self._gone.pop(number)
            return
        one, stream = self._asking.pop(number)
        (raw,) = rows(np.array([advice]), stream.advice_spec, 1)
        if not one.broken:
            one.end.write(one.talk.advise(stream, raw))
            if one.end.unsent:
                self._watch(one)
        self._busy.add(number)

    def drop(self, number: int) -> None:
        """Ends a compiler that asks; `wait` tells nothing more of it."""
        if self._gone.pop(number, None) is not None:
            return
        one, _ = self._asking.pop(number)
        self._break(one, "not wanted any more")

    def wait(self) -> dict[int, Told]:
        """What each compiler that was begun or answered asks, or how it ended.

        Raises:
          WardenGone: when the warden was killed.
        """
        while self._busy:
            numbers = {id(one.job): n for n, one in self._running.items()}
            for result in self._turn():
                number = numbers[id(result.job)]
                if number in self._busy:
                    self._busy.discard(number)
                    self._told[number] = result
                elif self._asking.pop(number, None):
                    self._gone[number] = result
        told, self._told = self._told, {}
        return told

    def _answer(self, asking: list[tuple[Running, Stream]]) -> None:
        for one, stream in asking:
            if one.number in self._busy:
                self._busy.discard(one.number)
                self._asking[one.number] = (one, stream)
                raw = stream.records[-1]
                self._told[one.number] = np.frombuffer(raw, stream.header.record)
