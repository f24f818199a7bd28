"""How many inserts and samples a table allows: Reverb's rule, for whole batches.

With i inserts and s samples so far and r samples wanted for each insert, the table
keeps min_diff <= i·r - s <= max_diff: samples wait below, inserts wait above.
Before `min_size` items are there inserts are free and samples wait.
"""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Limits:
    """The settings of a limiter; see `min_size`, `ratio`, `queue` and `stack`."""

    samples_per_insert: float
    min_size: int
    min_diff: float
    max_diff: float

    def __post_init__(self) -> None:
        if self.min_size < 1:
            raise ValueError(f"min_size is at least 1, not {self.min_size}")
        if not self.samples_per_insert > 0:
            raise ValueError(
                f"samples_per_insert is above 0, not {self.samples_per_insert}"
            )
        if not self.min_diff <= self.max_diff:
            raise ValueError(
                f"min_diff={self.min_diff} is above max_diff={self.max_diff}"
            )


def min_size(size: int) -> Limits:
    """Sampling begins at `size` items; no other limit."""
    return Limits(1.0, size, -math.inf, math.inf)


def ratio(samples_per_insert: float, *, min_size: int, error_buffer: float) -> Limits:
    """Samples keep to `samples_per_insert`, up to `error_buffer` samples either way.

    Raises:
      ValueError: when the buffer is too small for any operation to be allowed.
    """
    least = 2 * max(1.0, samples_per_insert)
    if error_buffer < least:
        raise ValueError(
            f"error_buffer={error_buffer} is too small for samples_per_insert="
            f"{samples_per_insert}: at least {least}"
        )
    middle = samples_per_insert * min_size
    return Limits(
        samples_per_insert, min_size, middle - error_buffer, middle + error_buffer
    )


def queue(size: int) -> Limits:
    """Every item is sampled once, at most `size` wait; with max_times_sampled=1."""
    return Limits(1.0, 1, 0.0, float(size))


stack = queue


@dataclasses.dataclass
class Limiter:
    """Counts what a table did, and says what it may do next."""

    limits: Limits
    inserts: int = 0
    samples: int = 0

    def may_insert(self, wanted: int, size: int) -> int:
        """How many of `wanted` inserts are allowed now, for a table of `size`."""
        limits = self.limits
        free = limits.min_size - size
        room = (limits.max_diff + self.samples) / limits.samples_per_insert
        allowed = wanted if room == math.inf else math.floor(room - self.inserts)
        return max(0, min(wanted, max(free, allowed)))

    def may_sample(self, wanted: int, size: int) -> int:
        """How many of `wanted` samples are allowed now, for a table of `size`."""
        limits = self.limits
        if size < limits.min_size:
            return 0
        if limits.min_diff == -math.inf:
            return wanted
        ahead = self.inserts * limits.samples_per_insert - self.samples
        return max(0, min(wanted, math.floor(ahead - limits.min_diff)))

    def reset(self) -> None:
        self.inserts = self.samples = 0
