"""What clients may ask, and a connection's life from hello to its end.

Each request is a generator, or a plain function where nothing more is to be read;
see `t2t.replay.server` for what they yield.
"""

from __future__ import annotations

import hmac
import resource
import secrets
import socket
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from t2t.replay import columns, frames
from t2t.replay.chunks import OutOfSlots
from t2t.replay.frames import BadFrame
from t2t.replay.sampled import Sampled
from t2t.replay.streams import DeadlinePassed, Items, ReplayError, Stream

if TYPE_CHECKING:
    from t2t.replay.server import Connection

MOST_ITEMS = 1 << 20  # of one request
MOST_PUBLISHED = 1 << 32  # bytes of one notice
MOST_NOTICES = 10_000
MOST_LOOKED_AT = 1000
MOST_GRANTED = 16  # slots that a writer may fill at a time, in shared memory
LONGEST_WAIT = 3600.0  # seconds
READ, WRITE, ANSWER = "read", "write", "answer"  # what a generator waits for

Steps = Generator[str, None, Any]
Meta = dict[str, Any]
Reply = tuple[int, Meta, list[np.ndarray]]


class Notice(NamedTuple):
    """What somebody published under a name, such as weights, for others to fetch."""

    version: int
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]


def serve(connection: Connection) -> Steps:
    """Greets, then answers one request after another."""
    yield from _greet(connection)
    while True:
        header = frames.header_of((yield from connection.read(frames.HEADER)))
        meta = frames.meta_of((yield from connection.read(header.meta)))
        try:
            reply = yield from _answer(connection, header, meta)
        except DeadlinePassed as error:
            reply = frames.LATE, {"error": str(error)}, []
        except (ReplayError, OutOfSlots, columns.BadStep) as error:
            reply = frames.REFUSED, {"error": str(error)}, []
        except (KeyError, TypeError, ValueError) as error:
            raise BadFrame(f"a request that makes no sense: {error!r}") from error
        operation, described, arrays = reply
        yield from connection.send(
            frames.frame(operation, header.request, described, arrays)
        )


def _answer(connection: Connection, header: frames.Header, meta: Meta) -> Steps:
    if header.operation in WITH_DATA:
        return (yield from WITH_DATA[header.operation](connection, meta, header.data))
    if header.operation not in PLAIN:
        raise BadFrame(f"there is no operation {header.operation}")
    if header.data:
        raise BadFrame(f"{header.data} bytes of data where none belong")
    return PLAIN[header.operation](connection, meta)


def _greet(connection: Connection) -> Steps:
    """Both sides say hello; a TCP client proves that it knows the secret."""
    secret = (
        connection.loop.secret if connection.socket.family != socket.AF_UNIX else ""
    )
    nonce = secrets.token_hex(16) if secret else ""
    yield from connection.send(frames.frame(frames.HELLO, 0, {"nonce": nonce}))
    header = frames.header_of((yield from connection.read(frames.HEADER)))
    meta = frames.meta_of((yield from connection.read(header.meta)))
    if header.operation != frames.HELLO or header.data:
        raise BadFrame("a client begins with hello")
    proof = str(meta.get("proof", ""))
    if secret and not hmac.compare_digest(proof, prove(secret, nonce)):
        refusal = {"error": "this server wants its secret: --secret_file=FILE"}
        yield from connection.send(frames.frame(frames.REFUSED, 0, refusal))
        raise BadFrame("wrong secret")
    yield from connection.send(frames.frame(frames.REPLY, 0))


def prove(secret: str, nonce: str) -> str:
    """What a client answers to the server's nonce."""
    return hmac.new(secret.encode(), nonce.encode(), "sha256").hexdigest()


def _open(connection: Connection, meta: Meta) -> Reply:
    writer = str(meta["writer"])
    signature = columns.from_plain(meta["signature"])
    service = connection.loop.service
    connection.stream = service.open_stream(
        writer,
        str(meta["table"]),
        signature,
        sequence=int(meta.get("sequence", 0)),
        steps=int(meta.get("steps", 0)),
    )
    connection.writer = writer
    wanted = min(int(meta.get("slots", 0)), MOST_GRANTED)
    granted = [service.grant(connection.stream) for _ in range(wanted)]
    slots = [slot for slot in granted if slot is not None]
    return frames.REPLY, {**service.welcome(connection.stream), "slots": slots}, []


def _append(connection: Connection, meta: Meta, size: int) -> Steps:
    """Takes a chunk, unless it is known, then the items that end in it."""
    stream, service = connection.stream, connection.loop.service
    if stream is None:
        raise BadFrame("a writer opens a stream before it appends")
    sequence, steps = int(meta["sequence"]), int(meta["steps"])
    names = [(str(name), int(n)) for name, n in meta["items"]]
    count = sum(n for _, n in names)
    store = service.stores[stream.store]
    assert store is not None
    per_step = sum(c.nbytes for c in store.signature.values())
    if not (0 <= steps <= store.steps and 0 <= count <= MOST_ITEMS):
        raise BadFrame(f"{steps} steps and {count} items in one message")
    slot = meta.get("slot")
    if slot is not None:
        if slot not in stream.granted:
            raise BadFrame(f"slot {slot} was not granted to this writer")
        per_step = 0  # the steps are in shared memory
    if size != steps * per_step + count * 24 or any(n < 0 for _, n in names):
        raise BadFrame(f"{size} bytes are not {steps} steps and {count} items")
    if sequence > stream.sequence + 1:
        raise BadFrame(f"message {sequence} after {stream.sequence}: one is missing")
    known = sequence <= stream.sequence
    if slot is not None:
        stream.granted.remove(slot)
    if known or stream.chunk_taken or not steps:
        yield from connection.read(steps * per_step)
        if slot is not None:
            service.give_back(stream, slot)
    elif slot is not None:
        service.commit(stream, slot, steps)
    else:
        try:
            slot = yield from _lease(connection, stream)
        except OutOfSlots:
            yield from connection.read(size)
            raise
        yield from _fill(connection, stream, slot, steps)
    items = []
    for name, n in names:
        group = Items(name, np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n))
        views = [group.ends, group.lengths, group.priorities]
        yield from connection.read_into([frames.flat(view) for view in views])
        items.append(group)
    if not known:
        connection.answer = None
        service.insert(stream, items, lambda _: connection.answered(True))
        while connection.answer is None:
            yield ANSWER
    reply: dict[str, Any] = {"sequence": sequence}
    if slot is not None:
        reply["slot"] = service.grant(stream)
    return frames.REPLY, reply, []


def _lease(connection: Connection, stream: Stream) -> Steps:
    """A slot; waits for one while clients gather from those that they pinned."""
    while True:
        try:
            return connection.loop.service.lease(stream)
        except OutOfSlots:
            if not connection.loop.pins:
                raise
            connection.loop.starved.append(connection)
            yield ANSWER


def _fill(connection: Connection, stream: Stream, slot: int, steps: int) -> Steps:
    """Receives a chunk straight into its slot."""
    service = connection.loop.service
    store = service.stores[stream.store]
    assert store is not None
    try:
        views = store.views(slot, steps)
        yield from connection.read_into([frames.flat(view) for view in views.values()])
    except BaseException:
        service.give_back(stream, slot)
        raise
    service.commit(stream, slot, steps)


def _sample(connection: Connection, meta: Meta, size: int) -> Steps:
    if size:
        raise BadFrame(f"{size} bytes of data where none belong")
    n, timeout = int(meta["n"]), float(meta["timeout"])
    if not 0 < n <= MOST_ITEMS:
        raise ReplayError(f"a sample is of 1 to {MOST_ITEMS} items, not {n}")
    for _ in range(int(meta.get("gathered", 0))):
        connection.unpin()
    # What the client asks for before it has the answers: shown in `info`.
    connection.ahead[str(meta["table"])] = max(n, int(meta.get("ahead", n)))
    shared = bool(meta.get("shared"))
    connection.answer, connection.parked = None, connection.answered
    connection.loop.service.sample(
        str(meta["table"]),
        n,
        timeout=max(0.0, min(timeout, LONGEST_WAIT)),
        done=connection.parked,
        gather=not shared,
    )
    while connection.answer is None:
        yield ANSWER
    connection.parked = None
    if isinstance(connection.answer, Exception):
        raise connection.answer
    if shared:
        connection.pin(str(meta["table"]), connection.answer.rows)
    return _sampled_reply(connection.answer)


def _sampled_reply(sampled: Sampled) -> Reply:
    known = {name: getattr(sampled, name) for name in Sampled._fields[:6]}
    if not sampled.data:
        known["rows"] = sampled.rows
    meta = {
        "size": sampled.size,
        "known": frames.describe(known),
        "data": frames.describe(sampled.data),
    }
    arrays = [
        np.ascontiguousarray(a) for a in (*known.values(), *sampled.data.values())
    ]
    return frames.REPLY, meta, arrays


def _update(connection: Connection, meta: Meta, size: int) -> Steps:
    keys, priorities = yield from _keys(connection, meta, size, with_priorities=True)
    table = str(meta["table"])
    count = connection.loop.service.update(table, keys, priorities)
    return frames.REPLY, {"count": count}, []


def _delete(connection: Connection, meta: Meta, size: int) -> Steps:
    keys, _ = yield from _keys(connection, meta, size, with_priorities=False)
    count = connection.loop.service.delete(str(meta["table"]), keys)
    return frames.REPLY, {"count": count}, []


def _keys(
    connection: Connection, meta: Meta, size: int, *, with_priorities: bool
) -> Steps:
    n = int(meta["n"])
    if not 0 <= n <= MOST_ITEMS or size != n * (16 if with_priorities else 8):
        raise BadFrame(f"{size} bytes are not {n} keys")
    keys, priorities = np.empty(n, np.uint64), np.empty(n if with_priorities else 0)
    yield from connection.read_into([frames.flat(keys), frames.flat(priorities)])
    return keys, priorities


def _publish(connection: Connection, meta: Meta, size: int) -> Steps:
    """Puts arrays and JSON on the board, for others to fetch."""
    board, name = connection.loop.board, str(meta["name"])
    if size > MOST_PUBLISHED:
        raise BadFrame(f"{size} bytes to publish: at most {MOST_PUBLISHED}")
    arrays = frames.blank(meta["arrays"], size)
    yield from connection.read_into([frames.flat(array) for array in arrays.values()])
    if name not in board and len(board) >= MOST_NOTICES:
        raise ReplayError(f"the board holds {MOST_NOTICES} notices already")
    board[name] = Notice(int(meta["version"]), dict(meta["meta"]), arrays)
    return frames.REPLY, {}, []


def _fetch(connection: Connection, meta: Meta) -> Reply:
    """A notice, if it is newer than the version that the client has."""
    notice = connection.loop.board.get(str(meta["name"]))
    if notice is None or notice.version <= int(meta["newer_than"]):
        return frames.REPLY, {"version": None}, []
    described = {
        "version": notice.version,
        "meta": notice.meta,
        "arrays": frames.describe(notice.arrays),
    }
    return frames.REPLY, described, list(notice.arrays.values())


def _reset(connection: Connection, meta: Meta) -> Reply:
    connection.loop.service.reset(str(meta["table"]))
    return frames.REPLY, {}, []


def _info(connection: Connection, meta: Meta) -> Reply:
    info = connection.loop.service.info(detail=bool(meta.get("detail")))
    own = {
        "connections": len(connection.loop.connections),
        "cpu_seconds": time.process_time(),
        "memory": _memory(),
    }
    for name, table in info["tables"].items():
        ahead = [c.ahead.get(name, 0) for c in connection.loop.connections]
        table["asked_ahead"] = max(ahead, default=0)
    return frames.REPLY, {**info, **own}, []


def _memory() -> int:
    """Bytes that this process has in memory, or has had where only that is known."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _map(connection: Connection, meta: Meta) -> Reply:
    """What a table's batches look like, and where a client on this host finds them."""
    return frames.REPLY, connection.loop.service.described(str(meta["table"])), []


def _look(connection: Connection, meta: Meta) -> Reply:
    n = int(meta["n"])
    if not 0 < n <= MOST_LOOKED_AT:
        raise ReplayError(f"look at 1 to {MOST_LOOKED_AT} items, not {n}")
    service = connection.loop.service
    return _sampled_reply(service.look(str(meta["table"]), n, str(meta["order"])))


def _checkpoint(connection: Connection, meta: Meta, size: int) -> Steps:
    """Answers when the checkpoint is on disk; others are served meanwhile."""
    if size:
        raise BadFrame(f"{size} bytes of data where none belong")
    connection.answer = None
    connection.loop.checkpoint(connection.answered)
    while connection.answer is None:
        yield ANSWER
    if isinstance(connection.answer, Exception):
        raise ReplayError(f"no checkpoint: {connection.answer}")
    return frames.REPLY, {"number": connection.answer}, []


def _close_stream(connection: Connection, meta: Meta) -> Reply:
    connection.loop.service.close_stream(connection.writer)
    connection.stream, connection.writer = None, ""
    return frames.REPLY, {}, []


PLAIN: dict[int, Callable[[Connection, Meta], Reply]] = {
    frames.OPEN: _open,
    frames.RESET: _reset,
    frames.INFO: _info,
    frames.CLOSE: _close_stream,
    frames.FETCH: _fetch,
    frames.LOOK: _look,
    frames.MAP: _map,
}
WITH_DATA: dict[int, Callable[[Connection, Meta, int], Steps]] = {
    frames.APPEND: _append,
    frames.SAMPLE: _sample,
    frames.UPDATE: _update,
    frames.DELETE: _delete,
    frames.PUBLISH: _publish,
    frames.CHECKPOINT: _checkpoint,
}
