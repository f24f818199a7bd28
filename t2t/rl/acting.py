"""Acting: a policy in N environments, its rows recorded.

What is random is drawn from (seed, turn), so a run that is restored acts as the one
that was not interrupted.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from t2t import registry
from t2t.environments import Environments, Observation
from t2t.features import Feature

Row = dict[str, np.ndarray]


@registry.configurable("acting")
@dataclasses.dataclass(frozen=True)
class ActingOptions:
    """How experience is gathered.

    Args:
      environments: N, stepped together.
      actors: processes that act; with 0 the learner acts itself.
      batch_size: items that the learner takes at once.
      random_steps: steps of all environments before which actions are drawn evenly.
      explore_first, explore_last: how much the model explores, in its own terms.
      explore_steps: steps over which the one becomes the other.
    """

    environments: int = 1
    actors: int = 0
    batch_size: int = 256
    random_steps: int = 0
    explore_first: float = 1.0
    explore_last: float = 1.0
    explore_steps: int = 1

    def explore_at(self, step: int) -> float:
        share = min(1.0, step / max(1, self.explore_steps))
        return self.explore_first + share * (self.explore_last - self.explore_first)


class Policy:
    """A model's `act`, traced once for each number of environments.

    Args:
      model: has `act(features, state, *, seed, explore) -> (action, state, extras)`
        and may have `start(count)`, the state that an episode begins with.
      seed: of the run.
    """

    def __init__(self, model: Any, *, seed: int) -> None:
        self.model, self.seed = model, seed
        self._act = tf.function(
            lambda observation, state, seed, explore: model.act(
                observation, state, seed=seed, explore=explore
            ),
            autograph=False,
            jit_compile=False,
        )

    def start(self, count: int) -> Any:
        start = getattr(self.model, "start", None)
        return start(count) if start else ()

    def extras(self, observation: Observation, count: int) -> Row:
        """What `act` gives beside actions, for a look at names and shapes."""
        return self(observation, self.start(count), turn=0, explore=0.0)[2]

    def __call__(
        self, observation: Observation, state: Any, *, turn: int, explore: float
    ) -> tuple[np.ndarray, Any, Row]:
        """(actions [N, …], next state, extras by name [N, …])."""
        words = np.random.SeedSequence([self.seed, 1, turn]).generate_state(1)
        seed = tf.constant(int(words[0]) & 0x7FFFFFFF, tf.int32)
        tensors = {name: tf.constant(value) for name, value in observation.items()}
        action, state, extras = self._act(tensors, state, seed, tf.constant(explore))
        return action.numpy(), state, {n: v.numpy() for n, v in extras.items()}


def random_actions(feature: Feature, count: int, rng: np.random.Generator) -> Any:
    """Even draws: [N] of a label, [N, …] of a bounded real feature."""
    if feature.kind == "label":
        return rng.integers(feature.size, size=count).astype(np.int32)
    low, high = feature.bounds
    return rng.uniform(low, high, (count, *low.shape)).astype(np.float32)


class Actor:
    """Steps environments with a policy and hands over every row.

    Args:
      environments: restart by themselves.
      policy: see `Policy`.
      action: the feature.
      options: see `ActingOptions`.
      record: gets the rows of a turn, one an environment.
    """

    def __init__(
        self,
        environments: Environments,
        policy: Policy,
        action: Feature,
        options: ActingOptions,
        record: Callable[[list[Row]], Any],
    ) -> None:
        self.environments, self.policy, self.action = environments, policy, action
        self.options, self.record = options, record
        self.turn = 0
        self.frames = 0  # steps of all environments; resets are none
        self.episodes = 0
        self.returns: collections.deque[float] = collections.deque(maxlen=100)
        self.lengths: collections.deque[int] = collections.deque(maxlen=100)
        self._state = self._start = policy.start(environments.count)
        self._seen: Observation | None = None
        self._ended = np.zeros(environments.count, bool)
        self._return = np.zeros(environments.count)
        self._length = np.zeros(environments.count, np.int64)

    def step(self) -> None:
        """One turn of all environments."""
        if self._seen is None:
            self._seen = self.environments.reset()
        seen, last = self._seen, self._ended
        action, extras = self._choose(seen)
        answer = self.environments.step(action)
        ends = answer.terminated | answer.truncated
        together = {
            **seen,
            **extras,
            "action": action,
            "reward": answer.reward,
            "terminated": answer.terminated,
            "truncated": answer.truncated,
            "last": last,
        }
        rows = [
            {name: value[n] for name, value in together.items()}
            for n in range(self.environments.count)
        ]
        for row, worth in zip(rows, answer.hindsight, strict=False):
            if worth is not None:
                row["hindsight"] = worth
        self.record(rows)
        self._count(last, answer.reward, ends)
        self._seen, self._ended, self.turn = answer.observation, ends, self.turn + 1

    def report(self) -> dict[str, float]:
        """What people watch."""
        values = {"frames": float(self.frames), "episodes": float(self.episodes)}
        if self.returns:
            values["episode_return"] = float(np.mean(self.returns))
            values["episode_length"] = float(np.mean(self.lengths))
        own = getattr(self.environments, "report", dict)
        return {**values, **own()}

    def _choose(self, seen: Observation) -> tuple[np.ndarray, Row]:
        explore = self.options.explore_at(self.frames)
        action, self._state, extras = self.policy(
            seen, self._state, turn=self.turn, explore=explore
        )
        self._state = self._restarted(self._state)
        if self.frames < self.options.random_steps:
            rng = np.random.default_rng([self.policy.seed, 2, self.turn])
            action = random_actions(self.action, self.environments.count, rng)
        return action, extras

    def _restarted(self, state: Any) -> Any:
        """The recurrent state; anew where this turn was an episode's last row."""
        if not self._ended.any():
            return state
        return tf.nest.map_structure(
            lambda new, first: tf.where(
                tf.reshape(self._ended, (-1,) + (1,) * (len(new.shape) - 1)), first, new
            ),
            state,
            self._start,
        )

    def _count(self, last: np.ndarray, reward: np.ndarray, ended: np.ndarray) -> None:
        self.frames += int((~last).sum())
        self._return += reward
        self._length += ~last
        for n in np.flatnonzero(ended):
            self.episodes += 1
            self.returns.append(float(self._return[n]))
            self.lengths.append(int(self._length[n]))
            self._return[n] = self._length[n] = 0

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "environments": self.environments.state(),
            "turn": self.turn,
            "frames": self.frames,
            "episodes": self.episodes,
            "returns": list(self.returns),
            "lengths": list(self.lengths),
            "recurrent": [
                [v.dtype.name, np.asarray(v).tolist()]
                for v in tf.nest.flatten(self._state)
            ],
            "ended": self._ended.tolist(),
            "return": self._return.tolist(),
            "length": self._length.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        if state["environments"] is not None:
            self._seen = self.environments.restore(state["environments"])
        self.turn, self.frames = state["turn"], state["frames"]
        self.episodes = state["episodes"]
        self.returns.extend(state["returns"])
        self.lengths.extend(state["lengths"])
        flat = [tf.constant(values, dtype) for dtype, values in state["recurrent"]]
        self._state = tf.nest.pack_sequence_as(self._start, flat)
        self._ended = np.array(state["ended"])
        self._return = np.array(state["return"])
        self._length = np.array(state["length"])
