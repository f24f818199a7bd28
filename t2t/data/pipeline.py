"""`batches`: a problem's split as a `Source`, the only door that training needs.

A thread prepares batches ahead. The state travels with each batch, so `state()`
is always the state after the last batch *given*, whatever lies prepared.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from t2t import knobs, registry
from t2t.data.batching import Batcher, Packed, Rows
from t2t.data.shards import Shards
from t2t.data.streams import GeneratedExamples, Mixture, StoredExamples, Stream
from t2t.sources import Batch

if TYPE_CHECKING:
    from t2t.problems.problem import Problem

GENERATED_EVAL = 1_000  # examples in one pass over a generated problem


@registry.configurable("batches")
def batches(
    problem: Problem,
    split: str,
    *,
    data_dir: str | Path | None = None,
    batching: str = "auto",
    tokens_per_batch: int | None = None,
    examples_per_batch: int | None = None,
    max_length: int = 256,
    shuffle: bool = True,
    repeat: bool = True,
    seed: int = 0,
    multiple_of: int = 1,
    drop_long: bool = True,
    limit: int | None = None,
    prefetch: int = 4,
    mixture: Sequence[Problem] = (),
    weights: Sequence[float] | None = None,
    temperature: float = 1.0,
) -> PrefetchedSource:
    """Batches of a problem's split, in the layout of `t2t.sources`.

    Args:
      data_dir: where t2t-datagen wrote; not needed for generated problems.
      batching: 'packed' (text only), 'buckets', 'examples' (one length, one row
        an example), or 'auto': packed where all features are text, else examples.
      tokens_per_batch: slots of the target side: rows = tokens_per_batch // length.
      examples_per_batch: rows. With both given, a row that is one example ('examples')
        counts examples, the others count tokens.
      max_length: slots a row has for each text feature.
      shuffle, repeat: a new order each epoch, without end; or one pass, of which
        the last batch is filled up with rows of weight 0.
      multiple_of: rows are a multiple of it (replicas × accumulation).
      drop_long: drop and count longer examples; False cuts them instead.
      limit: examples in one pass over a generated problem (1 000).
      prefetch: batches prepared ahead; 0 prepares none.
      mixture: further problems to mix in, with the same features; their shares
        are `weights` (of `problem`, then these) or by size and `temperature`.

    Raises:
      ValueError: naming the knob that cannot be used.
      DataMissing, DataCorrupt: naming the command that mends it.
    """
    for name, value in (("max_length", max_length), ("multiple_of", multiple_of)):
        _positive(name, value)
    if prefetch < 0:
        raise ValueError(f"prefetch must be 0 or more, not {prefetch}")
    batching = _choose(problem, batching)
    if tokens_per_batch is not None and examples_per_batch is not None:
        if batching == "examples":
            tokens_per_batch = None
        else:
            examples_per_batch = None
    sizes = _Sizes(tokens_per_batch, examples_per_batch, multiple_of)
    lengths = bucket_lengths(max_length) if batching == "buckets" else [max_length]
    buckets = {length: sizes.rows(length) for length in lengths}
    streams = [
        _stream(
            one, split, data_dir, shuffle=shuffle, repeat=repeat, seed=seed, limit=limit
        )
        for one in (problem, *mixture)
    ]
    stream = streams[0]
    if mixture:
        named = _mixable([problem, *mixture], streams, repeat=repeat)
        stream = Mixture(named, weights=weights, temperature=temperature, seed=seed)
    kind = Packed if batching == "packed" else Rows
    batcher = kind(stream, problem.offered(), buckets=buckets, drop_long=drop_long)
    return PrefetchedSource(batcher, prefetch=prefetch)


def _choose(problem: Problem, batching: str) -> str:
    """The batching to use: 'auto' decided, an impossible one refused."""
    knobs.check_choice("batches.batching", batching)
    features = problem.offered()
    other = next(
        (n for n, f in features.items() if not f.sequence and not f.along), None
    )
    if batching == "auto":
        return "packed" if other is None else "examples"
    if batching == "packed" and other is not None:
        raise ValueError(
            f"batching='packed' needs texts only, but {problem.name} has "
            f"{other!r} ({features[other].kind}): use batching='examples'"
        )
    return batching


def _mixable(
    problems: Sequence[Problem], streams: Sequence[Stream], *, repeat: bool
) -> dict[str, Stream]:
    """{problem name: stream}, after checking that one batch can hold them all."""
    if not repeat:
        raise ValueError("a mixture is endless: repeat=False cannot be used with it")
    first = problems[0]
    for one in problems[1:]:
        if _contract(one) != _contract(first):
            raise ValueError(
                f"mixture: {one.name} has not the same features and vocabularies as "
                f"{first.name}"
            )
    named = {p.name: stream for p, stream in zip(problems, streams, strict=True)}
    if len(named) < len(problems):
        raise ValueError("mixture: a problem is named twice")
    return named


def _contract(problem: Problem) -> dict[str, Any]:
    return {
        name: (f.kind, f.shape, f.dtype, f.vocabulary and f.vocabulary.name)
        for name, f in problem.offered().items()
    }


def bucket_lengths(max_length: int) -> list[int]:
    """16, 24, 32, 48, 64, … up to `max_length`: few, as XLA compiles once for each."""
    lengths = [length for k in range(4, 24) for length in (2**k, 3 * 2 ** (k - 1))]
    return [length for length in lengths if length < max_length] + [max_length]


class _Sizes:
    """How many rows a batch of some length has."""

    def __init__(
        self, tokens: int | None, examples: int | None, multiple_of: int
    ) -> None:
        if tokens is None and examples is None:
            raise ValueError("give tokens_per_batch or examples_per_batch")
        name = "examples_per_batch" if tokens is None else "tokens_per_batch"
        _positive(name, examples if tokens is None else tokens)
        self._tokens, self._examples, self._multiple = tokens, examples, multiple_of

    def rows(self, length: int) -> int:
        least = self._multiple
        if self._tokens is None:
            rows, given = self._examples or 0, f"examples_per_batch={self._examples}"
        else:
            rows, given = self._tokens // length, f"tokens_per_batch={self._tokens}"
            least *= length
        if rows < self._multiple:
            raise ValueError(
                f"{given} is too small for max_length={length} and "
                f"multiple_of={self._multiple}: it must be at least {least}"
            )
        return rows // self._multiple * self._multiple


def _positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number above 0, not {value!r}")


def _stream(
    problem: Problem,
    split: str,
    data_dir: str | Path | None,
    *,
    shuffle: bool,
    repeat: bool,
    seed: int,
    limit: int | None,
) -> Stream:
    if problem.generated:
        return GeneratedExamples(
            problem, split, seed=seed, limit=None if repeat else limit or GENERATED_EVAL
        )
    if data_dir is None:
        raise ValueError(f"{problem.name} is a stored problem: give data_dir")
    base, _ = registry.split_suffixes(problem.name)
    problem.load_vocabularies(Path(data_dir).expanduser())
    shards = Shards(data_dir, base, split=split, features=problem.features)
    return StoredExamples(problem, shards, shuffle=shuffle, repeat=repeat, seed=seed)


class PrefetchedSource:
    """A `Source` whose batches are prepared by a thread; `close` when done."""

    def __init__(self, batcher: Batcher, *, prefetch: int) -> None:
        self._batcher, self._prefetch = batcher, prefetch
        self._state, self._report = batcher.state(), batcher.report()
        self._queue: queue.Queue[Any] = queue.Queue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._ahead = False  # whether the batcher is beyond the last batch given

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        item = self._next_item()
        if isinstance(item, BaseException):
            self.close()
            raise item
        batch, self._state, self._report = item
        return batch

    def peek(self) -> Batch:
        """The batch that the next `next` gives, too."""
        state = self.state()
        batch = next(self)
        self.restore(state)
        return batch

    def state(self) -> dict[str, Any]:
        return self._state

    def restore(self, state: dict[str, Any]) -> None:
        self.close()
        self._batcher.restore(state)
        self._ahead = False
        self._state, self._report = state, self._batcher.report()

    def feedback(self, batch: Batch, priorities: np.ndarray) -> None:
        """Stored examples all matter alike."""

    def report(self) -> dict[str, float]:
        return dict(self._report)

    def close(self) -> None:
        """Stops the thread; a later `next` goes on after the last batch given."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _next_item(self) -> Any:
        if self._thread is None:
            if self._ahead:
                self._batcher.restore(self._state)
            self._ahead = True
            if self._prefetch == 0:
                item = _prepare(self._batcher)
                self._ahead = isinstance(item, BaseException)
                return item
            self._start()
        return self._queue.get()

    def _start(self) -> None:
        self._queue, self._stop = queue.Queue(self._prefetch), threading.Event()
        # The thread knows no `self`: a source that is forgotten can be freed.
        self._thread = threading.Thread(
            target=_run,
            args=(self._batcher, self._queue, self._stop),
            name="t2t-batches",
            daemon=True,
        )
        self._thread.start()

    def __del__(self) -> None:
        self._stop.set()


def _prepare(batcher: Batcher) -> Any:
    """(batch, state, report), or the error that the consumer shall raise."""
    try:
        batch = batcher.next()
        return batch, batcher.state(), batcher.report()
    except Exception as error:
        return error


def _run(batcher: Batcher, to: queue.Queue[Any], stop: threading.Event) -> None:
    while not stop.is_set():
        item = _prepare(batcher)
        while not stop.is_set():
            try:
                to.put(item, timeout=0.1)
                break
            except queue.Full:
                continue
        if isinstance(item, BaseException):
            return
