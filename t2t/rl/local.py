"""Acting and learning in one process, by turns, always the same.

The table's limiter says whose turn it is: environments are stepped until it lets no
more in, then batches are sampled until it gives no more out. With samples_per_insert
= batch size that is one update a frame; with a queue, rounds of on-policy learning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t.environments import Environments
from t2t.features import Feature
from t2t.replay.checkpoint import Checkpoint
from t2t.replay.local import LocalClient
from t2t.replay.service import Service
from t2t.replay.writer import Writer
from t2t.rl.acting import ActingOptions, Actor, Policy, Row
from t2t.rl.experience import TABLE, Experience, Recorder
from t2t.sources import Batch


class Acting:
    """A `Source` of batches that acts for what it needs.

    Args:
      environments: N of them.
      features: of the problem, 'action' among them.
      experience, options: what to keep, how to act.
      batch_size: items of a batch.
      seed: of the run.
      folder: where the table is kept between runs.
    """

    def __init__(
        self,
        environments: Environments,
        features: dict[str, Feature],
        experience: Experience,
        options: ActingOptions,
        *,
        batch_size: int,
        seed: int,
        folder: Path | None = None,
    ) -> None:
        self.environments, self.features = environments, features
        self.experience, self.options = experience, options
        self.batch_size, self.seed, self.folder = batch_size, seed, folder
        self._acts = False
        self._keys: list[np.ndarray] = []  # of batches that wait for priorities

    def follow(self, model: Any) -> None:
        """From now on the model acts, with the weights that it has at each turn."""
        self.policy = Policy(model, seed=self.seed)
        self._build()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        client, count = self.client, self.options.environments
        while not (self._sampling and client.ready(TABLE, self.batch_size)):
            if client.room(TABLE, count):
                self._sampling = False
                self.actor.step()
            elif self._sampling or not client.ready(TABLE, self.batch_size):
                raise RuntimeError(
                    "neither an insert nor a batch is allowed: experience.max_size="
                    f"{self.experience.max_size} and its limits do not fit batches of "
                    f"{self.batch_size}"
                )
            else:
                self._sampling = True
        sampled = client.sample(TABLE, self.batch_size, timeout=0.0)
        self._keys.append(sampled.keys)
        return self.experience.batch(sampled)
