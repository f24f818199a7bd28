"""Who sees whom, by definition; rows cut into frames compute what whole rows do."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.neighbours import neighbours
from t2t.layers.sight import Sight
from t2t.layers.view import cached, whole

# Two packed examples, 9 and 6 tokens, and padding.
SIZES = (9, 6)
LENGTH = 17
SEGMENTS = np.array([[1] * 9 + [2] * 6 + [0] * 2])
POSITIONS = np.array([[*range(9), *range(6), 0, 0]])
SIGHTS = st.builds(
    Sight,
    causal=st.booleans(),
    window=st.none() | st.integers(1, 4),
    dilation=st.integers(1, 3),
    block_length=st.none() | st.integers(1, 5),
    memory_length=st.none() | st.integers(0, 6),
)


def sees(sight: Sight, query: int, key: int) -> bool:
    """The definition, for positions of one example."""
    distance = key - query
    if sight.causal and distance > 0:
        return False
    if distance % sight.dilation:
        return False
    if sight.window is not None and abs(distance) // sight.dilation >= sight.window:
        return False
    if sight.block_length is None:
        return True
    memory = sight.memory_length
    memory = sight.block_length if memory is None else memory
    start = query // sight.block_length * sight.block_length
    return start - memory <= key < start + sight.block_length + memory


def _expected(sight: Sight) -> np.ndarray:
    mask = np.zeros((LENGTH, LENGTH), bool)
    for i in range(sum(SIZES)):
        for j in range(sum(SIZES)):
            if SEGMENTS[0, i] == SEGMENTS[0, j]:
                mask[i, j] = sees(sight, POSITIONS[0, i], POSITIONS[0, j])
    return mask


@settings(max_examples=60)
@given(sight=SIGHTS)
def test_a_frame_shows_what_is_seen(sight: Sight) -> None:
    view = whole(SEGMENTS, POSITIONS, sight)
    visible, frames = kit.array(view.visible), view.frames
    if frames is not None:
        assert frames.keys_each < LENGTH
        place = np.arange(frames.keys_each) - frames.before * frames.size
        mask = np.zeros((LENGTH, LENGTH), bool)
        for n in range(frames.count):
            for i in range(frames.size):
                for j in np.nonzero(visible[n, i])[0]:
                    mask[n * frames.size + i, n * frames.size + place[j]] = True
        visible = mask[None]
    np.testing.assert_array_equal(visible[0], _expected(sight))


@settings(max_examples=30)
@given(sight=SIGHTS)
def test_slots_anywhere_show_the_same(sight: Sight) -> None:
    """The slots of an example in disorder, as in a beam's tree."""
    size = SIZES[0]
    order = np.random.default_rng(0).permutation(size)
    positions = np.arange(size)[None]
    every = np.ones((1, size, size), bool)
    if sight.causal:
        every = (order[None] <= np.arange(size)[:, None])[None]
    view = cached(every, positions, order[None], sight, slot=0)
    expected = np.array(
        [[sees(sight, i, int(j)) for j in order] for i in range(size)], bool
    )
    np.testing.assert_array_equal(kit.array(view.visible)[0], expected)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "blocks",
    [
        {"window": 3, "position": "relative"},
        {"window": 2, "dilation": 2, "position": "relative_keys", "num_kv_heads": 1},
        {"block_length": 2, "position": "relative_vectors"},
        {"block_length": 3, "memory_length": 2, "position": "relative_sinusoid"},
    ],
)
def test_frames_change_nothing(blocks: dict[str, Any], causal: bool) -> None:
    shape = BlockShape(**{**kit.BLOCKS, **blocks})
    stack = Stack(shape, num_layers=2, causal=causal, cross=False, name="stack")
    x = np.random.default_rng(0).normal(size=(1, LENGTH, 16)).astype("float32")
    given = {"segments": SEGMENTS, "positions": POSITIONS}
    stack(x, **given)
    kit.randomise(stack)
    framed, inner, _ = stack(x, **given)
    assert inner["block_0/self_attention"].shape[-1] < LENGTH
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sight, "frames", lambda self, length: None)
        plain, inner, _ = stack(x, **given)
    assert inner["block_0/self_attention"].shape[-1] == LENGTH
    real = SEGMENTS[0] > 0
    np.testing.assert_allclose(
        kit.array(framed)[0, real], kit.array(plain)[0, real], atol=1e-5
    )


@pytest.mark.parametrize("blocks", kit.SEEING)
def test_packed_is_alone(blocks: dict[str, Any]) -> None:
    shape = BlockShape(**{**kit.BLOCKS, **blocks})
    stack = Stack(shape, num_layers=1, causal=True, cross=False, name="stack")
    x = np.random.default_rng(0).normal(size=(1, LENGTH, 16)).astype("float32")
    packed = kit.array(stack(x, segments=SEGMENTS, positions=POSITIONS)[0])
    own = SEGMENTS[0] == 2
    parts = (part[:, own] for part in (SEGMENTS, POSITIONS))
    alone = stack(x[:, own], **dict(zip(("segments", "positions"), parts, strict=True)))
    np.testing.assert_allclose(kit.array(alone[0]), packed[:, own], atol=1e-5)


@given(offset=st.integers(-4, 4))
def test_neighbours_are_of_the_same_example(offset: int) -> None:
    x = np.random.default_rng(1).normal(size=(1, LENGTH, 3)).astype("float32")
    view = whole(SEGMENTS, POSITIONS, Sight())
    ((found,), _) = neighbours(x, [offset], view)
    for i in range(sum(SIZES)):
        at = i + offset
        own = 0 <= at < LENGTH and SEGMENTS[0, at] == SEGMENTS[0, i]
        expected = x[0, at] if own else np.zeros(3)
        np.testing.assert_array_equal(kit.array(found)[0, i], expected)


def test_what_needs_positions_says_so() -> None:
    visible, places = np.ones((1, 2, 2), bool), np.zeros((1, 2, 3), int)
    with pytest.raises(ValueError, match="need the slots' positions"):
        cached(visible, places, None, Sight(window=2), slot=0)
    with pytest.raises(ValueError, match="goes with a block_length"):
        BlockShape(4, 4, 2, memory_length=2)
    with pytest.raises(ValueError, match="goes with a block_length"):
        BlockShape(4, 4, 2, memory_gradient=False)
