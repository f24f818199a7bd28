"""Checkpoints that block nobody.

    room = Room(room_for(service))   on any thread: memory that is quick to copy into
    frozen = freeze(service, room)   on the service's thread: copies what is known of
                                     the items and pins their chunks
    archive.write(frozen)            on any thread: writes chunks that no earlier
                                     checkpoint holds, then the rest, renamed last
    frozen.thaw()                    on the service's thread: lets the chunks go

A committed chunk never changes, so pinning it is all that consistency takes.

    replay-00000007.npz   tables, limiters, selectors, streams; names its segments
    segment-00000003      chunks: for each column, the rows of all of them

Restored with tables of the same size, every later key and draw is what it would
have been. Tables of another size get the items anew, in order, under new keys.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from t2t.replay import frames
from t2t.replay.chunks import ChunkStore
from t2t.replay.columns import from_plain, plain
from t2t.replay.selectors import Copy
from t2t.replay.service import Service
from t2t.replay.snapshot import Room, restore, room_of, take
from t2t.replay.streams import ReplayError, Stream

VERSION = 1
PATTERN = re.compile(r"replay-(\d{8})\.npz$")
SEGMENT = re.compile(r"segment-(\d{8})")
SPARSE = 0.5  # a segment with a smaller share of chunks in use is written anew
BLOCK = 1 << 22  # bytes written at a time


class Held(NamedTuple):
    """Chunks of one store, as a checkpoint knows them; int64 [M] each."""

    slots: np.ndarray
    generations: np.ndarray


class Frozen:
    """The service at one moment."""

    def __init__(self, service: Service, copy: Copy) -> None:
        self._service = service
        self.held: dict[int, Held] = {}
        self._tables = {n: take(table, copy) for n, table in service.tables.items()}
        signatures = {}
        for index, store in enumerate(service.stores):
            if store is None:
                continue
            # What is being filled is not here yet: it would be taken for the same
            # chunk, and not be written again, once it is whole.
            slots = np.flatnonzero((store.references > 0) & store.sealed)
            store.retain(slots)
            self.held[index] = Held(slots, store.generations[slots])
            signatures[index] = plain(store.signature)
        self._meta = {
            "version": VERSION,
            "signatures": signatures,
            "streams": {n: s.plain() for n, s in service.streams.items()},
        }

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """(arrays, meta) of all tables and streams; on any thread."""
        arrays, tables = {}, {}
        for name, state in self._tables.items():
            found, tables[name] = state()
            arrays |= {f"table/{name}/{key}": v for key, v in found.items()}
        return arrays, {**self._meta, "tables": tables}

    def store(self, index: int) -> ChunkStore:
        store = self._service.stores[index]
        assert store is not None
        return store

    def thaw(self) -> None:
        """Lets go of the chunks; on the service's thread."""
        for index, held in self.held.items():
            self.store(index).release(held.slots)
        self.held = {}


def freeze(service: Service, room: Room | None = None) -> Frozen:
    """See above; copies what is known of the items, not their data, into `room`."""
    return Frozen(service, np.copy if room is None else room.copy)


def room_for(service: Service) -> int:
    """Bytes of a `Room` for `freeze`."""
    return sum(room_of(table) for table in service.tables.values())


class Archive:
    """A folder of checkpoints of one service.

    Args:
      folder: made when needed.
      keep: how many checkpoints to keep.
    """

    def __init__(self, folder: str | Path, *, keep: int = 2) -> None:
        self.folder, self.keep = Path(folder), keep
        # store -> [M, 4] of slot, generation, segment, place: what is on disk
        self._known: dict[int, np.ndarray] = {}
        self._counts: dict[int, int] = {}  # chunks in each segment's file

    def numbers(self) -> list[int]:
        """Of the checkpoints that there are, ascending."""
        if not self.folder.is_dir():
            return []
        found = (PATTERN.match(path.name) for path in self.folder.iterdir())
        return sorted(int(match.group(1)) for match in found if match)

    def write(self, frozen: Frozen) -> int:
        """Writes a checkpoint; returns its number.

        Raises:
          OSError: when it cannot be written; earlier ones are as they were.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        number = (self.numbers() or [0])[-1] + 1
        known, (arrays, meta) = {}, frozen.state()
        for index, held in frozen.held.items():
            rows = self._on_disk(index, held)
            fresh = np.flatnonzero(rows[:, 2] < 0)
            if len(fresh):
                segment = self._next_segment()
                self._write_segment(segment, frozen.store(index), held.slots[fresh])
                self._counts[segment] = len(fresh)
                rows[fresh, 2], rows[fresh, 3] = segment, np.arange(len(fresh))
            known[index] = arrays[f"chunks/{index}"] = rows
        used = {s for rows in known.values() for s in np.unique(rows[:, 2]).tolist()}
        meta = {**meta, "counts": {s: self._counts[s] for s in sorted(used)}}
        arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        path = self.folder / f"replay-{number:08d}.npz"
        _write_then_rename(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
        self._known = known
        self._delete_old()
        return number

    def read(self, number: int | None = None) -> tuple[dict[str, np.ndarray], Any]:
        """(arrays, meta) of a checkpoint, the newest by default.

        Raises:
          ReplayError: when there is none, or it is damaged.
        """
        numbers = self.numbers()
        if not numbers or (number is not None and number not in numbers):
            raise ReplayError(
                f"{self.folder} holds no replay checkpoint"
                + (f" {number}" if number else "")
            )
        path = self.folder / f"replay-{number or numbers[-1]:08d}.npz"
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            meta = json.loads(arrays.pop("meta").tobytes())
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ReplayError(f"{path} is no replay checkpoint: {error}") from error
        if meta["version"] > VERSION:
            raise ReplayError(f"{path} is of a later version of t2t")
        return arrays, meta

    def restore(self, service: Service, number: int | None = None) -> int:
        """Fills an empty service; returns the number of the checkpoint.

        Raises:
          ReplayError: when there is none, it is damaged, or its tables are others.
        """
        number = number or (self.numbers() or [None])[-1]
        arrays, meta = self.read(number)
        missing = [name for name in meta["tables"] if name not in service.names]
        if missing:
            raise ReplayError(
                f"{self.folder} has the tables {', '.join(meta['tables'])}; this "
                f"service has no {missing[0]}"
            )
        for text, signature in meta["signatures"].items():
            index = int(text)
            store = service.build_store(index, from_plain(signature))
            rows = arrays[f"chunks/{index}"]
            moved = store.occupy(rows[:, 0], rows[:, 1])
            self._read_chunks(store, rows, moved, meta["counts"])
            self._restore_tables(service, index, arrays, meta, rows[:, 0], moved)
            for name, found in meta["streams"].items():
                if found["store"] == index:
                    stream = Stream.from_plain(
                        found,
                        dict(zip(rows[:, 0], moved, strict=True)),
                        seen=service.clock(),
                    )
                    stream.connected = False
                    service.streams[name] = stream
                    store.retain(np.array([c[2] for c in stream.chunks], np.int64))
            store.release(moved)
            if (moved == rows[:, 0]).all():
                self._known[index] = rows
        self._counts = {int(s): n for s, n in meta["counts"].items()}
        assert number is not None
        return number

    def forget_after(self, number: int) -> None:
        """Removes checkpoints that were made after `number`."""
        for later in self.numbers():
            if later > number:
                (self.folder / f"replay-{later:08d}.npz").unlink()

    # -- parts -----------------------------------------------------------------------

    def _on_disk(self, index: int, held: Held) -> np.ndarray:
        """[M, 4]: slot, generation, segment, place; segment -1 where it must be
        written (again)."""
        rows = np.full((len(held.slots), 4), -1, np.int64)
        rows[:, 0], rows[:, 1] = held
        known = self._known.get(index)
        if known is None or not len(known):
            return rows
        at = np.searchsorted(known[:, 0], held.slots)
        at = np.minimum(at, len(known) - 1)
        same = (known[at, 0] == held.slots) & (known[at, 1] == held.generations)
        rows[same, 2:] = known[at[same], 2:]
        segments, used = np.unique(rows[same, 2], return_counts=True)
        for segment, count in zip(segments.tolist(), used.tolist(), strict=True):
            if count < SPARSE * self._counts[segment]:
                rows[rows[:, 2] == segment, 2] = -1
        return rows

    def _next_segment(self) -> int:
        # Half a segment, of a process that was killed, has a number, too.
        found = (SEGMENT.match(path.name) for path in self.folder.iterdir())
        return max((int(match.group(1)) for match in found if match), default=0) + 1

    def _segment(self, number: int) -> Path:
        return self.folder / f"segment-{number:08d}"

    def _write_segment(self, number: int, store: ChunkStore, slots: np.ndarray) -> None:
        def write(file: Any) -> None:
            for name, column in store.signature.items():
                at_once = max(1, BLOCK // max(1, store.steps * column.nbytes))
                for start in range(0, len(slots), at_once):
                    part = store.read(name, slots[start : start + at_once])
                    file.write(_bytes(part))

        path = self._segment(number)
        path.touch()  # takes the number
        _write_then_rename(path, write)

    def _read_chunks(
        self,
        store: ChunkStore,
        rows: np.ndarray,
        slots: np.ndarray,
        counts: dict[str, int],
    ) -> None:
        for segment in np.unique(rows[:, 2]).tolist():
            chosen = np.flatnonzero(rows[:, 2] == segment)
            path, count, start = self._segment(segment), counts[str(segment)], 0
            expected = sum(c.nbytes for c in store.signature.values()) * (
                count * store.steps
            )
            if not path.is_file() or path.stat().st_size != expected:
                raise ReplayError(f"{path} is missing or not of {expected} bytes")
            data = np.memmap(path, np.uint8, "r") if expected else np.zeros(0, np.uint8)
            for name, column in store.signature.items():
                size = count * store.steps * column.nbytes
                values = data[start : start + size].view(column.dtype)
                values = values.reshape(count, store.steps, *column.shape)
                store.write(name, slots[chosen], values[rows[chosen, 3]])
                start += size

    def _restore_tables(
        self,
        service: Service,
        index: int,
        arrays: dict[str, np.ndarray],
        meta: dict[str, Any],
        old: np.ndarray,
        new: np.ndarray,
    ) -> None:
        for table_config in service.configs[index].tables:
            name = table_config.name
            if name not in meta["tables"]:
                continue
            prefix = f"table/{name}/"
            own = {
                key[len(prefix) :]: value
                for key, value in arrays.items()
                if key.startswith(prefix)
            }
            table = service.tables[name]
            if len(old):
                slots, steps = own["rows"] // table.store.steps, table.store.steps
                moved = new[np.searchsorted(old, slots)]
                own["rows"] = moved * steps + own["rows"] % steps
            restore(table, own, meta["tables"][name])

    def _delete_old(self) -> None:
        """Removes all but the newest checkpoints, and segments that none names."""
        numbers = self.numbers()
        for number in numbers[: -self.keep]:
            (self.folder / f"replay-{number:08d}.npz").unlink(missing_ok=True)
        wanted: set[str] = set()
        for number in numbers[-self.keep :]:
            wanted |= set(self.read(number)[1]["counts"])
        for path in self.folder.iterdir():
            match = SEGMENT.match(path.name)
            if match and str(int(match.group(1))) not in wanted:
                path.unlink(missing_ok=True)
            elif path.name.startswith("replay-") and path.suffix == ".tmp":
                path.unlink(missing_ok=True)


def _bytes(array: np.ndarray) -> memoryview:
    return frames.flat(np.ascontiguousarray(array))


def _write_then_rename(path: Path, write: Any) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
