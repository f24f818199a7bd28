"""Clients, a network and shards as queues, event by event: for `replay_limits`.

Every client asks, waits for its answer, thinks, and asks again, inserts and samples in
turn. An insert goes to the client's own shard; a sample of n items is shared out among
the shards, as `t2t.replay.shards` does, and is answered with the last of its parts. On
its way a request passes, each first come, first served:

the client's machine -> half a round trip -> the shard's line in -> its one thread ->
its line out -> half a round trip -> the client's machine

What happens at a queue is settled when a request arrives there, as nobody overtakes.
"""

from __future__ import annotations

import dataclasses
import heapq
from typing import NamedTuple

import numpy as np

FRAME = 200  # bytes of a request or an answer beside its steps, with TCP's own
ITEM = 24  # bytes of an item beside its steps


@dataclasses.dataclass(frozen=True)
class Spend:
    """CPU-seconds of a request: message + items x (item + width x byte)."""

    message: float
    item: float
    byte: float

    def of(self, items: int, width: int) -> float:
        return self.message + items * (self.item + width * self.byte)


@dataclasses.dataclass(frozen=True)
class World:
    """What is simulated.

    Args:
      clients, shards: how many.
      insert, sample: what a shard spends on a request.
      client: CPU-seconds of a client's machine a request, half before, half after.
      machines: of clients, each with one core for all of its; 0 for one a client.
      items: of a sample; an insert is of one.
      width: bytes of an item.
      think: mean seconds, exponential, between an answer and the next request.
      rate: bytes a second of a shard's network, each way.
      round_trip: seconds that an empty message takes there and back.
      stretch: a busy process's wall seconds to a CPU-second.
    """

    clients: int
    shards: int
    insert: Spend
    sample: Spend
    client: float
    machines: int = 0
    items: int = 1
    width: int = 1_000
    think: float = 1.0
    rate: float = 1.25e9
    round_trip: float = 1e-4
    stretch: float = 1.0


class Outcome(NamedTuple):
    """What comes of it."""

    rate: float  # requests a second
    used: float  # share of the time that the busiest shard's thread works
    latencies: np.ndarray  # seconds, from when a request was due to its answer


SEND, SERVE, RECEIVE = range(3)  # what happens next to a part of a request


class Simulation:
    """One run of a world; the same seed gives the same run."""

    def __init__(self, world: World, *, seed: int = 0) -> None:
        self.world, self.rng = world, np.random.default_rng(seed)
        self.now, self.number = 0.0, 0
        # (when, number, what, client, shard): the number keeps the order of equals.
        self.events: list[tuple[float, int, int, int, int]] = []
        self.machine = np.zeros(world.machines or world.clients).tolist()
        self.line_in, self.line_out, self.thread, self.busy = (
            [0.0] * world.shards for _ in range(4)
        )
        self.turn = [n % 2 for n in range(world.clients)]  # 0 inserts, 1 samples
        self.due = self.rng.exponential(world.think, world.clients).tolist()
        self.parts: list[list[int]] = [[] for _ in range(world.clients)]
        self.missing = [0] * world.clients
        self.thoughts: list[float] = []
        for client, due in enumerate(self.due):
            self.push(due, SEND, client, 0)

    def run(self, requests: int) -> Outcome:
        """Until so many have been answered; the first fifth does not count."""
        waits: list[float] = []
        warm, begun, busy = requests // 5, 0.0, [0.0] * self.world.shards
        steps = {SEND: self.send, SERVE: self.serve, RECEIVE: self.receive}
        while len(waits) < requests:
            self.now, _, what, client, shard = heapq.heappop(self.events)
            wait = steps[what](client, shard)
            if wait is None:
                continue
            waits.append(wait)
            if len(waits) == warm:
                begun, busy = self.now, list(self.busy)
        took = self.now - begun
        used = max(a - b for a, b in zip(self.busy, busy, strict=True)) / took
        late = np.array(waits[warm:])
        return Outcome(len(late) / took, min(1.0, used), late)

    def push(self, when: float, what: int, client: int, shard: int) -> None:
        self.number += 1
        heapq.heappush(self.events, (when, self.number, what, client, shard))

    def send(self, client: int, _: int) -> None:
        """A request is due: the client's machine makes its parts and sends them."""
        world, sampling = self.world, self.turn[client]
        home = client % world.shards
        parts = [(home, 1)]
        if sampling and world.shards > 1:
            shares = [1 / world.shards] * world.shards
            counts = self.rng.multinomial(world.items, shares)
            parts = [(int(s), int(counts[s])) for s in np.flatnonzero(counts)]
        elif sampling:
            parts = [(0, world.items)]
        self.missing[client] = len(parts)
        self.parts[client] = [0] * world.shards
        for shard, items in parts:
            self.parts[client][shard] = items
            left = self.at_machine(client, world.client / 2)
            self.push(left + world.round_trip / 2, SERVE, client, shard)

    def serve(self, client: int, shard: int) -> None:
        """A part arrives at a shard: its line, its thread, its line again."""
        world, sampling = self.world, self.turn[client]
        items = self.parts[client][shard]
        data = items * (world.width + ITEM)
        sizes = (FRAME, FRAME + data) if sampling else (FRAME + data, FRAME)
        spend = (world.sample if sampling else world.insert).of(items, world.width)
        spend *= world.stretch
        self.line_in[shard] = max(self.now, self.line_in[shard]) + sizes[0] / world.rate
        begun = max(self.line_in[shard], self.thread[shard])
        self.thread[shard] = begun + spend
        self.busy[shard] += spend
        out = max(self.thread[shard], self.line_out[shard]) + sizes[1] / world.rate
        self.line_out[shard] = out
        self.push(out + world.round_trip / 2, RECEIVE, client, shard)

    def receive(self, client: int, _: int) -> float | None:
        """A part of the answer is there; the whole wait when it was the last."""
        done = self.at_machine(client, self.world.client / 2)
        self.missing[client] -= 1
        if self.missing[client]:
            return None
        wait = done - self.due[client]
        self.turn[client] = 1 - self.turn[client]
        self.due[client] = done + self.thought()
        self.push(self.due[client], SEND, client, 0)
        return wait

    def at_machine(self, client: int, spend: float) -> float:
        """When the client's machine is done with something that takes so long."""
        machine = client % len(self.machine)
        begun = max(self.now, self.machine[machine])
        self.machine[machine] = begun + spend * self.world.stretch
        return self.machine[machine]

    def thought(self) -> float:
        """Seconds until the next request."""
        if not self.thoughts:  # numpy draws many as quickly as one
            self.thoughts = self.rng.exponential(self.world.think, 4096).tolist()
        return self.thoughts.pop()


def simulate(world: World, *, requests: int, seed: int = 0) -> Outcome:
    """What comes of a world; see `Simulation.run`."""
    return Simulation(world, seed=seed).run(requests)
