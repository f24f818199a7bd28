"""`Decoder`: a trained run in memory. Texts in, texts out, line for line.

Sentences are sorted by length within a window and decoded in batches of a few
static shapes (XLA compiles once for each); results come back in input order as
each window is done.

What happens to odd lines: an empty one has an empty answer; one longer than the
run's `max_length` is cut there, with a warning that names it.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from t2t.config import Config
from t2t.decode.options import DecodeOptions
from t2t.decode.search import beam_search, sample
from t2t.features import EOS, number_text
from t2t.layers import adapters
from t2t.run import build, checkpoints
from t2t.run.folder import RunFolder, open_run
from t2t.run.problems import make_problem
from t2t.sources import Batch

WINDOW = 64  # batches sorted together


class DecodeError(ValueError):
    """Something that cannot be decoded, said in one line."""


@dataclasses.dataclass(frozen=True)
class Output:
    """One output: its text, and its score (log-probability with length penalty)."""

    text: str
    score: float


class Decoder:
    """Decodes with a model and a problem; safe to call from several threads.

    Args:
      problem: with its vocabularies.
      model: trained; its `PROMPT` names the feature that texts become.
      max_length: most tokens of an input.

    Raises:
      DecodeError: where Keras runs on something else than TensorFlow.
    """

    def __init__(self, problem: Any, model: Any, *, max_length: int = 256) -> None:
        if keras.backend.backend() != "tensorflow":
            raise DecodeError("TensorFlow decodes: unset KERAS_BACKEND for this")
        self.problem, self.model, self.max_length = problem, model, max_length
        self.features = problem.offered()
        self.config: Config | None = None  # of the run, where it is of one
        self.least_slots = 0  # of an input; searches of one shape need no other
        self.warn: Callable[[str], None] = lambda line: None
        self._compiled: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_run(
        cls, run: str | Path, *, checkpoint_path: str | Path | None = None
    ) -> Decoder:
        """The run's model with its best or newest checkpoint, or a given one.

        Raises:
          RunError, CheckpointError: when there is no run or no checkpoint.
        """
        folder, config = open_run(run)
        path = checkpoints.resolve(checkpoint_path or folder.path)
        problem, model = load_model(folder, config, path)
        decoder = cls(problem, model, max_length=config.knob("max_length") or 256)
        decoder.config = config
        return decoder

    @property
    def translates(self) -> bool:
        """Whether it goes from inputs to targets, both texts."""
        return set(self.features) == {"inputs", "targets"} and all(
            feature.kind == "text" for feature in self.features.values()
        )

    # -- texts ---------------------------------------------------------------------

    def decode(
        self, texts: Iterable[str], options: DecodeOptions | None = None
    ) -> list[str]:
        """The best output of each text."""
        return [outputs[0].text for outputs in self.outputs(texts, options)]

    def outputs(
        self, texts: Iterable[str], options: DecodeOptions | None = None
    ) -> Iterator[list[Output]]:
        """`options.outputs` outputs of each text, in input order, as they are ready.

        Raises:
          DecodeError: when the model takes no text.
        """
        options = options or DecodeOptions()
        prompt, decode = getattr(self.model, "PROMPT", "inputs"), self._decode_window
        if hasattr(self.problem, "asked"):
            decode = self._answer_window
        elif prompt not in self.features or not self.features[prompt].sequence:
            raise DecodeError(
                f"{self.model.name} takes no text to decode; decode a split of the "
                "problem instead"
            )
        numbered = enumerate(texts)
        while window := list(itertools.islice(numbered, options.batch_size * WINDOW)):
            yield from decode(window, options)

    def _decode_window(
        self, window: list[tuple[int, str]], options: DecodeOptions
    ) -> list[list[Output]]:
        encoded = [self._encode(number, text) for number, text in window]
        order = sorted(range(len(window)), key=lambda i: -len(encoded[i]))
        results: list[list[Output]] = [[] for _ in window]
        todo = []
        for i in order:
            if window[i][1].strip():
                todo.append(i)
            else:
                results[i] = [Output("", 0.0)] * options.outputs
        parts = [
            todo[start : start + options.batch_size]
            for start in range(0, len(todo), options.batch_size)
        ]

        def decode(part: list[int]) -> list[list[Output]]:
            return self._decode_batch(
                [encoded[i] for i in part], [window[i][0] for i in part], options
            )

        # On a CPU a compiled loop keeps one core busy: a batch for each.
        with ThreadPoolExecutor(_workers()) as pool:
            for part, outputs in zip(parts, pool.map(decode, parts), strict=True):
                for i, output in zip(part, outputs, strict=True):
                    results[i] = output
        return results

    def _answer_window(
        self, window: list[tuple[int, str]], options: DecodeOptions
    ) -> list[list[Output]]:
        """Of lines that are rows of values: each one's numbers or label."""
        results = [[Output("", 0.0)] * options.outputs for _ in window]
        todo = [i for i, (_, line) in enumerate(window) if line.strip()]
        for start in range(0, len(todo), options.batch_size):
            part = todo[start : start + options.batch_size]
            rows = [self._asked(*window[i]) for i in part]
            batch = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
            for i, output in zip(part, self._tell(batch, options), strict=True):
                results[i] = output
        return results

    def _asked(self, number: int, line: str) -> dict[str, np.ndarray]:
        try:
            return self.problem.encode_asked(line)
        except ValueError as error:
            raise DecodeError(f"line {number + 1}: {error}") from error

    def encode(self, text: str) -> list[int]:
        """Ids of a text as the model wants its prompt.

        Raises:
          ValueError: for what the vocabulary has no ids for.
        """
        feature = self.features[self._prompt_name]
        assert feature.vocabulary is not None
        return [*feature.vocabulary.encode(text), *self._end]

    @property
    def _end(self) -> list[int]:
        """A continued text has not ended; an input has."""
        return [EOS] if "inputs" in self.features else []

    def _encode(self, number: int, text: str) -> list[int]:
        """Ids of a line, cut where it is too long."""
        try:
            ids = self.encode(text)
        except ValueError as error:
            raise DecodeError(f"line {number + 1}: {error}") from error
        end = self._end
        room, size = self.max_length - len(end), len(ids) - len(end)
        if size > room:
            self.warn(
                f"line {number + 1} has {size} tokens: cut to {room} "
                "(the run's max_length)"
            )
            ids = [*ids[:room], *end]
        return ids

    # -- arrays --------------------------------------------------------------------

    def _decode_batch(
        self, ids: Sequence[list[int]], numbers: Sequence[int], options: DecodeOptions
    ) -> list[list[Output]]:
        if not hasattr(self.model, "decode_step"):
            size = bucket(max(len(row) for row in ids))
            batch = prompt_batch(self._prompt_name, ids, rows=len(ids), length=size)
            return self._tell(batch, options)
        copies = options.num_samples if options.sampling else 1
        rows = _round_up(len(ids), options.batch_size) * copies
        longest = max(len(row) for row in ids)
        size = max(bucket(longest), self.least_slots)
        repeated = [row for row in ids for _ in range(copies)]
        batch = prompt_batch(self._prompt_name, repeated, rows=rows, length=size)
        seeds = np.zeros((rows,), np.int32)
        for i, number in enumerate(numbers):
            for copy in range(copies):
                seeds[i * copies + copy] = sample_seed(options.seed, number, copy)
        length = size + options.extra_length
        arguments = (
            {name: tf.constant(value) for name, value in batch.items()},
            tf.constant(seeds),
        )
        tokens, scores = self._search(rows, size, length, options, arguments)
        tokens, scores = tokens.numpy(), scores.numpy()
        if copies > 1:
            tokens = tokens.reshape(rows // copies, copies, length)
            scores = scores.reshape(rows // copies, copies)
        return [
            self._texts(tokens[i], scores[i], options.outputs, len(ids[i]), options)
            for i in range(len(ids))
        ]

    @property
    def _prompt_name(self) -> str:
        return getattr(self.model, "PROMPT", "inputs")

    def _texts(
        self, tokens: Any, scores: Any, count: int, size: int, options: DecodeOptions
    ) -> list[Output]:
        vocabulary = self.features["targets"].vocabulary
        assert vocabulary is not None
        longest = size + options.extra_length
        return [
            Output(vocabulary.decode(tokens[w][:longest].tolist()), float(scores[w]))
            for w in range(count)
        ]

    def _search(
        self,
        rows: int,
        size: int,
        length: int,
        options: DecodeOptions,
        arguments: tuple[Any, ...],
    ) -> Any:
        """Tokens and scores, by the loop that is compiled for this shape."""
        key: tuple[Any, ...]
        if options.sampling:
            kept = {
                "temperature": options.temperature,
                "keep_k": options.top_k,
                "keep_p": options.top_p,
                "min_p": options.min_p,
            }
            key = (rows, size, length, *kept.values())

            def run(batch: Any, seeds: Any) -> Any:
                return sample(self.model, batch, seeds, length=length, **kept)

        else:
            width, alpha, best = options.beam_size, options.alpha, options.outputs
            key = (rows, size, length, width, alpha, best)

            def run(batch: Any, seeds: Any) -> Any:
                return beam_search(
                    self.model,
                    batch,
                    width=width,
                    length=length,
                    alpha=alpha,
                    best=best,
                )

        with self._lock:
            if key not in self._compiled:
                function = tf.function(run, jit_compile=True, autograph=False)
                # Traced here, one at a time; XLA compiles at the first call.
                self._compiled[key] = function.get_concrete_function(*arguments)
        return self._compiled[key](*arguments)

    def _forward(self, batch: Batch) -> tuple[Any, dict[str, Any]]:
        with self._lock:
            return self.model(
                {name: tf.constant(value) for name, value in batch.items()}
            )

    def _tell(self, batch: Batch, options: DecodeOptions) -> list[list[Output]]:
        """Of each row the likeliest label and its log-probability, or its numbers."""
        told = self._forward(batch)[0].numpy()
        if "label" in self.features:
            told = tf.nn.log_softmax(told).numpy()
        return [[self.tell(row)] * options.outputs for row in told]

    def tell(self, values: np.ndarray) -> Output:
        """The likeliest label of log-probabilities [V], or these numbers as text."""
        if "label" not in self.features:
            return Output(number_text(values), 0.0)
        vocabulary = self.features["label"].vocabulary
        assert vocabulary is not None
        best = int(values.argmax())
        return Output(vocabulary.decode([best]), float(values[best]))

    # -- scoring and attention -----------------------------------------------------

    def score(
        self, pairs: Iterable[tuple[str, str]], *, batch_size: int = 32
    ) -> Iterator[float]:
        """log p(target | input) of each pair, in nats, in order.

        Raises:
          DecodeError: when the model does not give targets for inputs.
        """
        if not self.translates:
            raise DecodeError("scoring needs a model from inputs to targets")
        iterator = iter(pairs)
        while part := list(itertools.islice(iterator, batch_size)):
            batch = self.pair_batch(part, rows=batch_size)
            logits, _ = self._forward(batch)
            chances = tf.nn.log_softmax(logits)
            picked = tf.gather(chances, batch["targets"], batch_dims=2).numpy()
            totals = (picked * (batch["targets_segments"] > 0)).sum(axis=1)
            yield from (float(total) for total in totals[: len(part)])

    def attention(self, text: str, target: str) -> tuple[list[str], list[str], Any]:
        """Cross-attention of one pair, averaged over heads and layers.

        Returns:
          (target pieces, input pieces, weights [T, S]).
        """
        batch = self.pair_batch([(text, target)], rows=1)
        _, inner = self._forward(batch)
        found = [
            value.numpy()[0].mean(axis=0)
            for name, value in inner.items()
            if name.endswith("cross_attention")
        ]
        if not found:
            raise DecodeError(f"{self.model.name} has no cross-attention")
        targets, inputs = (self.pieces(batch, name) for name in ("targets", "inputs"))
        weights = np.mean(found, axis=0)[: len(targets), : len(inputs)]
        return targets, inputs, weights

    def inner(self, batch: Batch) -> dict[str, Any]:
        """Inner values of the model by name, for a batch of arrays."""
        return self._forward(batch)[1]

    def pieces(self, batch: Batch, name: str) -> list[str]:
        """The pieces of a feature's first row, each as text."""
        vocabulary = self.features[name].vocabulary
        assert vocabulary is not None
        ids = batch[name][0][batch[f"{name}_segments"][0] > 0].tolist()
        return [vocabulary.decode([i]) if i != EOS else "</s>" for i in ids]

    def pair_batch(self, pairs: Sequence[tuple[str, str]], *, rows: int) -> Batch:
        """Pairs as a batch of one example a row, as long as the longest."""
        batch: Batch = {}
        for side, name in enumerate(("inputs", "targets")):
            vocabulary = self.features[name].vocabulary
            assert vocabulary is not None
            ids = [
                [*vocabulary.encode(pair[side])[: self.max_length - 1], EOS]
                for pair in pairs
            ]
            size = bucket(max(len(row) for row in ids))
            batch.update(prompt_batch(name, ids, rows=rows, length=size))
        return batch


def load_model(
    folder: RunFolder, config: Config, path: Path, *, dtype: str = "float32"
) -> tuple[Any, Any]:
    """The problem and the model of a run, with the weights of a checkpoint.

    A moving average of the weights is taken where the checkpoint has one.
    """
    problem = make_problem(config)
    problem.load_vocabularies(folder.vocabularies)
    build.apply(config, strict=False)
    model = build.make_model(config, problem.offered(), dtype=dtype)
    arrays, _ = checkpoints.read(path)
    kind = "ema" if any(name.startswith("ema/") for name in arrays) else "model"
    checkpoints.assign({f"{kind}/{v.path}": v for v in model.variables}, arrays)
    adapters.merge(model)
    return problem, model


def prompt_batch(
    name: str, ids: Sequence[Sequence[int]], *, rows: int, length: int
) -> Batch:
    """Rows of ids as a batch of one text feature, right-padded."""
    values = np.zeros((rows, length), np.int32)
    segments = np.zeros((rows, length), np.int32)
    for i, row in enumerate(ids):
        values[i, : len(row)] = row
        segments[i, : len(row)] = 1
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), values.shape)
    return {
        name: values,
        f"{name}_segments": segments,
        f"{name}_positions": positions.copy(),
    }


def sample_seed(seed: int, number: int, copy: int) -> int:
    """Of a copy of the output of line `number`."""
    sequence = np.random.SeedSequence([seed, number, copy])
    return int(sequence.generate_state(1)[0] & 0x7FFFFFFF)


def _workers() -> int:
    """Batches decoded at once: one a core, or one where an accelerator does it."""
    if tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU"):
        return 1
    return os.cpu_count() or 1


def bucket(length: int) -> int:
    """The next of 16, 32, 64, …: XLA compiles once for each."""
    return max(16, 1 << (length - 1).bit_length())


def _round_up(count: int, most: int) -> int:
    """1, or the next power of two up to `most`: the rows that are compiled for."""
    rows = 1
    while rows < count:
        rows *= 2
    return min(rows, most) if count <= most else most
