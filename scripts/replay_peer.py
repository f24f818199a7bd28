"""dm-reverb's side of `bench_replay`, for an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from replay_loads import BATCH, SIZES, WINDOW, per_call, rows_of, summary

LOADS = Path(__file__).resolve().with_name("replay_loads.py")
KEPT = 20_000


def cpu_of(process: int) -> float:
    """CPU-seconds of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class ReverbServer:
    """dm-reverb's server in a process of its own."""

    def __init__(self, spec: dict[str, Any]) -> None:
        environment = {**os.environ, "SPEC": json.dumps(spec)}
        self.process = subprocess.Popen(
            [sys.executable, LOADS, "reverb_server", "0"],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = f"localhost:{self.process.stdout.readline().strip()}"

    def measure(self, work: Callable[[], int]) -> float:
        """CPU-microseconds an item."""
        before, own = cpu_of(self.process.pid), time.process_time()
        items = work()
        own = time.process_time() - own
        return (own + cpu_of(self.process.pid) - before) / items * 1e6

    def __enter__(self) -> ReverbServer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()


def _reverb_server(_: int) -> dict[str, Any]:
    import reverb
    import tensorflow as tf

    spec = json.loads(os.environ["SPEC"])
    length = [spec["window"]] if spec["window"] > 1 else []
    signature = {
        name: tf.TensorSpec([*length, *shape], dtype)
        for name, (shape, dtype) in spec["columns"].items()
    }
    table = reverb.Table(
        "t",
        sampler=reverb.selectors.Prioritized(0.6),
        remover=reverb.selectors.Fifo(),
        max_size=spec["max_size"],
        rate_limiter=reverb.rate_limiters.MinSize(1),
        signature=signature,
    )
    server = reverb.Server([table])
    print(server.port, flush=True)
    server.wait()
    return {}


GAME = {
    "window": WINDOW,
    "max_size": 50_000,
    "columns": {
        "observation": [[84, 84], "uint8"],
        "action": [[], "int32"],
        "reward": [[], "float32"],
        "discount": [[], "float32"],
    },
}


def _game_step(number: int) -> dict[str, Any]:
    pixels = np.full((84, 84), number % 251, np.uint8)
    pixels[number % 84] = 255
    return {
        "observation": pixels,
        "action": np.int32(number % 18),
        "reward": np.float32(1.0),
        "discount": np.float32(0.99),
    }


def _reverb_insert(address: str, count: int) -> int:
    import reverb

    client, steps = reverb.Client(address), [_game_step(i) for i in range(64)]
    with client.trajectory_writer(num_keep_alive_refs=WINDOW) as writer:
        for i in range(count + WINDOW - 1):
            writer.append(steps[i % 64])
            if i >= WINDOW - 1:
                history = writer.history
                writer.create_item(
                    "t", 1.0 + i % 7, {n: history[n][-WINDOW:] for n in history}
                )
                if i % 64 == 0:
                    writer.flush(block_until_num_items=256)
        writer.flush()
    return count


def _reverb_dataset(address: str, batch: int) -> Any:
    import reverb

    return reverb.TrajectoryDataset.from_table_signature(
        address, "t", max_in_flight_samples_per_worker=2 * batch
    ).batch(batch)


def _reverb_sample(
    address: str, count: int, *, update: bool, batch: int = BATCH
) -> int:
    import reverb

    client, done = reverb.Client(address), 0
    for found in _reverb_dataset(address, batch):
        if update:
            keys = np.unique(found.info.key.numpy())
            client.mutate_priorities("t", dict.fromkeys(keys.tolist(), 1.5))
        done += batch
        if done >= count:
            return done
    return done


def _peer_window(count: int) -> dict[str, float]:
    with ReverbServer(GAME) as server:
        _reverb_insert(server.address, 1000)
        found = {
            "insert": server.measure(lambda: _reverb_insert(server.address, count))
        }

        address = server.address

        def four() -> int:
            threads = [
                threading.Thread(target=_reverb_insert, args=(address, count // 4))
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return count // 4 * 4

        found["insert, 4 writers"] = server.measure(four)
        for name, update in (("sample", False), ("sample and update", True)):
            found[name] = server.measure(
                lambda update=update: _reverb_sample(
                    server.address, count, update=update
                )
            )
    return found


def _peer_sizes(count: int) -> dict[str, float]:
    import reverb

    found = {}
    for name, width in SIZES.items():
        items = min(count, 50_000_000 // (width * 4))
        columns = {"x": [[width], "float32"]}
        rows = rows_of(width)
        spec = {"window": 1, "max_size": min(KEPT, items), "columns": columns}
        with ReverbServer(spec) as server:

            def put(
                server: ReverbServer = server, rows: Any = rows, n: int = items
            ) -> int:
                client = reverb.Client(server.address)
                with client.trajectory_writer(num_keep_alive_refs=1) as writer:
                    for i in range(n):
                        writer.append({"x": rows[i % len(rows)]})
                        writer.create_item("t", 1.0, {"x": writer.history["x"][-1]})
                        if i % 64 == 0:
                            writer.flush(block_until_num_items=256)
                    writer.flush()
                return n

            found[f"insert {name}"] = server.measure(put)
            batch = max(8, min(BATCH, 640_000 // (width * 4)))
            found[f"sample {name}"] = server.measure(
                lambda server=server, n=items, b=batch: _reverb_sample(
                    server.address, n, update=False, batch=b
                )
            )
    return found


def _peer_mixed(_: int) -> dict[str, float]:
    with ReverbServer(GAME) as server:
        _reverb_insert(server.address, 1000)
        environment = {**os.environ, "REPLAY_ADDRESS": server.address, "SECONDS": "10"}
        processes = [
            subprocess.Popen(
                [sys.executable, LOADS, work, "0"],
                stdout=subprocess.PIPE, text=True, env=environment,
            )
            for work in ["reverb_writer"] * 4 + ["reverb_learner"]
        ]  # fmt: skip
        rates = [
            json.loads(p.communicate()[0].splitlines()[-1])["rate"] for p in processes
        ]
    return summary(rates)


def _reverb_writer(_: int) -> dict[str, float]:
    address, seconds = os.environ["REPLAY_ADDRESS"], float(os.environ["SECONDS"])
    import reverb  # noqa: F401  its import is not part of the time

    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        count += _reverb_insert(address, 500)
    return {"rate": count / seconds}


def _reverb_learner(_: int) -> dict[str, float]:
    import reverb

    address, seconds = os.environ["REPLAY_ADDRESS"], float(os.environ["SECONDS"])
    client, count = reverb.Client(address), 0
    dataset = iter(_reverb_dataset(address, BATCH))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = next(dataset)
        keys = np.unique(found.info.key.numpy())
        client.mutate_priorities("t", dict.fromkeys(keys.tolist(), 1.5))
        count += BATCH
    return {"rate": count / seconds}


def _peer_tree(_: int) -> dict[str, float]:
    from cpprb import PrioritizedReplayBuffer

    size, count = 1 << 20, 256
    buffer = PrioritizedReplayBuffer(size, {"x": {}}, alpha=1.0)
    rng = np.random.default_rng(0)
    for _ in range(size // 4096):
        buffer.add(x=np.zeros(4096), priorities=rng.random(4096))

    def both() -> None:
        found = buffer.sample(count, beta=0.4)
        buffer.update_priorities(found["indexes"], rng.random(count))

    return {"draw and update 256": per_call(both)}


WORKS: dict[str, Callable[[int], dict[str, Any]]] = {
    "window": _peer_window,
    "sizes": _peer_sizes,
    "mixed": _peer_mixed,
    "tree": _peer_tree,
    "reverb_server": _reverb_server,
    "reverb_writer": _reverb_writer,
    "reverb_learner": _reverb_learner,
}
