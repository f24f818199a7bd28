"""Runs compilers and answers them: one loop, the policy asked once for all who wait.

    with Host(policy, parallel=2) as host:
        for result in host.run(jobs):
            ...  # an Episode, or a Failure that says why there is none

Every compiler is owned (`warden`): it ends with its deadline, its limit of CPU time or
its host. LLVM would wait for ever for a host that is gone.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np

from t2t.bridge.codecs import policy_side
from t2t.bridge.episodes import Episode, Failure, Job, Policy, Questions
from t2t.bridge.messages import BadMessage
from t2t.bridge.specs import Header
from t2t.bridge.talk import Stream, Talk, rows
from t2t.bridge.transports import Endpoint, endpoint
from t2t.bridge.wards import Ended, WardenGone, Wards

MOST_KEPT = 1 << 28  # bytes of one compiler's questions
TAIL = 4000  # bytes of what a failed compiler printed


class Running:
    """A compiler, its channel and its conversation."""

    def __init__(self, number: int, job: Job, end: Endpoint, talk: Talk) -> None:
        self.number, self.job, self.end, self.talk = number, job, end, talk
        self.watched = self.outlet = -1  # descriptors in the poll
        self.broken = ""  # why it is being ended


class Host:
    """Owns compilers and answers what they ask.

    Args:
      policy: see `episodes.Policy`.
      parallel: compilers at the same time; as many as processors by default.
      spin: seconds that it looks again and again before it sleeps, for compilers on
        shared memory; more than a processor to spare is wanted for that.
      most_kept: bytes of questions kept of one compiler.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        parallel: int | None = None,
        spin: float = 0.0,
        most_kept: int = MOST_KEPT,
    ) -> None:
        self.policy, self.spin, self.most_kept = policy, spin, most_kept
        self.parallel = parallel or os.cpu_count() or 1
        self._wards = Wards()
        self._running: dict[int, Running] = {}
        self._by_descriptor: dict[int, Running] = {}
        self._headers: dict[Header, Header] = {}
        self._poll = select.poll()
        self._poll.register(self._wards.fileno(), select.POLLIN)
        self._tell_ended = False
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every compiler that still runs, and their children."""
        self._wards.close()
        for one in self._running.values():
            one.end.close()
        self._running.clear()

    def run(self, jobs: Iterable[Job]) -> Iterator[Episode | Failure]:
        """Results as they come, not in the order of the jobs, which are taken as
        there is room for them.

        Raises:
          ValueError: when the policy's answer is of another shape or kind.
          WardenGone: when the warden was killed.
        """
        waiting = iter(jobs)
        try:
            while True:
                while len(self._running) < self.parallel:
                    if (job := next(waiting, None)) is None:
                        break
                    self._start(job)
                if not self._running:
                    return
                yield from self._turn()
        except WardenGone:
            self.close()
            raise
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Ends what still runs, when its results are not wanted any more."""
        for one in self._running.values():
            self._wards.end(one.number, "not wanted any more")
        while self._running:
            for _ in self._turn(answer=False):
                pass

    def _start(self, job: Job) -> None:
        self._count += 1
        base = self._wards.folder / str(self._count)
        side = policy_side(job.codec, advice=job.advice)
        talk = Talk(side, self._headers, most=self.most_kept)
        end = endpoint(job.transport, base)
        one = Running(self._count, job, end, talk)
        place = {"{base}": str(base), "{channel}": end.address}
        try:
            self._wards.start(
                one.number,
                [_placed(word, place) for word in job.argv],
                deadline=job.deadline,
                cpu=job.cpu,
                log=base.with_suffix(".log"),
                cwd=job.cwd,
                env={name: _placed(word, place) for name, word in job.env.items()},
                descriptors=end.descriptors,
            )
        except BaseException:
            end.close()
            raise
        end.started()
        self._running[one.number] = one
        self._watch(one)

    # -- the loop --------------------------------------------------------------------

    def _turn(self, *, answer: bool = True) -> Iterator[Episode | Failure]:
        """Waits until something happens, and does what there is to do."""
        asking: list[tuple[Running, Stream]] = []
        for one in self._ready():
            self._listen(one, asking)
        if asking and answer:
            self._answer(asking)
        if self._tell_ended:
            for ended in self._wards.ended():
                yield self._finish(self._running[ended.number], ended)

    def _ready(self) -> list[Running]:
        """The compilers that may have said something."""
        running = list(self._running.values())
        if self.spin:
            until = time.monotonic() + self.spin
            found = self._look(0)
            while not found and not self._tell_ended and time.monotonic() < until:
                found = [one for one in running if not one.end.quiet()]
            if found or self._tell_ended:
                return found
        awake = [one for one in running if not one.end.nap()]
        found = self._look(0 if awake else None)
        return found + [one for one in awake if one not in found]

    def _look(self, patience: int | None) -> list[Running]:
        events = self._poll.poll(patience)
        by, warden = self._by_descriptor, self._wards.fileno()
        self._tell_ended = any(number == warden for number, _ in events)
        return [by[number] for number, _ in events if number != warden]

    def _listen(self, one: Running, asking: list[tuple[Running, Stream]]) -> None:
        data = one.end.read()
        if data and not one.broken:
            try:
                asking += [(one, stream) for stream in one.talk.feed(data)]
            except BadMessage as error:
                self._break(one, f"the compiler: {error}")
        if one.end.unsent:
            one.end.flush()
        if data is None or one.outlet >= 0 or one.end.fileno() != one.watched:
            self._watch(one, ended=data is None)

    def _break(self, one: Running, reason: str) -> None:
        one.broken = reason
        self._wards.end(one.number, reason)

    def _answer(self, asking: list[tuple[Running, Stream]]) -> None:
        """Asks the policy, once for all with the same header, which is one object."""
        groups: dict[int, list[tuple[Running, Stream]]] = {}
        for pair in asking:
            groups.setdefault(id(pair[1].header), []).append(pair)
        for group in groups.values():
            header = group[0][1].header
            spec = group[0][1].advice_spec
            raw = b"".join([stream.records[-1] for _, stream in group])
            questions = Questions(
                header,
                np.frombuffer(raw, header.record),
                [one.job for one, _ in group],
                [len(stream.advice) for _, stream in group],
                [stream.context for _, stream in group],
            )
            for (one, stream), row in zip(
                group, rows(self.policy(questions), spec, len(group)), strict=True
            ):
                if not one.broken:
                    one.end.write(one.talk.advise(stream, row))
                    if one.end.unsent:
                        self._watch(one)

    def _watch(self, one: Running, *, ended: bool = False) -> None:
        """Keeps the poll in step with what the channel wants to be woken for."""
        watched = -1 if ended or one.broken else one.end.fileno()
        outlet = one.end.outlet() if one.end.unsent and not one.broken else -1
        if (watched, outlet) == (one.watched, one.outlet):
            return
        self._forget(one)
        wanted: dict[int, int] = {}
        if watched >= 0:
            wanted[watched] = select.POLLIN
        if outlet >= 0:
            wanted[outlet] = wanted.get(outlet, 0) | select.POLLOUT
        for number, events in wanted.items():
            self._poll.register(number, events)
            self._by_descriptor[number] = one
        one.watched, one.outlet = watched, outlet

    def _forget(self, one: Running) -> None:
        for number in {one.watched, one.outlet} - {-1}:
            self._poll.unregister(number)
            del self._by_descriptor[number]
        one.watched = one.outlet = -1

    # -- the end ---------------------------------------------------------------------

    def _finish(self, one: Running, ended: Ended) -> Episode | Failure:
        reason, kept = one.broken or ended.reason or _why(ended, one.job), []
        try:
            while not reason and (data := one.end.read()):
                one.talk.feed(data)
            if not reason:
                says_done = one.job.codec == "frames"
                kept = one.talk.trajectories(says_done=says_done)
                if one.end.unread():
                    raise BadMessage("the last answer was not read")
        except BadMessage as error:
            reason = f"the compiler: {error}"
        path = self._wards.folder / f"{one.number}.log"
        log = _tail(path)
        path.unlink(missing_ok=True)
        self._forget(one)
        one.end.close()
        del self._running[one.number]
        told = (ended.status, ended.cpu, ended.wall, log)
        return (
            Failure(one.job, reason, *told) if reason else Episode(one.job, kept, *told)
        )


def _placed(word: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        word = word.replace(name, place)
    return word


def _why(ended: Ended, job: Job) -> str:
    """Why a compiler that ended by itself did not end well."""
    if ended.status == -signal.SIGXCPU or (
        ended.status == -signal.SIGKILL and ended.cpu >= job.cpu
    ):
        return f"more than {job.cpu} s of CPU time"
    if ended.status < 0:
        return f"died of {signal.Signals(-ended.status).name}"
    return f"exit status {ended.status}" if ended.status else ""


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-TAIL:].decode(errors="replace")
    except OSError:
        return ""
