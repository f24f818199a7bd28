"""What a sweep tries: values of knobs, by grid, at random, or as optuna proposes.

    num_layers=[1,2,4],learning_rate_constant=(0.1,2.0,'log')

A list is of choices, a tuple a range: whole numbers where both ends are, by ratio with
'log'. A grid takes lists alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from t2t.config import ConfigError, split_knobs

METHODS = ("grid", "random", "optuna")
Knobs = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Axis:
    """The values of one knob.

    choices: or, where there are none, all from `low` to `high`.
    """

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, rng: np.random.Generator) -> Any:
        """A random value."""
        if self.choices:
            return self.choices[int(rng.integers(len(self.choices)))]
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(rng.uniform(low, high))
        else:
            value = rng.uniform(self.low, self.high + (1 if self.whole else 0))
        if self.whole:
            return min(int(value), int(self.high))
        return float(f"{value:.6g}")

    def propose(self, trial: Any) -> Any:
        """The value that an optuna trial takes."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.whole:
            return trial.suggest_int(
                self.name, int(self.low), int(self.high), log=self.log
            )
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def parse(text: str) -> list[Axis]:
    """A space from its text.

    Raises:
      ConfigError: for what is neither a list nor a range.
    """
    axes = [_axis(name, value) for name, value in split_knobs(text)]
    if not axes:
        raise ConfigError("no --space: say which knobs to try, as 'num_layers=[2,4]'")
    return axes


def _axis(name: str, value: Any) -> Axis:
    if isinstance(value, str) and value[:1] + value[-1:] == "[]":
        # A shell has taken the quotes of its words.
        value = [split_knobs(f"x={word}")[0][1] for word in value[1:-1].split(",")]
    if isinstance(value, list) and value:
        return Axis(name, choices=tuple(value))
    if isinstance(value, tuple) and len(value) in (2, 3):
        low, high, *scale = value
        numbers = all(
            isinstance(v, int | float) and not isinstance(v, bool) for v in (low, high)
        )
        if numbers and low < high and scale in ([], ["log"]):
            if not scale or low > 0:
                return Axis(name, low=low, high=high, log=bool(scale))
    raise ConfigError(
        f"--space: {name} is a list of choices or a range (low, high) or "
        f"(low, high, 'log'), not {value!r}"
    )


def grid(axes: Sequence[Axis]) -> list[Knobs]:
    """All combinations.

    Raises:
      ConfigError: for a range.
    """
    for axis in axes:
        if not axis.choices:
            raise ConfigError(
                f"--space: a grid takes lists, and {axis.name} is a range: "
                "--method=random or optuna"
            )
    names = [axis.name for axis in axes]
    products = itertools.product(*(axis.choices for axis in axes))
    return [dict(zip(names, values, strict=True)) for values in products]


def random(axes: Sequence[Axis], *, seed: int) -> Iterator[Knobs]:
    """Endless; the n-th is the same for the same seed."""
    for number in itertools.count():
        rng = np.random.default_rng([seed, number])
        yield {axis.name: axis.draw(rng) for axis in axes}
