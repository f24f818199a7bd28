"""What the layers of a stack share in one call: who sees whom, and from where.

A view is of whole rows, or of new tokens beside slots that earlier calls wrote. What
a layer computes through one is what it computes through the other.

Axis letters: B batch, T queries, S keys or slots; with frames, B·N rows of L queries.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from t2t.layers.distance import Aligned, Distances, Placed
from t2t.layers.sight import Frames, Sight


@dataclasses.dataclass(frozen=True)
class View:
    """How T tokens look at S.

    visible: bool [B, T, S] (of frames, where there are any), which keys each query
      sees.
    positions: int [B, T] of the tokens, or [B, T, 3] places.
    between: the distances of the same pairs as `visible`; None where nobody asks.
    frames: the cut of whole rows.
    constant: bool as `visible`, keys that get no gradient; None for none.
    bias: [B or 1, H, T, S], added to the logits of all layers, or None.
    present: bool [B, T], what is no padding.
    ancestors: with slots, int [B, T, P]: where the 1st, … P-th token before each
      stands; -1 for none. None for whole rows, whose neighbours are beside them.
    segments: of whole rows, int [B, T].
    slot: int scalar, the first slot to write; None for whole rows.
    """

    visible: Any
    positions: Any = None
    between: Distances | None = None
    frames: Frames | None = None
    constant: Any = None
    bias: Any = None
    segments: Any = None
    ancestors: Any = None
    slot: Any = None


def attention_mask(
    query_segments: Any, key_segments: Any, *, causal: bool = False
) -> Any:
    """Who may look at whom: bool [B, T, S].

    A query sees keys of its own segment (packed rows hold many; 0 is padding), and
    when `causal` no later ones.
    """
    mask = ops.equal(query_segments[:, :, None], key_segments[:, None, :])
    mask = ops.logical_and(mask, key_segments[:, None, :] > 0)
    if causal:
        ahead = Aligned(query_segments.shape[1], key_segments.shape[1]).distance
        mask = ops.logical_and(mask, ahead <= 0)
    return mask


def whole(
    segments: Any, positions: Any, sight: Sight, *, memory_gradient: bool = True
) -> View:
    """The view of whole rows, with segments [B, T] and positions."""
    size = segments.shape[1]
    frames = sight.frames(size)
    keys = (segments, positions)
    queries = keys
    between = Aligned(size, size, causal=sight.causal)
    if frames is not None:
        queries = frames.queries(segments), frames.queries(positions)
        keys = frames.keys(segments), frames.keys(positions)
        between = Aligned(
            frames.size,
            frames.keys_each,
            before=frames.before * frames.size,
            causal=sight.causal,
        )
    visible = attention_mask(queries[0], keys[0])
    if sight.causal:
        visible = ops.logical_and(visible, between.distance <= 0)
    constant = None
    if sight.limited:
        near = sight.near(between.distance, queries[1], keys[1])
        visible = ops.logical_and(visible, near)
    if not memory_gradient:
        constant = sight.elsewhere(queries[1], keys[1])
    return View(visible, positions, between, frames, constant, segments=segments)


def cached(
    visible: Any,
    positions: Any,
    key_positions: Any,
    sight: Sight,
    *,
    slot: Any,
    before: int = 0,
) -> View:
    """The view of new tokens beside the slots of a cache.

    Args:
      visible: bool [B, T, S], which of the first S slots hold what went before each
        token, itself included.
      key_positions: int [B, S]; None where nothing depends on them.
      before: how many tokens before each the layers want to find (`View.ancestors`).
    """
    between, ancestors = None, None
    if key_positions is not None and len(positions.shape) == 2:
        between = Placed(positions, key_positions, causal=sight.causal)
        if before:
            ancestors = _ancestors(visible, between.distance, before)
        if sight.limited:
            near = sight.near(between.distance, positions, key_positions)
            visible = ops.logical_and(visible, near)
    elif before or sight.limited:
        raise ValueError("windows, blocks and convolutions need the slots' positions")
    return View(visible, positions, between, ancestors=ancestors, slot=slot)


def slot_times(time: Any, *, slot: Any, slots: int, width: int) -> Any:
    """When the tokens of a cache's slots were fed: int [B or 1, L·W].

    Args:
      time: int scalar or [B]: how many tokens were fed before the present one.
      slot: None where a token's slot is its time. Else int scalar, the place in a ring
        of L that all rows write to now, whenever they began: what stands there counts
        backwards from it. (What others left there is masked.)
      slots: L·W.
      width: W hypotheses, which have a place together.
    """
    places = ops.arange(slots, dtype="int32") // width
    if slot is None:
        return places[None]
    return ops.mod(places - slot + ops.reshape(time, (-1, 1)), slots // width)


def _ancestors(visible: Any, distance: Any, count: int) -> Any:
    """int [B, T, P]: the slot of the p-th token before each; -1 for none."""
    found = []
    for back in range(1, count + 1):
        here = ops.logical_and(visible, ops.equal(distance, -back))
        slot = ops.cast(ops.argmax(ops.cast(here, "int32"), axis=-1), "int32")
        found.append(ops.where(ops.any(here, axis=-1), slot, -1))
    return ops.stack(found, axis=-1)
