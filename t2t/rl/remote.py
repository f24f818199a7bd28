"""An actor in a process of its own: acts, sends its rows, fetches weights."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from t2t import config as config_lib
from t2t.replay.client import Client, ServerGone, wait_for
from t2t.replay.streams import DeadlinePassed
from t2t.replay.writer import Writer
from t2t.rl.acting import ActingOptions, Actor, Policy, Row
from t2t.rl.experience import TABLE, Experience, Recorder
from t2t.rl.fed import WEIGHTS
from t2t.run import checkpoints

POLLED_EVERY = 0.1  # seconds between looks for newer weights
NOTED_EVERY = 1.0  # seconds between an actor's notes of how it fares
GONE_AFTER = 60.0  # seconds without a server after which an actor ends


class Weights:
    """The newest weights, from a server's board or a run's checkpoints.

    Args:
      model: whose variables get them.
      source: a client, or a run's folder.
    """

    def __init__(self, model: Any, source: Client | Path) -> None:
        self._variables = {v.path: v for v in model.variables}
        self._source, self.version = source, -1
        self._looked = -POLLED_EVERY

    def poll(self) -> bool:
        """Loads what is newer, if it is time to look; whether it was."""
        now = time.monotonic()
        if now - self._looked < POLLED_EVERY:
            return False
        self._looked = now
        found = self._newer()
        if found is None:
            return False
        self.version, arrays = found
        checkpoints.assign(self._variables, arrays)
        return True

    def _newer(self) -> tuple[int, dict[str, np.ndarray]] | None:
        if isinstance(self._source, Client):
            found = self._source.fetch(WEIGHTS, newer_than=self.version)
            return None if found is None else found[:2]
        steps = checkpoints.steps_in(self._source / "checkpoints")
        if not steps or steps[-1] <= self.version:
            return None
        with contextlib.suppress(checkpoints.CheckpointError):  # just removed
            path = checkpoints.path_of(self._source / "checkpoints", steps[-1])
            arrays, meta = checkpoints.read(path)
            named = {
                name.removeprefix("model/"): value
                for name, value in arrays.items()
                if name.startswith("model/")
            }
            return int(meta["step"]), named
        return None


def act(
    problem: Any,
    model: Any,
    *,
    replay: str,
    weights: str = "",
    number: int = 0,
    seed: int = 0,
    secret: str = "",
) -> None:
    """Acts until the server has gone, or SIGTERM comes.

    Args:
      replay: address of the table's server.
      weights: a run's folder; '' for the server's board.
      number: of this actor; it decides its environments' seeds.
      secret: of the server.
    """
    experience: Experience = config_lib.build("experience")()
    options: ActingOptions = config_lib.build("acting")()
    client = wait_for(replay, secret=secret, timeout=GONE_AFTER)
    newest = Weights(model, Path(weights) if weights else client)
    words = np.random.SeedSequence([seed, 3, number]).generate_state(1)
    own = int(words[0]) >> 1
    recorders = [
        Recorder(experience, Writer(client, TABLE, timeout=GONE_AFTER), flush=False)
        for _ in range(options.environments)
    ]
    signal.signal(signal.SIGTERM, _end)

    def record(rows: list[Row]) -> None:
        for recorder, row in zip(recorders, rows, strict=True):
            _patiently(lambda r=recorder, x=row: r(x))

    actor = Actor(
        problem.environments("train", options.environments, seed=own),
        Policy(model, seed=own),
        problem.features["action"],
        options,
        record,
    )
    name = f"actor/{number}-{socket.gethostname()}-{os.getpid()}"
    noted = 0.0
    try:
        while True:
            newest.poll()
            actor.step()
            if time.monotonic() - noted > NOTED_EVERY:
                noted = time.monotonic()
                note = {**actor.report(), "weights": newest.version}
                client.publish(name, actor.turn, {}, note)
    except (ServerGone, ConnectionError) as error:
        print(f"actor {number}: {error}; done", file=sys.stderr)
    finally:
        actor.environments.close()


def _end(number: int, frame: Any) -> None:
    """Wherever it waits, an actor that is told to end does."""
    raise SystemExit(0)


def _patiently(write: Any) -> None:
    """Writes; a limiter that lets nothing in for long only makes it wait."""
    while True:
        try:
            write()
            return
        except DeadlinePassed:
            continue
