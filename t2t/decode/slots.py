"""Rows that are decoded together though each begins and ends when it likes.

A batch of B rows has one static shape. Between two calls of the compiled step rows
are filled and left, so a new request joins others that are half written (continuous
batching, as of Orca, Yu et al., OSDI 2022). Beams, greedy search and samples of any
temperature are rows of the same batch; the numbers of each are data.

The surprise: the cache is a ring, and all rows write to the same place of it, whenever
they began. What a row may see is in its mask (`View.visible`), how long ago in its
positions, so nothing is moved when a row joins. The caches are variables: XLA writes
them in place, where arguments would be copied at every call.

Axis letters: B rows, W hypotheses, L length of the ring, V vocabulary.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from t2t.decode.batching import Written
from t2t.decode.decoder import bucket, prompt_batch
from t2t.decode.search import LOWEST, Beams, Stop, draw, extend, ranked
from t2t.features import EOS

STEPS = 4  # of a call: less is sooner told, more costs less


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What a row begins with, and how it is decoded.

    ids: of the model's prompt.
    limit: most tokens of an output, EOS included.
    alpha: of the length penalty.
    best: how many outputs must be the best ones.
    sampling: from `temperature`, `keep_k`, `keep_p`, `min_p` and `seed`, as
      `search.sample`; else searched for.
    """

    ids: tuple[int, ...]
    limit: int
    alpha: float = 0.0
    best: int = 1
    sampling: bool = False
    seed: int = 0
    temperature: float = 1.0
    keep_k: int = 0
    keep_p: float = 1.0
    min_p: float = 0.0


COLUMNS = {
    "limit": np.int32, "alpha": np.float32, "best": np.int32, "sampling": np.bool_,
    "seed": np.uint32, "temperature": np.float32, "keep_k": np.int32,
    "keep_p": np.float32, "min_p": np.float32,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Shape:
    """width: W. prompt: most ids of a prompt. length: L, the most of any limit."""

    width: int
    prompt: int
    length: int


class Slots:
    """At most B rows of a model's outputs; one row alone is decoded in a batch of one.

    Not safe for threads: one owns it.

    Args:
      model: has `begin` and `decode_step`.
      rows: B.
    """

    def __init__(self, model: Any, shape: Shape, *, rows: int) -> None:
        self.shape = shape
        begin = functools.partial(_begin, model)
        self._begin = tf.function(begin, jit_compile=True, autograph=False)
        self._few = _Table(model, shape, 1)
        self._all = self._few if rows == 1 else _Table(model, shape, rows)
        self._table = self._few
        self._rows: dict[int, int] = {}  # of handles
        self._count = 0

    @property
    def rows(self) -> int:
        """B."""
        return self._all.rows

    @property
    def free(self) -> int:
        """Rows that may still be joined."""
        return self.rows - len(self._rows)

    def join(self, prompt: Prompt) -> int:
        """Begins a row; its handle.

        Raises:
          ValueError: when it does not fit.
        """
        shape = self.shape
        if not self.free or len(prompt.ids) > shape.prompt:
            raise ValueError(f"no room for {len(prompt.ids)} ids; {self.free} rows")
        if not 0 < prompt.limit <= shape.length:
            raise ValueError(f"a limit of {prompt.limit}: 1 to {shape.length}")
        self._settle(len(self._rows) + 1)
        row = min(set(range(self._table.rows)) - set(self._rows.values()))
        size = min(bucket(len(prompt.ids)), shape.prompt)
        count = tf.constant(len(prompt.ids))
        ids = {"ids": tf.constant(_ids(prompt.ids, size)), "count": count}
        begun = self._begin(ids, width=shape.width)
        self._table.fill(row, prompt, *begun)
        self._count += 1
        self._rows[self._count] = row
        return self._count

    def leave(self, handle: int) -> None:
        """Its row is free again."""
        self._table.living[self._rows.pop(handle)] = False

    def step(self) -> dict[int, Written]:
        """Some more tokens of every row; those that are done are left."""
        self._settle(len(self._rows))
        table = self._table
        tokens, scores = table.advance()
        found = {}
        for handle, row in list(self._rows.items()):
            if table.living[row]:
                fed = int(table.beams.time[row])
                found[handle] = Written(table.beams.tokens[row, 0, :fed].tolist())
                continue
            best = int(table.asked["best"][row])
            outputs = [
                (tokens[row, w].tolist(), float(scores[row, w])) for w in range(best)
            ]
            found[handle] = Written(outputs[0][0], outputs)
            self.leave(handle)
        return found

    def rehearse(self, sizes: tuple[int, ...] = (16,)) -> None:
        """Compiles the steps, and the beginnings of prompts of these sizes."""
        for size in sizes:
            ids = (EOS,) * min(size, self.shape.prompt)
            joined = [self.join(Prompt(ids, 1)) for _ in range(min(2, self.rows))]
            self.step()
            for handle in joined:
                if handle in self._rows:
                    self.leave(handle)
        self.join(Prompt((EOS,), 1))
        self.step()

    def _settle(self, count: int) -> None:
        """Takes the batch that fits so many rows, and moves there who is here."""
        wanted = self._few if count <= 1 else self._all
        if wanted is self._table:
            return
        wanted.slot = self._table.slot
        for new, (handle, row) in enumerate(self._rows.items()):
            wanted.copy(new, self._table, row)
            self._rows[handle] = new
        self._table.living[:] = False
        self._table = wanted


def _ids(ids: tuple[int, ...], size: int) -> np.ndarray:
    return np.array([*ids, *[0] * (size - len(ids))], np.int32)


def _begin(model: Any, prompt: dict[str, Any], *, width: int, length: int = 1) -> Any:
    """(first ids [1], constants, state) of one prompt; room for a token is enough."""
    ids = prompt["ids"][None]
    size = ids.shape[1]
    batch = prompt_batch(model.PROMPT, [], rows=1, length=size)
    name = model.PROMPT
    batch = {n: tf.constant(v) for n, v in batch.items()}
    batch[name] = ids
    fed = ops.arange(size, dtype="int32") < prompt["count"]
    batch[f"{name}_segments"] = ops.cast(fed[None], "int32")
    return model.begin(batch, width=width, length=length)


class _Table:
    """The rows of one batch: numbers in numpy, caches and memories in variables.

    slot: the place of the ring that is written next.
    living: bool [B], rows that are not decided.
    """

    def __init__(self, model: Any, shape: Shape, rows: int) -> None:
        self.model, self.shape, self.rows, self.slot = model, shape, rows, 0
        width, length = shape.width, shape.length
        narrow, wide = (rows, width), (rows, width, length)
        self.beams = Beams(
            np.zeros(rows, np.int32), np.zeros(narrow, np.int32),
            np.zeros(narrow, np.int32), np.full(narrow, LOWEST, np.float32),
            np.zeros(wide, np.int32), np.zeros(wide, np.int32),
            np.full(narrow, LOWEST, np.float32), np.zeros(wide, np.int32), (),
        )  # fmt: skip
        self.living = np.zeros(rows, bool)
        self.asked = {name: np.ones(rows, kind) for name, kind in COLUMNS.items()}
        whole = {"ids": _ids((), shape.prompt), "count": 0}
        begun = tf.function(
            lambda prompt: _begin(model, prompt, width=width, length=length)
        ).get_concrete_function(tf.nest.map_structure(tf.constant, whole))
        _, *self.structure = begun.structured_outputs
        self.kept = [_room(leaf, rows) for leaf in tf.nest.flatten(self.structure)]
        self._step = tf.function(self._advance, jit_compile=True, autograph=False)

    def fill(
        self, row: int, prompt: Prompt, first: Any, constants: Any, state: Any
    ) -> None:
        """Begins a row anew."""
        beams = self.beams
        for array, value in zip(
            beams[:-1], (0, first[0], 0, LOWEST, 0, 0, LOWEST, 0), strict=True
        ):
            array[row] = value
        beams.scores[row, 0] = 0.0  # all are equal: only the first may be extended
        beams.parents[row] = np.arange(self.shape.width)
        self.living[row] = True
        for name in COLUMNS:
            self.asked[name][row] = getattr(prompt, name)
        new = tf.nest.flatten([constants, state])
        for kept, value in zip(self.kept, new, strict=True):
            place = tuple(slice(n) for n in value.shape[1:])
            if isinstance(kept, tf.Variable):  # what is left of others is masked
                kept[(slice(row, row + 1), *place)].assign(value)
            else:
                kept[row] = 0
                kept[(row, *place)] = value[0]

    def copy(self, row: int, other: _Table, source: int) -> None:
        """Takes a row over from another batch."""
        own = [*self.beams[:-1], *self.asked.values(), self.living, *self.kept]
        theirs = [*other.beams[:-1], *other.asked.values(), other.living, *other.kept]
        for kept, value in zip(own, theirs, strict=True):
            if isinstance(kept, tf.Variable):
                kept[row : row + 1].assign(value[source : source + 1])
            else:
                kept[row] = value[source]

    def advance(self) -> tuple[np.ndarray, np.ndarray]:
        """`STEPS` steps; the tokens [B, W, L] and scores [B, W] of all rows, ranked."""
        small = [kept for kept in self.kept if not isinstance(kept, tf.Variable)]
        given = (
            np.int32(self.slot),
            self.living,
            tuple(self.beams[:-1]),
            self.asked,
            small,
        )
        found = tf.nest.map_structure(
            _array, self._step(*tf.nest.map_structure(tf.constant, given))
        )
        slot, self.living, beams, small, tokens, scores = found
        self.slot, self.beams = int(slot), Beams._make([*beams, ()])
        small = iter(small)
        self.kept = [
            k if isinstance(k, tf.Variable) else next(small) for k in self.kept
        ]
        return tokens, scores

    def _advance(
        self, slot: Any, living: Any, beams: Any, asked: Any, small: Any
    ) -> Any:
        rest = iter(small)
        kept = [
            k.value() if isinstance(k, tf.Variable) else next(rest) for k in self.kept
        ]
        constants, state = tf.nest.pack_sequence_as(self.structure, kept)
        stop = Stop(asked["alpha"], asked["best"], asked["limit"])

        def going(count: Any, slot: Any, living: Any, *_: Any) -> Any:
            return ops.logical_and(count < STEPS, ops.any(living))

        def step(count: Any, slot: Any, living: Any, *loop: Any) -> Any:
            old = Beams(*loop)
            new = self._extended(old, constants, asked, slot)
            kept = [
                _where(living, a, b) for a, b in zip(new[:-1], old[:-1], strict=True)
            ]
            new = Beams._make([*kept, new.state])
            going_on = ops.logical_and(stop.undecided(new), new.time < asked["limit"])
            living = ops.logical_and(living, going_on)
            return count + 1, ops.mod(slot + 1, self.shape.length), living, *new

        begin = (tf.constant(0), slot, living, *beams, state)
        _, slot, living, *loop = ops.while_loop(going, step, begin)
        beams = Beams._make(loop)
        after = tf.nest.flatten([constants, beams.state])
        for variable, value in zip(self.kept, after, strict=True):
            if isinstance(variable, tf.Variable) and variable.value is not value:
                variable.assign(value)
        small = [
            v
            for k, v in zip(self.kept, after, strict=True)
            if not isinstance(k, tf.Variable)
        ]
        return slot, living, beams[:-1], small, *ranked(beams, stop)

    def _extended(self, beams: Beams, constants: Any, asked: Any, slot: Any) -> Beams:
        """One token more of each hypothesis."""
        width, length = self.shape.width, self.shape.length
        places, lanes = (
            ops.arange(length, dtype="int32"),
            ops.arange(width, dtype="int32"),
        )
        slots = ops.where(places == slot, lanes[None, :, None], beams.slots)
        own = ops.equal(slots[..., None], lanes)  # [B, W, L, W]
        fed = ops.mod(slot - places, length)[None] <= beams.time[:, None]  # [B, L]
        visible = ops.logical_and(own, fed[:, None, :, None])
        logits, state = self.model.decode_step(
            beams.ids, constants, beams.state, time=beams.time, slot=slot,
            visible=ops.reshape(visible, (self.rows, width, length * width)),
            parents=beams.parents,
        )  # fmt: skip
        beams = beams._replace(slots=slots, state=state)
        searched = extend(beams, logits, asked["alpha"])
        if width > 1:
            return searched
        return ops.cond(
            ops.any(asked["sampling"]),
            lambda: _drawn(beams, searched, logits[:, 0], asked),
            lambda: searched,
        )


def _drawn(beams: Beams, searched: Beams, logits: Any, asked: Any) -> Beams:
    """Beams of one hypothesis: drawn where it is asked for, else as searched."""
    kept = {
        name: asked[name][:, None]
        for name in ("temperature", "keep_k", "keep_p", "min_p")
    }
    ids, chances = draw(logits, asked["seed"], beams.time, **kept)
    scores = beams.scores + chances[:, None]
    here = ops.arange(beams.tokens.shape[2]) == beams.time[:, None, None]
    tokens = ops.where(here, ids[:, None, None], beams.tokens)
    ended = ops.equal(ids, EOS)
    drawn = searched._replace(
        ids=ids[:, None],
        parents=ops.zeros_like(beams.parents),
        scores=scores,
        tokens=tokens,
        slots=beams.slots,
        finished_scores=_where(ended, scores, beams.finished_scores),
        finished_tokens=_where(ended, tokens, beams.finished_tokens),
    )
    pairs = zip(drawn[:-1], searched[:-1], strict=True)
    chosen = [_where(asked["sampling"], a, b) for a, b in pairs]
    return Beams._make([*chosen, searched.state])


def _where(rows: Any, one: Any, other: Any) -> Any:
    """By rows [B] of values [B, …]."""
    return ops.where(ops.reshape(rows, (-1, *[1] * (len(one.shape) - 1))), one, other)


def _room(leaf: Any, rows: int) -> Any:
    """For so many rows of a leaf [1, …]: in place where it is large."""
    shape = (rows, *leaf.shape[1:])
    if leaf.dtype.is_floating:
        return tf.Variable(tf.zeros(shape, leaf.dtype))
    return np.zeros(shape, leaf.dtype.as_numpy_dtype)


def _array(value: Any) -> np.ndarray:
    return np.array(value)  # a copy: it is written to
