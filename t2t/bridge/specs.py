"""Tensors by name, and the header that a compiler sends before it asks.

Names, types and shapes are always read from the header: compilers of other versions
send other ones, and no list of ours would be right for all.

Axis letters: B questions in a batch, T questions of an episode.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# The names of C, as LLVM writes them, to numpy's; little-endian on every wire.
TYPES = {
    "float": "<f4",
    "double": "<f8",
    **{
        f"{u}int{n}_t": f"<{u or 'i'}{n // 8}"
        for n in (8, 16, 32, 64)
        for u in ("", "u")
    },
}
MOST_TENSORS = 4096
MOST_BYTES = 1 << 26  # of one question

# What the last feature is called that holds the compiler's own decision.
DEFAULT = "default"


class BadSpec(ValueError):
    """A description of tensors that cannot be meant."""


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One tensor: its name, its element type in C's words, and its shape."""

    name: str
    type: str
    shape: tuple[int, ...] = (1,)
    port: int = 0

    def __post_init__(self) -> None:
        if not self.name:
            raise BadSpec("a tensor without a name")
        if self.type not in TYPES:
            raise BadSpec(
                f"tensor {self.name!r} is of {self.type!r}: expected {', '.join(TYPES)}"
            )
        if not all(type(n) is int and n >= 0 for n in self.shape):
            raise BadSpec(f"tensor {self.name!r} has no shape: {list(self.shape)}")
        if self.nbytes > MOST_BYTES:
            raise BadSpec(
                f"tensor {self.name!r} has {self.nbytes} bytes: at most {MOST_BYTES}"
            )

    @functools.cached_property
    def dtype(self) -> np.dtype:
        return np.dtype(TYPES[self.type])

    @functools.cached_property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @functools.cached_property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.name} {self.type}{list(self.shape)}"

    def plain(self) -> dict[str, Any]:
        """As LLVM's JSON has it."""
        return {
            "name": self.name,
            "type": self.type,
            "port": self.port,
            "shape": list(self.shape),
        }

    @classmethod
    def from_plain(cls, value: Any) -> TensorSpec:
        """The inverse of `plain`.

        Raises:
          BadSpec: when it describes no tensor.
        """
        try:
            name, type_, shape = value["name"], value["type"], tuple(value["shape"])
            return cls(str(name), str(type_), shape, int(value.get("port", 0)))
        except BadSpec:
            raise
        except (AttributeError, KeyError, TypeError, ValueError):
            raise BadSpec(f"not a tensor's description: {str(value)[:200]}") from None


@dataclasses.dataclass(frozen=True)
class Header:
    """What one compiler asks about, and what it wants for an answer.

    Args:
      features: of every question, in the order in which they travel.
      advice: the answer; None where the wire does not say it.
      score: the reward, where a log has one.
    """

    features: tuple[TensorSpec, ...]
    advice: TensorSpec | None = None
    score: TensorSpec | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.features) <= MOST_TENSORS:
            raise BadSpec(
                f"{len(self.features)} features: expected 1 to {MOST_TENSORS}"
            )
        if len(set(self.names)) < len(self.features):
            twice = next(n for n in self.names if self.names.count(n) > 1)
            raise BadSpec(f"two features are called {twice!r}")
        if self.record.itemsize > MOST_BYTES:
            raise BadSpec(
                f"a question has {self.record.itemsize} bytes: at most {MOST_BYTES}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.features)

    @functools.cached_property
    def record(self) -> np.dtype:
        """One question, packed as it travels; an array of them is [B] or [T]."""
        return np.dtype([(s.name, s.dtype, s.shape) for s in self.features])

    @functools.cached_property
    def default(self) -> str:
        """The feature that holds the compiler's own decision; '' where none does."""
        last, advice = self.features[-1], self.advice
        alike = advice is not None and (last.type, last.shape) == (
            advice.type,
            advice.shape,
        )
        named = last.name == DEFAULT or last.name.endswith(f"_{DEFAULT}")
        return last.name if alike and named else ""

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        value: dict[str, Any] = {"features": [s.plain() for s in self.features]}
        for name in ("score", "advice"):
            if spec := getattr(self, name):
                value[name] = spec.plain()
        return value

    @classmethod
    def from_plain(cls, value: Any) -> Header:
        """The inverse of `plain`.

        Raises:
          BadSpec: when it is no header.
        """
        if not isinstance(value, dict) or not isinstance(value.get("features"), list):
            raise BadSpec(f"not a header: {str(value)[:200]}")
        more = {n: value[n] for n in ("advice", "score") if n in value}
        return cls(
            tuple(TensorSpec.from_plain(s) for s in value["features"]),
            **{name: TensorSpec.from_plain(spec) for name, spec in more.items()},
        )


def scalar(name: str, type: str = "int64_t") -> TensorSpec:
    """A tensor of one element."""
    return TensorSpec(name, type)


def difference(wanted: Iterable[TensorSpec], offered: Iterable[TensorSpec]) -> str:
    """What a policy wants that a compiler does not offer; '' when all is there."""
    there = {spec.name: spec for spec in offered}
    missing = [spec.name for spec in wanted if spec.name not in there]
    other = [
        f"{spec.name} is {there[spec.name].type}{list(there[spec.name].shape)}, "
        f"not {spec.type}{list(spec.shape)}"
        for spec in wanted
        if spec.name in there
        and (spec.type, spec.shape) != (there[spec.name].type, there[spec.name].shape)
    ]
    parts = [f"no feature {', '.join(missing)}"] if missing else []
    return "; ".join(parts + other)


def matrix(records: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """records [B] -> float32 [B, elements of these features, one after another]."""
    columns = [_flat(records[name]) for name in names]
    return np.concatenate(columns, axis=1, dtype=np.float32, casting="unsafe")


def _flat(column: np.ndarray) -> np.ndarray:
    """[B, …] -> [B, elements], for no rows, too."""
    return column.reshape(len(column), math.prod(column.shape[1:]))
