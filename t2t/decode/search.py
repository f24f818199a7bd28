"""Beam search and sampling, each one XLA-compiled loop.

Beam search with the length penalty of GNMT (arXiv:1609.08144, eq. 14), stopped
when no living hypothesis can still beat the finished ones; greedy is width 1. Rows
that take long go on in a smaller batch when the others are done.

The surprise: a beam is a tree, and the cache is never reordered. Step t of the W
hypotheses writes slots t·W … t·W+W-1, `slots` remembers which of them each
hypothesis descends from, and the model masks the others. The cache grows between
loops, each compiled for its own size: a loop that looked at the beginning of a larger
one would copy it at every step.

Axis letters: B sentences, W hypotheses (beam width), L length, V vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from t2t.features import EOS, PAD
from t2t.layers.seeds import mix

LOWEST = -1e9
# When all but one row in FEW are decided, the others go on in a smaller batch.
FEW = 4


class Beams(NamedTuple):
    """The loop's variables."""

    time: Any  # int scalar, or [B] where rows began at different times: tokens fed
    ids: Any  # int [B, W]: last token of each living hypothesis
    parents: Any  # int [B, W]: the hypothesis of the last step that each extends
    scores: Any  # float [B, W]: log-probability of the living
    tokens: Any  # int [B, W, L]: of the living
    slots: Any  # int [B, W, L]: the slot of step t that each descends from
    finished_scores: Any  # float [B, W]: with length penalty, descending
    finished_tokens: Any  # int [B, W, L]: ending with EOS
    state: Any  # the model's


def length_penalty(length: Any, alpha: float) -> Any:
    """((5 + length) / 6)^α."""
    return ((5.0 + ops.cast(length, "float32")) / 6.0) ** alpha


def stages(length: int) -> list[int]:
    """Cache lengths 16, 32, 64, …, `length`: short outputs never pay for long ones."""
    sizes = [2**k for k in range(4, 20) if 2**k <= length / 1.5]
    return [*sizes, length]


def beam_search(
    model: Any,
    batch: dict[str, Any],
    *,
    width: int,
    length: int,
    alpha: float,
    best: int | None = None,
) -> tuple[Any, Any]:
    """The best outputs of each row.

    Args:
      model: has `begin` and `decode_step`, and `longer` where its state has slots,
        see `models/transformer.py`.
      batch: holds the model's prompt feature.
      width: W; 1 is greedy search.
      length: most tokens of an output, EOS included; a hypothesis that has not
        ended by then is cut.
      alpha: of the length penalty; 0 for none.
      best: how many outputs of a row must be the best ones; None for all W. With
        fewer the search can stop earlier.

    Returns:
      tokens int [B, W, L] (0 after EOS) and scores float [B, W], best first.
    """
    sizes = stages(length)
    first, constants, state = model.begin(batch, width=width, length=sizes[0])
    rows = ops.shape(first)[0]
    shape = (rows, width)
    # All hypotheses start equal: only the first may be extended at step 0.
    alone = ops.where(ops.arange(width) == 0, 0.0, LOWEST)
    beams = Beams(
        time=ops.convert_to_tensor(0, "int32"),
        ids=ops.broadcast_to(first[:, None], shape),
        parents=ops.broadcast_to(ops.arange(width, dtype="int32"), shape),
        scores=ops.broadcast_to(ops.cast(alone, "float32"), shape),
        tokens=ops.zeros((*shape, length), "int32"),
        slots=ops.zeros((*shape, length), "int32"),
        finished_scores=ops.full(shape, LOWEST, "float32"),
        finished_tokens=ops.zeros((*shape, length), "int32"),
        state=state,
    )
    stop = Stop(alpha, best or width, length)
    beams = _advance(model, constants, beams, stop, sizes, leave=rows // FEW)
    if rows >= FEW:
        beams = _finish_few(model, constants, beams, stop)
    return ranked(beams, stop)


class Stop(NamedTuple):
    """When a row is decided: its `best` finished outputs cannot be beaten.

    Each is a number, or [B] where rows differ: GNMT's alpha, how many, most tokens.
    """

    alpha: Any
    best: Any
    length: Any

    def undecided(self, beams: Beams) -> Any:
        """bool [B]: rows whose best living hypothesis may still become better."""
        bound = beams.scores[:, 0] / length_penalty(self.length, self.alpha)
        if isinstance(self.best, int):
            return beams.finished_scores[:, self.best - 1] < bound
        last = ops.reshape(self.best - 1, (-1, 1))
        return _pick(beams.finished_scores, last)[:, 0] < bound


def ranked(beams: Beams, stop: Stop) -> tuple[Any, Any]:
    """Tokens [B, W, L] and scores [B, W], best first.

    What is still alive at the end was cut: it comes after all that ended.
    """
    penalty = ops.reshape(length_penalty(stop.length, stop.alpha), (-1, 1))
    cut = beams.scores / penalty
    cut = ops.where(beams.finished_scores[:, -1:] > LOWEST / 2, LOWEST, cut)
    scores = ops.concatenate([beams.finished_scores, cut], axis=1)
    ended = ops.cast(beams.finished_scores > LOWEST / 2, "float32")
    order = scores + ops.concatenate([ended, ops.zeros_like(ended)], axis=1) * 1e6
    _, best = ops.top_k(order, beams.ids.shape[1])
    tokens = ops.concatenate([beams.finished_tokens, beams.tokens], axis=1)
    return _pick(tokens, best), _pick(scores, best)


def _advance(
    model: Any,
    constants: Any,
    beams: Beams,
    stop: Stop,
    sizes: list[int],
    *,
    leave: int = 0,
) -> Beams:
    """Steps until the length is reached or at most `leave` rows are undecided.

    Args:
      sizes: of the cache, one after another; it has the first already.
    """
    width, length = beams.ids.shape[1], beams.tokens.shape[2]

    def going(size: int) -> Any:
        def condition(*loop: Any) -> Any:
            beams = Beams(*loop)
            count = ops.sum(ops.cast(stop.undecided(beams), "int32"))
            return ops.logical_and(beams.time < size, count > leave)

        return condition

    def stepping(size: int) -> Any:
        def step(*loop: Any) -> Beams:
            beams = Beams(*loop)
            slots = ops.where(
                ops.arange(length) == beams.time,
                ops.arange(width, dtype="int32")[None, :, None],
                beams.slots,
            )
            logits, state = model.decode_step(
                beams.ids,
                constants,
                beams.state,
                time=beams.time,
                visible=_visible(slots[:, :, :size], beams.time),
                parents=beams.parents,
            )
            beams = beams._replace(slots=slots, state=state)
            return extend(beams, logits, stop.alpha)

        return step

    longer = getattr(model, "longer", lambda state, slots: state)
    for before, size in zip([sizes[0], *sizes], sizes, strict=False):
        if size > before:
            more = (size - before) * width
            beams = beams._replace(state=longer(beams.state, more))
        loop = ops.while_loop(going(size), stepping(size), tuple(beams))
        beams = Beams(*loop)
    return beams


def _finish_few(model: Any, constants: Any, beams: Beams, stop: Stop) -> Beams:
    """Goes on with the undecided rows alone, a FEW-th of all, and puts them back."""
    rows = ops.shape(beams.ids)[0]
    undecided = ops.cast(stop.undecided(beams), "float32")
    _, chosen = ops.top_k(undecided, rows // FEW)  # [B / FEW]
    chosen = ops.cast(chosen, "int32")

    def take(values: Any) -> Any:
        return keras.tree.map_structure(lambda v: ops.take(v, chosen, axis=0), values)

    few = Beams(beams.time, *take(tuple(beams)[1:]))
    few = _advance(model, take(constants), few, stop, [few.tokens.shape[2]])
    names = ("scores", "tokens", "finished_scores", "finished_tokens")
    return beams._replace(
        **{
            name: ops.scatter_update(
                getattr(beams, name), chosen[:, None], getattr(few, name)
            )
            for name in names
        }
    )


def _visible(slots: Any, time: Any) -> Any:
    """bool [B, W, L·W]: the slots that each hypothesis descends from, up to now."""
    rows, width, size = ops.shape(slots)
    own = ops.equal(slots[..., None], ops.arange(width, dtype="int32"))
    fed = (ops.arange(size, dtype="int32") <= time)[:, None]
    return ops.reshape(ops.logical_and(own, fed), (rows, width, size * width))


def extend(beams: Beams, logits: Any, alpha: Any) -> Beams:
    """One step of all rows from logits [B, W, V]; `alpha` is a number or [B].

    Takes the best 2W extensions: ended ones among the first W finish, the best
    W others live on. (As OpenNMT, fairseq and CTranslate2 do.)"""
    rows, width, size = ops.shape(logits)
    length = beams.tokens.shape[2]
    when = ops.reshape(beams.time, (-1, 1))  # [B or 1, 1]
    penalty = length_penalty(when + 1, ops.reshape(alpha, (-1, 1)))
    logits = ops.cast(logits, "float32")
    chances = logits - ops.logsumexp(logits, axis=-1, keepdims=True)
    chances = without_padding(chances)
    totals = ops.reshape(chances + beams.scores[..., None], (rows, width * size))
    scores, flat = top_k(totals, 2 * width)  # [B, 2W]
    parents, ids = flat // size, flat % size
    tokens = ops.where(
        ops.arange(length) == when[..., None],
        ids[..., None],
        _pick(beams.tokens, parents),
    )
    ended = ids == EOS
    first = ops.arange(2 * width) < width
    ending = ops.where(
        ops.logical_and(ended, first),
        scores / penalty,
        LOWEST,
    )
    all_finished = ops.concatenate([beams.finished_scores, ending], axis=1)
    finished_scores, best = ops.top_k(all_finished, width)
    finished_tokens = _pick(
        ops.concatenate([beams.finished_tokens, tokens], axis=1), best
    )
    living_scores, living = ops.top_k(ops.where(ended, LOWEST, scores), width)
    parents = _pick(parents, living)
    return beams._replace(
        time=beams.time + 1,
        ids=_pick(ids, living),
        parents=parents,
        scores=living_scores,
        tokens=_pick(tokens, living),
        slots=_pick(beams.slots, parents),
        finished_scores=finished_scores,
        finished_tokens=finished_tokens,
    )


def without_padding(chances: Any) -> Any:
    """[…, V] with the padding id at -1e9: it stands for the end of a row alone."""
    return ops.where(ops.arange(chances.shape[-1]) == PAD, LOWEST, chances)


def top_k(values: Any, k: int) -> tuple[Any, Any]:
    """The k largest of the last axis of [B, N], and where they are; exact.

    The k largest lie in the k chunks with the largest maxima, so a reduction and
    two small sorts do what one sort of N would: on CPUs XLA's is slow.
    """
    rows, size = ops.shape(values)
    chunk = 64
    if size < 4 * k * chunk:
        top, index = ops.top_k(values, k)
        return top, ops.cast(index, "int32")
    padded = -(-size // chunk) * chunk
    values = ops.pad(values, [[0, 0], [0, padded - size]], constant_values=2 * LOWEST)
    chunks = ops.reshape(values, (rows, padded // chunk, chunk))
    _, best = ops.top_k(ops.max(chunks, axis=-1), k)  # [B, k]
    best = ops.sort(ops.cast(best, "int32"), axis=-1)  # ties go to the lower index
    pool = ops.take_along_axis(chunks, best[..., None], axis=1)  # [B, k, chunk]
    top, index = ops.top_k(ops.reshape(pool, (rows, k * chunk)), k)
    index = ops.cast(index, "int32")
    return top, ops.take_along_axis(best, index // chunk, axis=1) * chunk + (
        index % chunk
    )


def _pick(values: Any, index: Any) -> Any:
    """values [B, N, …] at index [B, M] -> [B, M, …]."""
    index = ops.cast(index, "int32")
    index = ops.reshape(index, (*ops.shape(index), *[1] * (len(values.shape) - 2)))
    return ops.take_along_axis(values, index, axis=1)


# -- sampling ----------------------------------------------------------------------


def sample(
    model: Any,
    batch: dict[str, Any],
    seeds: Any,
    *,
    length: int,
    temperature: float = 1.0,
    keep_k: int = 0,
    keep_p: float = 1.0,
    min_p: float = 0.0,
) -> tuple[Any, Any]:
    """One random output of each row.

    Args:
      seeds: int [B]; a row's output is a function of its seed and prompt alone.
      length: most tokens, EOS included.
      temperature: divides the logits.
      keep_k: sample among the k likeliest tokens; 0 for all.
      keep_p: among the likeliest that make up this probability (arXiv:1904.09751).
      min_p: among those at least this times as likely as the likeliest
        (arXiv:2407.01082).

    Returns:
      tokens int [B, 1, L] and their log-probabilities [B, 1] under the model.
    """
    first, constants, state = model.begin(batch, width=1, length=length)
    rows = ops.shape(first)[0]
    seeds = ops.cast(seeds, "uint32")

    def unfinished(
        time: Any, ids: Any, tokens: Any, scores: Any, done: Any, state: Any
    ):
        return ops.logical_and(time < length, ops.logical_not(ops.all(done)))

    def step(time: Any, ids: Any, tokens: Any, scores: Any, done: Any, state: Any):
        logits, state = model.decode_step(
            ids[:, None],
            constants,
            state,
            time=time,
            visible=ops.broadcast_to(
                (ops.arange(length, dtype="int32") <= time), (rows, 1, length)
            ),
            parents=ops.zeros((rows, 1), "int32"),
        )
        chosen, score = draw(
            logits[:, 0], seeds, time,
            temperature=temperature, keep_k=keep_k, keep_p=keep_p, min_p=min_p,
        )  # fmt: skip
        chosen = ops.where(done, 0, chosen)
        scores = scores + ops.where(done, 0.0, score)
        tokens = ops.where(ops.arange(length) == time, chosen[:, None], tokens)
        done = ops.logical_or(done, chosen == EOS)
        return time + 1, chosen, tokens, scores, done, state

    loop = (
        ops.convert_to_tensor(0, "int32"),
        first,
        ops.zeros((rows, length), "int32"),
        ops.zeros((rows,), "float32"),
        ops.zeros((rows,), "bool"),
        state,
    )
    _, _, tokens, scores, _, _ = ops.while_loop(unfinished, step, loop)
    return tokens[:, None], scores[:, None]


def draw(
    logits: Any, seeds: Any, time: Any, *, temperature: Any, **kept: Any
) -> tuple[Any, Any]:
    """A random token of each row, and its log-probability before any of `kept`.

    Args:
      logits: [B, V].
      seeds: uint32 [B]; time: int scalar or [B], the number of the token.
      temperature: a number or [B, 1].
      kept: of `restrict`.
    """
    logits = ops.cast(logits, "float32")
    chances = logits - ops.logsumexp(logits, axis=-1, keepdims=True)
    allowed = restrict(without_padding(logits) / temperature, **kept)
    seed = mix(ops.bitwise_xor(seeds, mix(ops.cast(time, "uint32"))))
    chosen = ops.argmax(allowed + gumbel(logits.shape[-1], seed), axis=-1)
    chosen = ops.cast(chosen, "int32")
    return chosen, ops.take_along_axis(chances, chosen[:, None], axis=1)[:, 0]


def restrict(logits: Any, *, keep_k: Any, keep_p: Any, min_p: Any) -> Any:
    """Logits [B, V] with what may not be sampled at -1e9.

    Args: as of `sample`; all numbers, or all [B, 1] where rows differ.
    """
    if not isinstance(keep_k, int):
        asked = (keep_k > 0) | (keep_p < 1.0) | (min_p > 0.0)
        return ops.cond(
            ops.any(asked),
            lambda: _restrict_each(logits, keep_k, keep_p, min_p),
            lambda: logits,
        )
    if keep_k:
        least = ops.top_k(logits, min(keep_k, logits.shape[-1]))[0][:, -1:]
        logits = ops.where(logits < least, LOWEST, logits)
    if keep_p < 1.0:
        ordered = ops.flip(ops.sort(logits, axis=-1), axis=-1)
        shares = ops.softmax(ordered, axis=-1)
        # A token stays while those before it do not yet make up keep_p.
        kept = (ops.cumsum(shares, axis=-1) - shares) < keep_p
        least = ops.min(ops.where(kept, ordered, -LOWEST), axis=-1, keepdims=True)
        logits = ops.where(logits < least, LOWEST, logits)
    if min_p:
        shares = ops.softmax(logits, axis=-1)
        least = min_p * ops.max(shares, axis=-1, keepdims=True)
        logits = ops.where(shares < least, LOWEST, logits)
    return logits


def _restrict_each(logits: Any, keep_k: Any, keep_p: Any, min_p: Any) -> Any:
    size = logits.shape[-1]
    ordered = ops.flip(ops.sort(logits, axis=-1), axis=-1)
    last = ops.where(keep_k > 0, ops.minimum(keep_k, size), size) - 1
    least = ops.take_along_axis(ordered, last, axis=-1)
    ordered = ops.where(ordered < least, LOWEST, ordered)
    shares = ops.softmax(ordered, axis=-1)
    kept = (ops.cumsum(shares, axis=-1) - shares) < keep_p
    nucleus = ops.min(ops.where(kept, ordered, -LOWEST), axis=-1, keepdims=True)
    least = ops.where(keep_p < 1.0, ops.maximum(nucleus, least), least)
    logits = ops.where(logits < least, LOWEST, logits)
    shares = ops.softmax(logits, axis=-1)
    least = min_p * ops.max(shares, axis=-1, keepdims=True)
    return ops.where(shares < least, LOWEST, logits)


def gumbel(size: int, seeds: Any) -> Any:
    """Gumbel noise [B, V], each row a function of its uint32 seed [B]."""
    index = mix(ops.cast(ops.arange(size, dtype="int32"), "uint32"))
    bits = mix(ops.bitwise_xor(index, seeds[:, None]))
    uniform = (ops.cast(bits, "float32") + 0.5) / 2**32
    uniform = ops.clip(uniform, 1e-7, 1.0 - 1e-7)
    return -ops.log(-ops.log(uniform))
