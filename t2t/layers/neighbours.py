"""What stands beside each token, for convolutions over time: the same in packed rows,
step by step, and in a beam's tree of slots.

Axis letters: B batch, T tokens, S slots, D size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from t2t.layers.view import View


def neighbours(
    x: Any, offsets: Sequence[int], view: View, cache: Any = None
) -> tuple[list[Any], Any]:
    """x at some offsets from each token, zeros where its example has none.

    Args:
      x: [B, T, D].
      offsets: 0 is the token itself, -1 the one before it, 1 the one after it, which
        there is in whole rows only.
      cache: [B, S, D], with slots: what x was for all tokens so far.

    Returns:
      (one [B, T, D] an offset, the new cache).
    """
    if view.slot is None:
        return [_shifted(x, offset, view.segments) for offset in offsets], None
    cache = ops.slice_update(cache, (0, view.slot, 0), ops.cast(x, cache.dtype))
    return [
        _found(cache, view.ancestors[..., -offset - 1]) if offset else x
        for offset in offsets
    ], cache


def _shifted(x: Any, offset: int, segments: Any) -> Any:
    if not offset:
        return x
    room = [max(-offset, 0), max(offset, 0)]

    def moved(values: Any) -> Any:
        values = ops.pad(values, [[0, 0], room, *[[0, 0]] * (len(values.shape) - 2)])
        return values[:, room[1] : room[1] + x.shape[1]]

    own = ops.logical_and(ops.equal(moved(segments), segments), segments > 0)
    return ops.where(own[..., None], moved(x), ops.zeros_like(x))


def _found(cache: Any, slots: Any) -> Any:
    """cache [B, S, D] at slots [B, T]; zeros at slot -1."""
    index = ops.maximum(slots, 0)[..., None]  # [B, T, 1]
    values = ops.take_along_axis(cache, index, axis=1)
    return ops.where(slots[..., None] >= 0, values, ops.zeros_like(values))
