"""What of an episode becomes an item of the replay table, and an item a batch.

A row is an observation, the action taken on it, and what came of it:

    observation…  action  reward  terminated  truncated  last  (extras of `act`)

The observation that ends an episode has a row, too (`last`): its action was not
taken and its reward is 0. An item is a window of rows.

transitions  from one observation to that n steps later, or to the episode's end:
             observation [B, …], action [B, …], reward [B, n], going [B, n] (0 where
             the episode terminated), steps int32 [B], next_observation [B, …]
sequences    T+1 rows as they came, over the ends of episodes: observation
             [B, T+1, …], action, reward, going, linked, taken, extras [B, T+1];
             linked is 0 at the last rows, taken is 0 there, too: nothing was done

Both have weights [B]: 1, or the importance weights of prioritised sampling, and key
int64 [B], by which priorities go back.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np

from t2t import registry
from t2t.environments import Observation
from t2t.features import Feature
from t2t.replay import limiter
from t2t.replay.columns import Column, Signature
from t2t.replay.limiter import Limits
from t2t.replay.service import StoreConfig
from t2t.replay.table import Sampled, Slice, TableConfig
from t2t.sources import Batch

TABLE = "experience"
MARKS = ("terminated", "truncated", "last")


@registry.configurable("experience")
@dataclasses.dataclass(frozen=True)
class Experience:
    """The table, in words of the algorithm.

    Args:
      items: 'transitions' or 'sequences'.
      n_step: steps of a transition.
      length: T of a sequence.
      period: rows from the beginning of a sequence to that of the next; 0 for T.
      max_size, min_size: items that the table holds, and that learning begins with.
      samples_per_insert: how often an item is sampled on average; 0 for no limit.
      pretrain: batches taken from the first `min_size` items before the pace begins.
      error_buffer: samples by which that may be missed; 0 for the least possible.
      queue: every item is sampled `samples_per_insert` times and goes: on-policy
        learning in rounds of `max_size` items.
      selector, exponent: see `t2t.replay.selectors`.
      importance: exponent of the importance weights (Schaul et al., β); 0 for none.
      hindsight: rows wait for their episode's end, and have the rewards that the
        environment gives then; of sequences.
    """

    items: str = "transitions"
    n_step: int = 1
    length: int = 128
    period: int = 0
    max_size: int = 1_000_000
    min_size: int = 1_000
    samples_per_insert: float = 256.0
    pretrain: int = 0
    error_buffer: float = 0.0
    queue: bool = False
    selector: str = "uniform"
    exponent: float = 0.6
    importance: float = 0.0
    hindsight: bool = False

    def __post_init__(self) -> None:
        if self.items not in ("transitions", "sequences"):
            raise ValueError(
                f"experience.items={self.items!r}: 'transitions' or 'sequences'"
            )
        if self.hindsight and self.items != "sequences":
            raise ValueError("experience.hindsight is for items='sequences'")

    def check(self, model: Any) -> None:
        """Refuses items that the model does not learn from.

        Raises:
          ValueError: naming both kinds.
        """
        if self.items != model.ITEMS:
            raise ValueError(
                f"experience.items={self.items!r}, but {model.name} learns from "
                f"{model.ITEMS!r}"
            )

    @property
    def window(self) -> int:
        """Rows of an item."""
        return 1 + (self.n_step if self.items == "transitions" else self.length)

    @property
    def priority(self) -> float | str:
        """Of a new item."""
        return "max" if self.selector == "prioritized" else 1.0

    @property
    def most_items(self) -> int:
        """That one row can complete."""
        return self.n_step if self.items == "transitions" else 1

    def signature(
        self, features: dict[str, Feature], extras: dict[str, np.ndarray]
    ) -> Signature:
        """Of a row; `extras` as `act` gives them, [N, …]."""
        columns = {
            name: Column(tuple(feature.shape), feature.dtype)  # type: ignore[arg-type]
            for name, feature in features.items()
        }
        columns |= {n: Column(v.shape[1:], v.dtype.name) for n, v in extras.items()}
        marks = {name: Column((), "bool") for name in MARKS}
        return {**columns, **marks, "reward": Column((), "float32")}

    def store(
        self,
        signature: Signature,
        features: dict[str, Feature],
        *,
        at_once: int,
        batch_size: int,
        chunk_steps: int = 1,
        writers: int = 0,
    ) -> StoreConfig:
        """The table for such rows.

        With chunks of one row an item is there as soon as its last row is; longer
        ones cost less where rows come from other processes.

        Args:
          at_once: items that may come at once; the limiter must have room for them.
          batch_size: samples that are taken at once.
        """
        table = TableConfig(
            TABLE,
            window=self.window,
            max_size=self.max_size,
            sampler="epoch" if self.queue else self.selector,
            exponent=self.exponent,
            limits=self._limits(at_once, batch_size),
            max_times_sampled=round(self.samples_per_insert) if self.queue else 0,
            columns=self._columns(signature, features),
        )
        period = self.period or self.length
        per_item = period if self.items == "sequences" else 1
        # The last rows of episodes, and rows that no item holds yet, count too.
        steps = self.max_size * per_item
        steps += steps // 4 + (self.window + 8) * max(64, at_once)
        return StoreConfig(
            (table,),
            signature,
            chunk_steps=chunk_steps,
            max_steps=steps,
            writers=writers,
        )

    def _limits(self, at_once: int, batch_size: int) -> Limits:
        wanted = self.samples_per_insert
        if self.queue:
            return Limits(wanted, 1, 0.0, wanted * self.max_size)
        if not wanted:
            return limiter.min_size(self.min_size)
        least = wanted * at_once + batch_size
        buffer = max(self.error_buffer, least)
        return limiter.ratio(wanted, min_size=self.min_size, error_buffer=buffer)

    def _columns(
        self, signature: Signature, features: dict[str, Feature]
    ) -> dict[str, Slice]:
        if self.items == "sequences":
            return {name: Slice(name) for name in signature}
        n = self.n_step
        columns = {n: Slice(n, 0, 1) for n in signature if n not in (*MARKS, "reward")}
        for name in features:
            if name != "action":
                columns[f"next_{name}"] = Slice(name, n, n + 1)
        for name in ("reward", "terminated"):
            columns[name] = Slice(name, 0, n)
        return columns

    def blank(self, store: StoreConfig, signature: Signature, n: int) -> Batch:
        """Zeros in the shape of a batch of n items."""
        columns = store.tables[0].columns
        assert columns is not None
        data = {}
        for name, part in columns.items():
            column = signature[part.column]
            steps = len(range(*slice(part.start, part.stop).indices(self.window)))
            data[name] = np.zeros((n, steps, *column.shape), column.dtype)
        ones = np.ones(n)
        lengths = np.full(n, self.window)
        return self.batch(
            Sampled(
                np.zeros(n, np.uint64),
                ones,
                ones,
                lengths,
                lengths,
                lengths,
                n,
                data,
                np.zeros((n, self.window), np.int64),
            )
        )

    def batch(self, sampled: Sampled) -> Batch:
        """See above."""
        batch: Batch = dict(sampled.data)
        terminated = batch.pop("terminated")
        if self.items == "transitions":
            singles = [name for name in batch if name != "reward"]
            batch.update({name: batch[name][:, 0] for name in singles})
            batch["steps"] = (sampled.lengths - 1).astype(np.int32)
        else:
            last = batch.pop("last")
            ended = terminated | batch.pop("truncated")
            batch["taken"] = (~last).astype(np.float32)
            # The row after an end is the last one, whose value is its bootstrap.
            batch["linked"] = (~last & ~ended).astype(np.float32)
        batch["key"] = sampled.keys.view(np.int64)
        batch["going"] = (~terminated).astype(np.float32)
        batch["weights"] = self._weights(sampled)
        return batch

    def _weights(self, sampled: Sampled) -> np.ndarray:
        if not self.importance:
            return np.ones(len(sampled.keys), np.float32)
        weights = (sampled.probabilities * sampled.size) ** -self.importance
        return (weights / weights.max()).astype(np.float32)


class Recorder:
    """Appends one environment's rows to a writer, and makes items of them.

    Args:
      flush: send items as they are made, not with the chunk that they end in.
    """

    def __init__(
        self, experience: Experience, writer: Any, *, flush: bool = True
    ) -> None:
        self.experience, self.writer, self.flush = experience, writer, flush
        self._rows = 0  # of this episode, or of all for sequences
        self._waiting: list[dict[str, np.ndarray]] = []  # for their episode's end
        self._ripe: collections.deque[dict[str, np.ndarray]] = collections.deque()

    def __call__(self, row: dict[str, np.ndarray]) -> int:
        """Takes a row; returns the number of items made."""
        worth = row.pop("hindsight", None)
        if not self.experience.hindsight:
            return self._write(row)
        self._waiting.append(row)
        if worth is not None and not len(worth):
            # The end of the episode before this one is not one of its steps.
            self._ripe += [row for row in self._waiting if row["last"]]
            self._waiting = []
        elif worth is not None:
            taken = [r for r in self._waiting if not r["last"]]
            for step, reward in zip(taken, worth, strict=True):
                step["reward"] = np.asarray(reward, np.float32)
            self._ripe += self._waiting
            self._waiting = []
        # As many as complete one item at most: the limiter counts on that.
        period = self.experience.period or self.experience.length
        count = min(len(self._ripe), period)
        return sum(self._write(self._ripe.popleft()) for _ in range(count))

    def _write(self, row: dict[str, np.ndarray]) -> int:
        experience, writer = self.experience, self.writer
        writer.append(row)
        self._rows += 1
        lengths: list[int] = []
        if experience.items == "sequences":
            period = experience.period or experience.length
            over = self._rows - experience.window
            if over >= 0 and over % period == 0:
                lengths = [experience.window]
        else:
            if self._rows >= experience.window:
                lengths = [experience.window]
            if row["last"]:
                shorter = min(experience.n_step, self._rows)
                lengths += range(shorter, 1, -1)
        for length in lengths:
            writer.create_item(TABLE, length=length, priority=experience.priority)
        if row["last"] and experience.items == "transitions":
            writer.end_episode()
            self._rows = 0
        if lengths and self.flush:
            writer.flush()
        return len(lengths)

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        held = {"waiting": self._waiting, "ripe": list(self._ripe)}
        return {
            "rows": self._rows,
            "writer": self.writer.state(),
            **{name: [_plain(row) for row in rows] for name, rows in held.items()},
        }

    def restore(self, writer: Any, state: dict[str, Any]) -> None:
        """Goes on with a writer that resumed."""
        self.writer, self._rows = writer, state["rows"]
        self._waiting = [_row(row) for row in state.get("waiting", ())]
        self._ripe = collections.deque(_row(row) for row in state.get("ripe", ()))


def _plain(row: dict[str, np.ndarray]) -> dict[str, Any]:
    arrays = {name: np.asarray(value) for name, value in row.items()}
    return {name: [a.dtype.name, a.tolist()] for name, a in arrays.items()}


def _row(plain: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.array(value, dtype) for name, (dtype, value) in plain.items()}


def blank_observation(features: dict[str, Feature], count: int) -> Observation:
    """Zeros that look like what `count` environments show."""
    return {
        name: np.zeros((count, *feature.shape), feature.dtype)  # type: ignore
        for name, feature in features.items()
        if name != "action"
    }
