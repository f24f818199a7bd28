#!/usr/bin/env python3
"""What `bench_replay` runs in processes of their own, and what both sides share.

    replay_loads.py WORK ITEMS

The works that begin with `reverb` need dm-reverb, the others t2t.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

WINDOW, BATCH = 5, 64
SIZES = {"1 kB": 250, "40 kB": 10_000, "400 kB": 100_000}  # float32 numbers


def rows_of(width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(16, width)).astype(np.float32)


def put_rows(client: Any, rows: np.ndarray, count: int) -> int:
    from t2t.replay.writer import Writer

    with Writer(client, "t", in_flight=4) as writer:
        for i in range(count):
            writer.append({"x": rows[i % len(rows)]})
            writer.create_item("t")
    return count


def take_rows(client: Any, count: int, batch: int) -> int:
    from t2t.replay.sampler import Sampler

    sampler = Sampler(client, "t", batch, in_flight=4)
    for _ in range(count // batch):
        next(sampler)
    sampler.close()
    return count // batch * batch


def per_call(function: Callable[[], Any], calls: int = 300) -> float:
    """Microseconds of wall time."""
    function()
    begin = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - begin) / calls * 1e6


def summary(rates: list[float]) -> dict[str, float]:
    writers = rates[:4]
    return {
        "inserts": sum(writers),
        "samples": rates[4],
        "slowest writer / mean": min(writers) / (sum(writers) / 4),
    }


def _our_writer(_: int) -> dict[str, float]:
    from t2t.replay.bench import WINDOW as LENGTH
    from t2t.replay.bench import game_step
    from t2t.replay.client import Client
    from t2t.replay.writer import Writer

    steps, count = [game_step(i) for i in range(64)], 0
    until = time.monotonic() + float(os.environ["SECONDS"])
    with Writer(Client(os.environ["REPLAY_ADDRESS"]), "t") as writer:
        while time.monotonic() < until:
            for _ in range(64):
                writer.append(steps[count % 64])
                if count >= LENGTH:
                    writer.create_item("t", length=LENGTH)
                count += 1
    return {"rate": count / float(os.environ["SECONDS"])}


def _our_learner(_: int) -> dict[str, float]:
    from t2t.replay.client import Client
    from t2t.replay.sampler import Sampler

    client = Client(os.environ["REPLAY_ADDRESS"])
    sampler, count = Sampler(client, "t", BATCH), 0
    until = time.monotonic() + float(os.environ["SECONDS"])
    while time.monotonic() < until:
        found = next(sampler)
        client.update("t", found.keys, found.priorities + 0.1)
        count += BATCH
    return {"rate": count / float(os.environ["SECONDS"])}


def _our_clients(_: int) -> dict[str, Any]:
    """Half of the clients: each inserts an item or samples one, in turn, every second,
    once all of both halves are connected."""
    import selectors

    from t2t.replay import columns, frames
    from t2t.replay.client import Connection, sampled
    from t2t.replay.server import allow_connections

    allow_connections()
    address, count = os.environ["REPLAY_ADDRESS"], int(os.environ["CLIENTS"])
    seconds, rng = float(os.environ["SECONDS"]), np.random.default_rng(os.getpid())
    row = rows_of(250)[0]
    signature = columns.plain(columns.signature_of({"x": row}))
    poll, waits = selectors.DefaultSelector(), []
    lines, sent = [], [0.0] * count
    for number in range(count):
        line = Connection(address, timeout=60.0)
        line.ask(
            frames.OPEN,
            {"writer": f"{os.getpid()}-{number}", "table": "t", "signature": signature},
        )
        poll.register(line._socket, selectors.EVENT_READ, number)
        lines.append(line)
    while lines[0].ask(frames.INFO)[0]["connections"] < 2 * count:
        time.sleep(0.1)
    due = time.monotonic() + rng.random(count)  # each at its own moment
    turns = np.zeros(count, np.int64)
    until = time.monotonic() + seconds
    waiting: set[int] = set()
    while time.monotonic() < until or waiting:
        now = time.monotonic()
        for number in np.flatnonzero(due <= now).tolist() if now < until else []:
            if number in waiting:
                continue
            turn = int(turns[number])
            if turn % 2 == 0:
                ends = [np.array([turn // 2 + 1]), np.array([1]), np.array([1.0])]
                meta = {"sequence": turn // 2 + 1, "steps": 1, "items": [["t", 1]]}
                lines[number].send(frames.APPEND, meta, [row, *ends])
            else:
                meta = {"table": "t", "n": 1, "timeout": 60.0}
                lines[number].send(frames.SAMPLE, meta)
            sent[number], due[number] = now, now + 1.0
            turns[number] += 1
            waiting.add(number)
        for key, _events in poll.select(0.002):
            number = key.data
            answer = lines[number].receive(timeout=60.0)
            if turns[number] % 2 == 0:
                sampled(*answer)
            waits.append(time.monotonic() - sent[number])
            waiting.discard(number)
    for line in lines:
        line.close()
    # A pipe that nobody reads yet has room for quantiles, not for all.
    points = np.quantile(waits, np.linspace(0, 1, 1001)).tolist()
    return {"requests": len(waits), "waits": points}


OURS: dict[str, Callable[[int], dict[str, Any]]] = {
    "our_writer": _our_writer,
    "our_learner": _our_learner,
    "our_clients": _our_clients,
}


def main() -> int:
    work, items = sys.argv[1], int(sys.argv[2])
    works = OURS
    if work not in OURS:
        import replay_peer

        works = replay_peer.WORKS
    print(json.dumps(works[work](items)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
