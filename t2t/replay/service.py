"""The service: stores, tables and writers' streams, for one thread.

Nothing here waits: what cannot be done yet is parked, in order, and `done` is
called once it is. The server puts sockets around it, `local` puts a lock.

A writer's stream is a run of steps cut into chunks, sent as numbered messages: a
chunk, and the items that end in it. The last number that was taken is kept, so a
message that is sent again after a reconnect is not taken twice.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from t2t.names import close_to
from t2t.replay import columns
from t2t.replay.chunks import ChunkStore, OutOfSlots
from t2t.replay.clock import Clock, steady
from t2t.replay.columns import Signature
from t2t.replay.parked import Done, Insert, Sample, why, without
from t2t.replay.sampled import Sampled, join
from t2t.replay.streams import DeadlinePassed, Items, ReplayError, Stream
from t2t.replay.table import Table, TableConfig

LINGER = 600.0  # seconds for which the stream of a lost writer is kept, by default


@dataclasses.dataclass(frozen=True)
class StoreConfig:
    """Chunks of one kind of step, and the tables over them.

    Args:
      tables: their configurations.
      signature: of a step; None takes that of the first writer.
      chunk_steps: K, steps of a chunk.
      max_steps: steps kept; by default one for each item of the largest table. When
        they run out the remover of the largest table makes room.
      writers: that may hold unfinished chunks at the same time.
      folder: for columns on disk, see `t2t.replay.columns.allocate`.
      shared: the folder is in memory; clients on this host write and read there.
      packing: {column: how it is packed}, see `t2t.replay.packing`.
    """

    tables: tuple[TableConfig, ...]
    signature: Signature | None = None
    chunk_steps: int = 32
    max_steps: int = 0
    writers: int = 64
    folder: Path | None = None
    shared: bool = False
    packing: dict[str, str] | None = None

    @property
    def slots(self) -> int:
        steps = self.max_steps or max(table.max_size for table in self.tables)
        longest = max(table.window for table in self.tables)
        held = -(-longest // self.chunk_steps) + 1
        if self.shared:
            held += 4  # that a writer fills, or that a sampler gathers from
        return -(-steps // self.chunk_steps) + self.writers * held


class Service:
    """Tables by name, and the requests that wait for them.

    Args:
      stores: see `StoreConfig`.
      seed: of the random selectors.
      clock: of deadlines, ages, and how long a lost writer is waited for.
      linger: seconds of that; its steps and what it was filling are kept so long.
    """

    def __init__(
        self,
        stores: list[StoreConfig],
        *,
        seed: int = 0,
        clock: Clock = steady,
        linger: float = LINGER,
    ) -> None:
        self.configs, self.seed, self.clock = stores, seed, clock
        self.linger = linger
        self.stores: list[ChunkStore | None] = [None] * len(stores)
        self.tables: dict[str, Table] = {}
        self.streams: dict[str, Stream] = {}
        self._store_of = {t.name: i for i, s in enumerate(stores) for t in s.tables}
        if len(self._store_of) < sum(len(s.tables) for s in stores):
            raise ReplayError("two tables have the same name")
        self._looked = clock()  # for lost writers
        self._inserts: dict[str, collections.deque[Insert]] = {}
        self._samples: dict[str, collections.deque[Sample]] = {}
        for name in self._store_of:
            self._inserts[name] = collections.deque()
            self._samples[name] = collections.deque()
        for index, config in enumerate(stores):
            if config.signature is not None:
                self.build_store(index, config.signature)

    @property
    def names(self) -> list[str]:
        """Of all tables."""
        return list(self._store_of)

    def table(self, name: str) -> Table:
        """A table that has a signature.

        Raises:
          ReplayError: when there is none of this name, or no writer came yet.
        """
        self._known(name)
        if name not in self.tables:
            raise ReplayError(f"table {name} has no signature before its first writer")
        return self.tables[name]

    # -- writers ---------------------------------------------------------------------

    def open_stream(
        self,
        writer: str,
        table: str,
        signature: Signature,
        *,
        sequence: int = 0,
        steps: int = 0,
    ) -> Stream:
        """The stream of a writer, new or as a lost connection left it.

        Args:
          sequence, steps: that the writer knows to be taken. A server that was
            restored from a checkpoint may know less: then the steps between are
            gone, and so are the items over them.

        Raises:
          ReplayError: when the signature is not the table's.
        """
        self._known(table)
        index = self._store_of[table]
        self.build_store(index, signature)
        stream = self.streams.setdefault(writer, Stream(index))
        if stream.store != index:
            raise ReplayError(f"writer {writer} writes to other tables already")
        self._drop(stream)
        # It has copied what it was filling: nobody writes there any more.
        self._take_back(stream)
        if stream.sequence < sequence:
            self._forget(stream, keep=0)
            stream.sequence, stream.steps = sequence, steps
            stream.begun, stream.chunk_taken, stream.lost = 0, False, steps
        stream.connected = True
        return stream

    def welcome(self, stream: Stream) -> dict[str, Any]:
        """What a writer must know of its stream, as JSON holds it."""
        config = self.configs[stream.store]
        return {
            "sequence": stream.sequence,
            "chunk_steps": config.chunk_steps,
            "windows": {table.name: table.window for table in config.tables},
            "shared": self.mapping(stream.store),
        }

    def mapping(self, index: int) -> dict[str, Any] | None:
        """Where a client on this host finds a store's columns, as JSON holds it."""
        store = self.stores[index]
        if store is None or not store.shared:
            return None
        return {
            "folder": str(store.folder),
            "slots": store.slots,
            "steps": store.steps,
            "signature": columns.plain(store.signature),
        }

    def described(self, name: str) -> dict[str, Any]:
        """What a sampler must know of a table, as JSON holds it."""
        table = self.table(name)
        slices = {n: dataclasses.astuple(s) for n, s in table.columns.items()}
        return {
            "shared": self.mapping(self.stores.index(table.store)),
            "columns": {name: list(part) for name, part in slices.items()},
            "signature": columns.plain(table.batch_signature),
        }

    def close_stream(self, writer: str) -> None:
        """The writer is done: nothing more will come."""
        stream = self.streams.pop(writer, None)
        if stream is not None:
            self._take_back(stream)
            self._forget(stream, keep=0)

    def lose_stream(self, writer: str) -> None:
        """The connection of a writer has gone; it may come back."""
        if stream := self.streams.get(writer):
            self._drop(stream)
            stream.connected, stream.seen = False, self.clock()

    def lease(self, stream: Stream) -> int:
        """A slot for the stream's next chunk; items are evicted to have one.

        Raises:
          OutOfSlots: when writers hold all of them.
        """
        store = self._store(stream)
        while not store.free:
            tables = [t for t in self.tables.values() if t.store is store]
            largest = max(tables, key=lambda table: table.size)
            if not largest.evict(store.steps):
                raise OutOfSlots(
                    f"{len(self.streams)} writers hold all {store.slots} chunks: give "
                    "larger max_steps or writers"
                )
        return store.lease()

    def commit(self, stream: Stream, slot: int, count: int) -> None:
        """A leased slot has been filled with the stream's next `count` steps."""
        self._store(stream).seal(slot)
        stream.chunks.append((stream.steps, count, slot))
        stream.steps += count
        stream.chunk_taken = True
        longest = max(t.window for t in self.configs[stream.store].tables)
        self._forget(stream, keep=longest + self._store(stream).steps)

    def grant(self, stream: Stream) -> int | None:
        """A slot that the writer may fill in shared memory; None when there is none."""
        if not self._store(stream).shared:
            return None
        try:
            slot = self.lease(stream)
        except OutOfSlots:
            return None
        stream.granted.append(slot)
        return slot

    def give_back(self, stream: Stream, slot: int) -> None:
        """A leased slot that was not filled after all."""
        self._store(stream).release(np.array([slot]))

    def insert(self, stream: Stream, items: list[Items], done: Done) -> None:
        """Takes the items of a message whose chunk is committed; done(None) after.

        Raises:
          ReplayError: for windows that the stream does not hold (any more).
        """
        groups = []
        for group in items:
            table = self.table(group.table)
            if table.store is not self._store(stream):
                raise ReplayError(f"table {group.table} takes other steps")
            group = stream.without_lost(group)
            rows, lengths = stream.rows(group, table.config.window, table.store.steps)
            groups.append((table, rows, lengths, group.priorities))
        groups = without(groups, stream.begun)
        request = Insert(stream, groups, done)
        if not groups:
            self._finish(request)
            return
        name = groups[0][0].config.name
        self._inserts[name].append(request)
        self._settle(name)

    # -- samplers --------------------------------------------------------------------

    def sample(
        self, table: str, n: int, *, timeout: float, done: Done, gather: bool = True
    ) -> None:
        """done(Sampled of n items), or of fewer when only so many came in time, or
        done(DeadlinePassed) when none did; without `gather` their rows only."""
        self._known(table)
        if n < 1:
            raise ReplayError(f"a sample is of at least 1 item, not {n}")
        deadline = self.clock() + timeout
        self._samples[table].append(Sample(n, deadline, done, gather))
        self._settle(table)

    def cancel(self, done: Done) -> None:
        """Forgets a parked sample whose client has gone."""
        for waiting in self._samples.values():
            for request in [r for r in waiting if r.done == done]:
                waiting.remove(request)

    def update(self, table: str, keys: np.ndarray, priorities: np.ndarray) -> int:
        return self.table(table).update(keys, priorities)

    def delete(self, table: str, keys: np.ndarray) -> int:
        count = self.table(table).delete(keys)
        self._settle(table)
        return count

    def reset(self, table: str) -> None:
        self.table(table).reset()
        self._settle(table)

    def tick(self) -> float:
        """Answers what is past its deadline; seconds until the next one."""
        now, nearest = self.clock(), 3600.0
        for name, waiting in self._samples.items():
            for request in [r for r in waiting if r.deadline <= now]:
                waiting.remove(request)
                if request.parts:
                    request.done(join(request.parts))
                else:
                    request.done(DeadlinePassed(why(name, self.tables.get(name))))
            nearest = min([nearest, *(r.deadline - now for r in waiting)])
        if now - self._looked > min(1.0, self.linger):
            self._looked = now
            self._forget_lost(now)
        return nearest

    def _forget_lost(self, now: float) -> None:
        """Gives up the streams of writers that have been away for long."""
        lost = [
            writer
            for writer, stream in self.streams.items()
            if not stream.connected and now - stream.seen > self.linger
        ]
        for writer in lost:
            self.close_stream(writer)

    def look(self, table: str, n: int, order: str) -> Sampled:
        """Items of a table without sampling them; see `Table.look`."""
        return self.table(table).look(n, order)

    def info(self, *, detail: bool = False) -> dict[str, Any]:
        """Numbers of tables and stores, as JSON holds them; see `Table.info`."""
        tables = {}
        for name in self._store_of:
            table = self.tables.get(name)
            tables[name] = table.info(detail=detail) if table else {"size": 0}
            tables[name]["waiting_inserts"] = len(self._inserts[name])
            tables[name]["waiting_samples"] = len(self._samples[name])
        stores = [
            {
                "slots": store.slots,
                "free": store.free,
                "chunk_steps": store.steps,
                "bytes": store.nbytes,
                "packing": {name: c.packing for name, c in store.packed.items()},
            }
            for store in self.stores
            if store is not None
        ]
        return {"tables": tables, "stores": stores, "writers": len(self.streams)}

    # -- parts -----------------------------------------------------------------------

    def _known(self, table: str) -> None:
        if table not in self._store_of:
            names = ", ".join(self._store_of) or "none"
            close = close_to(table, self._store_of)
            raise ReplayError(f"there is no table {table!r} here: {names}.{close}")

    def _store(self, stream: Stream) -> ChunkStore:
        store = self.stores[stream.store]
        assert store is not None
        return store

    def build_store(self, index: int, signature: Signature) -> ChunkStore:
        """Makes a store and its tables, now that their steps are known.

        Raises:
          ReplayError: when there is one for steps of another signature.
        """
        made = self.stores[index]
        if made is not None:
            if made.signature != signature:
                names = ", ".join(table.name for table in self.configs[index].tables)
                raise ReplayError(
                    f"{names} takes steps of {made.signature}, not of {signature}"
                )
            return made
        config = self.configs[index]
        try:
            store = ChunkStore(
                signature,
                slots=config.slots,
                steps=config.chunk_steps,
                folder=config.folder and config.folder / str(index),
                shared=config.shared,
                packing=config.packing,
            )
        except (OSError, MemoryError, OverflowError) as error:
            size = config.slots * config.chunk_steps * columns.step_bytes(signature)
            raise ReplayError(f"no room for {size / 1e6:,.0f} MB: {error}") from error
        except (ValueError, ImportError) as error:
            raise ReplayError(str(error)) from error
        # All or none: a table that does not fit its steps must not leave another.
        seeds = itertools.count(self.seed + len(self.tables))
        made_tables = {
            table.name: Table(table, store, seed=next(seeds), clock=self.clock)
            for table in config.tables
        }
        self.tables |= made_tables
        self.stores[index] = store
        return store

    def _take_back(self, stream: Stream) -> None:
        """The writer fills none of its granted slots any more."""
        if stream.granted:
            self._store(stream).release(np.array(stream.granted))
            stream.granted = []

    def _drop(self, stream: Stream) -> None:
        """Forgets a parked message, which the writer will send again from `begun`."""
        for waiting in self._inserts.values():
            for request in [r for r in waiting if r.stream is stream]:
                waiting.remove(request)

    def _forget(self, stream: Stream, *, keep: int) -> None:
        """Lets go of the chunks that no window of the last `keep` steps touches."""
        gone = []
        while stream.chunks:
            first, count, slot = stream.chunks[0]
            if keep and first + count > stream.steps - keep:
                break
            gone.append(slot)
            stream.chunks.popleft()
        if gone:
            self._store(stream).release(np.array(gone))

    def _finish(self, request: Insert) -> None:
        stream = request.stream
        stream.sequence += 1
        stream.begun, stream.chunk_taken = 0, False
        request.done(None)

    def _settle(self, name: str) -> None:
        """Grants what the limiter allows now, inserts and samples in turn."""
        while self._grant_insert(name) or self._grant_sample(name):
            pass

    def _grant_insert(self, name: str) -> bool:
        if not self._inserts[name]:
            return False
        request = self._inserts[name][0]
        table, rows, lengths, priorities = request.groups[0]
        granted = table.limiter.may_insert(len(rows), table.size)
        if not granted:
            return False
        table.insert(rows[:granted], lengths[:granted], priorities[:granted])
        request.stream.begun += granted
        request.groups = without(request.groups, granted)
        if not request.groups:
            self._inserts[name].popleft()
            self._finish(request)
        elif request.groups[0][0] is not table:
            self._inserts[name].popleft()
            other = request.groups[0][0].config.name
            self._inserts[other].append(request)
            self._settle(other)
        return True

    def _grant_sample(self, name: str) -> bool:
        table = self.tables.get(name)
        if table is None or not self._samples[name]:
            return False
        request = self._samples[name][0]
        granted = table.limiter.may_sample(request.wanted, table.size)
        if not granted:
            return False
        part = table.sample(granted, gather=request.gather)
        request.parts.append(part)
        request.wanted -= len(part.keys)
        if not request.wanted:
            self._samples[name].popleft()
            request.done(join(request.parts))
        return True
