"""The contract for problems that answer back: games, compilers, databases.

An environment is gymnasium's: `reset(seed=…) -> (observation, info)` and
`step(action) -> (observation, reward, terminated, truncated, info)`, with spaces.
A problem offers one in place of examples:

    class Corridor(Problem):
        interactive = True
        def environment(self, split): return CorridorEnvironment()

`features_of` turns its spaces into the `Feature`s that models know, so a policy
is checked against an environment like any model against any problem.

Many are stepped at once (`Several`, or a simulator's own vector). They restart by
themselves: the call after an episode's end is its reset; that call's action is not
taken and its reward is 0 (what gymnasium calls NEXT_STEP). Terminated is not
truncated: the return after a truncated step goes on, and is merely not seen.

Axis letter: N environments.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from t2t.features import Feature

Observation = dict[str, np.ndarray]  # [N, …] by feature


class Environment(Protocol):
    """gymnasium.Env, as far as this house uses it."""

    observation_space: Any
    action_space: Any

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]: ...

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]: ...

    def close(self) -> None: ...


class Turn(NamedTuple):
    """What N environments answer to an action each."""

    observation: Observation
    reward: np.ndarray  # float32 [N]
    terminated: np.ndarray  # bool [N]: nothing comes after
    truncated: np.ndarray  # bool [N]: cut here, it would go on
    # Of each episode that ends here, where it is only known now what each of its steps
    # was worth: float32 [its steps]; what came of a compilation has many authors.
    # Of no length where that will never be known.
    hindsight: tuple[np.ndarray | None, ...] = ()


class Environments(Protocol):
    """N environments that restart by themselves, as said above."""

    count: int

    def reset(self) -> Observation: ...

    def step(self, action: np.ndarray) -> Turn: ...

    def state(self) -> dict[str, Any] | None:
        """JSON values for `restore`; None when they cannot be restored."""
        ...

    def restore(self, state: dict[str, Any]) -> Observation: ...

    def close(self) -> None: ...

    # And perhaps `report() -> {name: float}`, of which a run's numbers tell.


class Interactive(Protocol):
    """A problem whose data come from acting."""

    def environment(self, split: str) -> Environment:
        """A new environment; `split` tells which levels, programs or queries."""
        ...

    def environments(self, split: str, count: int, *, seed: int) -> Environments:
        """N of them at once."""
        ...


class Several:
    """N single environments, stepped one after another.

    Episode k of environment n begins from a seed of its own, made of (seed, n, k).
    An environment that is deterministic is therefore restored by its seed and the
    actions since, whatever state it has inside.

    Args:
      make: gives a new environment.
      count: N.
      seed: of all episodes.
    """

    def __init__(
        self, make: Callable[[], Environment], count: int, *, seed: int
    ) -> None:
        self.count, self.seed = count, seed
        self.environments = [make() for _ in range(count)]
        space = self.environments[0].observation_space
        self._parts = list(getattr(space, "spaces", {}))
        self._episodes = [0] * count
        self._actions: list[list[Any]] = [[] for _ in range(count)]
        self._ended = [False] * count

    def reset(self) -> Observation:
        return self._stack([self._begin(n) for n in range(self.count)])

    def step(self, action: np.ndarray) -> Turn:
        reward = np.zeros(self.count, np.float32)
        ends = np.zeros((2, self.count), bool)
        seen = []
        for n in range(self.count):
            if self._ended[n]:
                self._episodes[n] += 1
                seen.append(self._begin(n))
                continue
            observation, reward[n], ends[0, n], ends[1, n] = self._step(n, action[n])
            seen.append(observation)
        return Turn(self._stack(seen), reward, ends[0], ends[1])

    def state(self) -> dict[str, Any]:
        return {"episodes": list(self._episodes), "actions": self._actions}

    def restore(self, state: dict[str, Any]) -> Observation:
        self._episodes = list(state["episodes"])
        seen = []
        for n, actions in enumerate(state["actions"]):
            observation = self._begin(n)
            for action in actions:
                observation = self._step(n, np.asarray(action))[0]
            seen.append(observation)
        return self._stack(seen)

    def render(self) -> np.ndarray:
        """What the first one looks like, uint8 [H, W, 3]; made with `render`."""
        return self.environments[0].render()  # type: ignore[attr-defined]

    def close(self) -> None:
        for environment in self.environments:
            environment.close()

    def _begin(self, n: int) -> Any:
        words = np.random.SeedSequence([self.seed, n, self._episodes[n]])
        seed = int(words.generate_state(1)[0]) >> 1
        self._actions[n], self._ended[n] = [], False
        return self.environments[n].reset(seed=seed)[0]

    def _step(self, n: int, action: np.ndarray) -> tuple[Any, float, bool, bool]:
        plain = action.tolist()
        self._actions[n].append(plain)
        taken = self._allowed(plain) if isinstance(plain, list) else plain
        observation, reward, ended, cut, _ = self.environments[n].step(taken)
        self._ended[n] = bool(ended or cut)
        return observation, float(reward), bool(ended), bool(cut)

    def _allowed(self, action: list[float]) -> np.ndarray:
        """Within the bounds: a policy may have drawn beyond."""
        space = self.environments[0].action_space
        return np.clip(np.asarray(action, np.float32), space.low, space.high)

    def _stack(self, seen: list[Any]) -> Observation:
        if not self._parts:
            return {"observation": as_feature(np.stack(seen))}
        return {n: as_feature(np.stack([s[n] for s in seen])) for n in self._parts}


class FakeEnvironment:
    """Random observations in the shape of another's, for tests without a simulator.

    Refuses actions that the other would not take.
    """

    def __init__(self, like: Environment, *, length: int = 5) -> None:
        # Its own: a space draws from a generator that it holds.
        self.observation_space = copy.deepcopy(like.observation_space)
        self.action_space = like.action_space
        self.length, self._steps = length, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self.observation_space.seed(seed)
        self._steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if not self.action_space.contains(action):
            raise ValueError(f"{action!r} is not in {self.action_space}")
        self._steps += 1
        ended = self._steps >= self.length
        return self.observation_space.sample(), 1.0, ended, False, {}

    def close(self) -> None:
        pass


def as_feature(values: np.ndarray) -> np.ndarray:
    """With the dtype that features have: images stay bytes, reals are float32."""
    if values.dtype == np.uint8:
        return values
    whole = np.issubdtype(values.dtype, np.integer)
    return values.astype(np.int32 if whole else np.float32)


def feature_of(space: Any) -> Feature:
    """A gymnasium space as a Feature.

    A Box of uint8 [H, W, C] is an image, another Box is real, Discrete a label.

    Raises:
      ImportError: without gymnasium, with how to install it.
      TypeError: for a space that no feature describes.
    """
    spaces = _spaces()
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return Feature("label", (), "int32", "", classes=int(space.n))
    if isinstance(space, spaces.Box):
        if space.dtype == "uint8" and len(space.shape) == 3:
            return Feature("image", space.shape, "uint8", "HWC")
        bounds = {}
        if np.isfinite(space.low).all() and np.isfinite(space.high).all():
            for name in ("low", "high"):
                bounds[name] = tuple(getattr(space, name).ravel().tolist())
        axes = "XYZW"[: len(space.shape)]
        return Feature("real", space.shape, "float32", axes, **bounds)
    raise TypeError(f"no feature describes the space {space}")


def features_of(environment: Environment) -> dict[str, Feature]:
    """{'observation' or its parts: Feature, 'action': Feature}."""
    space = environment.observation_space
    parts = (
        space.spaces if isinstance(space, _spaces().Dict) else {"observation": space}
    )
    return {
        **{name: feature_of(part) for name, part in parts.items()},
        "action": feature_of(environment.action_space),
    }


def _spaces() -> Any:
    try:
        from gymnasium import spaces
    except ImportError as error:
        raise ImportError(
            "environments need gymnasium: pip install -e '.[environments]'"
        ) from error
    return spaces
