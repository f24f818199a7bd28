"""Learning from what actors in other processes send.

The learner's process serves the table. Actors connect to it, on this host by a
socket in the run folder, from elsewhere by HOST:PORT; they fetch the newest weights
from its board and put up there how they fare. An actor that dies is nobody's
problem: its stream is forgotten, and one on this host is started again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t import config as config_lib
from t2t import registry
from t2t.features import Feature
from t2t.replay.checkpoint import Archive, freeze, room_for
from t2t.replay.client import Client, parse
from t2t.replay.sampler import Sampler
from t2t.replay.server import Server
from t2t.replay.service import Service
from t2t.replay.snapshot import Room
from t2t.rl.acting import ActingOptions, Policy
from t2t.rl.experience import TABLE, Experience, blank_observation
from t2t.sources import Batch

CHUNK = 16  # rows of a chunk
WEIGHTS = "weights"  # on the board; how actors fare is under 'actor/NAME'
PUBLISHED_EVERY = 10  # batches
MOST_RESTARTS = 20  # of an actor on this host


class Fed:
    """A `Source` of batches that actors elsewhere fill.

    Args:
      features: of the problem, 'action' among them.
      model: whose weights actors fetch.
      experience, options: as for `local.Acting`.
      folder: the run's.
      seed: of the run.
      actors: processes to start on this host.
      listen: HOST:PORT for actors elsewhere; '' for none.
      secret: that they must know.
    """

    def __init__(
        self,
        features: dict[str, Feature],
        model: Any,
        experience: Experience,
        options: ActingOptions,
        *,
        folder: Path,
        seed: int,
        actors: int,
        listen: str = "",
        secret: str = "",
    ) -> None:
        experience.check(model)
        count = options.environments
        policy = Policy(model, seed=seed)
        extras = policy.extras(blank_observation(features, count), count)
        self._signature = experience.signature(features, extras)
        self._store = experience.store(
            self._signature,
            features,
            at_once=CHUNK * max(1, actors) * count * experience.most_items,
            batch_size=options.batch_size,
            chunk_steps=CHUNK,
            writers=1024,
        )
        self._model, self._experience, self._options = model, experience, options
        self._service = Service([self._store], seed=seed)
        self._archive = Archive(folder / "replay")
        self._folder, self._actors, self._secret = folder, actors, secret
        self._listen = listen
        self._server: Server | None = None
        self._started: list[tuple[int, subprocess.Popen[bytes], int]] = []
        self._given = 0  # batches

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._server is None:
            self._serve()
        if self._given % PUBLISHED_EVERY == 0:
            self._publish()
            self._look_after_actors()
        found = self._experience.batch(next(self._sampler))
        self._given += 1
        return found

    def peek(self) -> Batch:
        """Zeros of the names, shapes and dtypes of a batch."""
        size = self._options.batch_size
        return self._experience.blank(self._store, self._signature, size)

    def feedback(self, batch: Batch, priorities: np.ndarray) -> None:
        """Gives the items of a batch their new priorities [B]."""
        self._client.update(TABLE, batch["key"].view(np.uint64), priorities)

    def state(self) -> dict[str, Any]:
        """As `Source` says; the table goes into the run's folder."""
        room = Room(self._call(lambda: room_for(self._service)))
        frozen = self._call(lambda: freeze(self._service, room))
        number = self._archive.write(frozen)
        self._call(frozen.thaw)
        return {"replay": number, "given": self._given}

    def restore(self, state: dict[str, Any]) -> None:
        """Fills the table; actors begin new episodes."""
        self.close()
        self._service = Service([self._store], seed=state["given"])
        self._archive.restore(self._service, state["replay"])
        self._archive.forget_after(state["replay"])
        self._given = state["given"]

    def report(self) -> dict[str, float]:
        """What the actors put up, together; the table's size and pace."""
        if self._server is None:
            return {}
        board = self._server.board
        notes = [n.meta for name, n in board.items() if name.startswith("actor/")]
        values = {
            name: float(sum(note.get(name, 0) for note in notes))
            for name in ("frames", "episodes")
        }
        for name in ("episode_return", "episode_length"):
            found = [note[name] for note in notes if name in note]
            if found:
                values[name] = float(np.mean(found))
        info = self._call(lambda: self._service.table(TABLE).info())
        values["table_size"] = float(info["size"])
        values["samples_per_insert"] = float(info["samples_per_insert"])
        values["staleness"] = float(self._sampler.staleness)
        return values

    def close(self) -> None:
        """Ends the actors on this host, and the server."""
        for _, process, _ in self._started:
            process.terminate()
        for _, process, _ in self._started:
            process.wait()
        self._started = []
        if self._server is not None:
            self._sampler.close()
            self._client.close()
            self._server.stop()
            self._server = None
            shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def address(self) -> str:
        """Where actors on this host connect."""
        return str(self._sockets / "replay.sock")

    # -- parts -----------------------------------------------------------------------

    def _serve(self) -> None:
        # A socket's path must be short, and a run folder's may not be.
        self._sockets = Path(tempfile.mkdtemp(prefix="t2t-"))
        place = parse(self._listen) if self._listen else None
        if isinstance(place, str):
            raise ValueError(f"--replay={self._listen}: expected HOST:PORT")
        self._server = Server(
            self._service, unix=self.address, tcp=place, secret=self._secret
        ).start()
        self._client = Client(self.address)
        self._sampler = Sampler(
            self._client, TABLE, self._options.batch_size, timeout=600.0
        )
        self._publish()
        self._started = [(n, self._start(n), 0) for n in range(self._actors)]

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = [
            sys.executable, "-m", "t2t.bin.trainer", "--schedule=actor",
            f"--output_dir={self._folder}", f"--replay={self.address}",
            f"--actor={number}",
            *(f"--t2t_usr_dir={folder}" for folder in registry.current().usr_dirs),
        ]  # fmt: skip
        log = open(self._folder / f"actor-{number}.log", "ab")  # noqa: SIM115
        return subprocess.Popen(command, stdout=log, stderr=log)

    def _look_after_actors(self) -> None:
        for i, (number, process, restarts) in enumerate(self._started):
            if process.poll() is None:
                continue
            if restarts >= MOST_RESTARTS:
                raise RuntimeError(
                    f"actor {number} ended {restarts} times: see "
                    f"{self._folder / f'actor-{number}.log'}"
                )
            self._started[i] = (number, self._start(number), restarts + 1)

    def _publish(self) -> None:
        client = self._client
        weights = {v.path: np.array(v) for v in self._model.variables}
        client.publish(WEIGHTS, self._given, weights)

    def _call(self, function: Callable[[], Any]) -> Any:
        """On the server's thread, if it runs."""
        return function() if self._server is None else self._server.call(function)


def fed(
    problem: Any, model: Any, *, seed: int, folder: Path, listen: str, secret: str
) -> Fed:
    """The source of batches from actors, as the configuration has it."""
    options: ActingOptions = config_lib.build("acting")()
    return Fed(
        problem.offered(),
        model,
        config_lib.build("experience")(),
        options,
        folder=folder,
        seed=seed,
        actors=options.actors,
        listen=listen,
        secret=secret,
    )
