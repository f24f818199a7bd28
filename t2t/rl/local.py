"""Acting and learning in one process, by turns, always the same.

The table's limiter says whose turn it is: environments are stepped until it lets no
more in, then batches are sampled until it gives no more out. With samples_per_insert
= batch size that is one update a frame; with a queue, rounds of on-policy learning.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t import config as config_lib
from t2t.environments import Environments
from t2t.features import Feature
from t2t.replay.checkpoint import Archive, freeze
from t2t.replay.local import LocalClient
from t2t.replay.service import Service
from t2t.replay.writer import Writer
from t2t.rl.acting import ActingOptions, Actor, Policy, Row
from t2t.rl.experience import TABLE, Experience, Recorder, blank_observation
from t2t.sources import Batch


def acting(problem: Any, model: Any, *, seed: int, folder: Path) -> Acting:
    """The source of an interactive problem's batches, as the configuration has it."""
    options: ActingOptions = config_lib.build("acting")()
    return Acting(
        problem.environments("train", options.environments, seed=seed),
        problem.offered(),
        model,
        config_lib.build("experience")(),
        options,
        seed=seed,
        folder=folder,
    )


class Acting:
    """A `Source` of batches that acts for what it needs.

    Args:
      environments: N of them.
      features: of the problem, 'action' among them.
      model: acts, with the weights that it has at each turn.
      experience, options: what to keep, how to act.
      seed: of the run.
      folder: where the table is kept between runs.
    """

    def __init__(
        self,
        environments: Environments,
        features: dict[str, Feature],
        model: Any,
        experience: Experience,
        options: ActingOptions,
        *,
        seed: int,
        folder: Path,
    ) -> None:
        if not experience.samples_per_insert:
            raise ValueError(
                "experience.samples_per_insert=0 sets no pace: acting and learning in "
                "one process need one"
            )
        experience.check(model)
        count, batch_size = environments.count, options.batch_size
        policy = Policy(model, seed=seed)
        extras = policy.extras(blank_observation(features, count), count)
        self._signature = experience.signature(features, extras)
        self._most = count * experience.most_items
        self._store = experience.store(
            self._signature, features, at_once=self._most, batch_size=batch_size
        )
        self._service = Service([self._store], seed=seed)
        self._client = LocalClient(self._service)
        self._archive = Archive(folder)
        self._experience, self._batch_size = experience, batch_size
        self._recorders = [Recorder(experience, self._writer()) for _ in range(count)]
        self._sampling = False
        self._pretrained = 0  # batches
        self.actor = Actor(
            environments, policy, features["action"], options, self._record
        )

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        while not (self._sampling and self._client.ready(TABLE, self._batch_size)):
            self._sampling = False
            if self._client.room(TABLE, self._most):
                self.actor.step()
            elif self._client.ready(TABLE, self._batch_size):
                self._sampling = True
            else:
                raise RuntimeError(
                    f"the table lets in no {self._most} items and gives out no "
                    f"{self._batch_size}: {self._experience}"
                )
        sampled = self._client.sample(TABLE, self._batch_size, timeout=0.0)
        if self._pretrained < self._experience.pretrain:
            # What is learned before the pace begins does not count for it.
            self._service.table(TABLE).limiter.samples -= self._batch_size
            self._pretrained += 1
        return self._experience.batch(sampled)

    def peek(self) -> Batch:
        """Zeros of the names, shapes and dtypes of a batch; nothing is acted."""
        return self._experience.blank(self._store, self._signature, self._batch_size)

    def feedback(self, batch: Batch, priorities: np.ndarray) -> None:
        """Gives the items of a batch their new priorities [B]."""
        self._client.update(TABLE, batch["key"].view(np.uint64), priorities)

    def state(self) -> dict[str, Any]:
        """As `Source` says; the table itself goes into `folder`."""
        recorders = [recorder.state() for recorder in self._recorders]
        frozen = freeze(self._service)
        number = self._archive.write(frozen)
        frozen.thaw()
        return {
            "replay": number,
            "recorders": recorders,
            "actor": self.actor.state(),
            "sampling": self._sampling,
            "pretrained": self._pretrained,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._service = Service([self._store], seed=0)
        self._client = LocalClient(self._service)
        self._archive.restore(self._service, state["replay"])
        self._archive.forget_after(state["replay"])
        for recorder, found in zip(self._recorders, state["recorders"], strict=True):
            recorder.restore(self._writer(found["writer"]), found)
        self.actor.restore(state["actor"])
        self._sampling, self._pretrained = state["sampling"], state["pretrained"]

    def report(self) -> dict[str, float]:
        return self.actor.report()

    def close(self) -> None:
        self.actor.environments.close()

    def _writer(self, resume: dict[str, Any] | None = None) -> Writer:
        return Writer(self._client, TABLE, signature=self._signature, resume=resume)

    def _record(self, rows: list[Row]) -> int:
        pairs = zip(self._recorders, rows, strict=True)
        return sum(recorder(row) for recorder, row in pairs)
