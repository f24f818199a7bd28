"""The contract for problems that answer back: games, compilers, databases.

An environment is gymnasium's: `reset(seed=…) -> (observation, info)` and
`step(action) -> (observation, reward, terminated, truncated, info)`, with spaces.
A problem offers one in place of examples:

    class Corridor(Problem):
        interactive = True
        def environment(self, split): return CorridorEnvironment()

`features_of` turns its spaces into the `Feature`s that models know, so a policy
is checked against an environment like any model against any problem.

Terminated is not truncated: the return after a truncated step goes on, and what
an environment does at the end of an episode (`autoreset`) is said aloud.
"""

from __future__ import annotations

from typing import Any, Protocol

from t2t.features import Feature


class Environment(Protocol):
    """gymnasium.Env, as far as this house uses it."""

    observation_space: Any
    action_space: Any

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]: ...

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]: ...

    def close(self) -> None: ...


class Interactive(Protocol):
    """A problem whose data come from acting."""

    def environment(self, split: str) -> Environment:
        """A new environment; `split` tells which levels, programs or queries."""
        ...


def feature_of(space: Any) -> Feature:
    """A gymnasium space as a Feature.

    A Box of uint8 [H, W, C] is an image, another Box is real, Discrete a label.

    Raises:
      ImportError: without gymnasium, with how to install it.
      TypeError: for a space that no feature describes.
    """
    spaces = _spaces()
    if isinstance(space, spaces.Discrete):
        return Feature("label", (), "int32", "")
    if isinstance(space, spaces.Box):
        if space.dtype == "uint8" and len(space.shape) == 3:
            return Feature("image", space.shape, "uint8", "HWC")
        return Feature("real", space.shape, "float32", "XYZW"[: len(space.shape)])
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
