"""Adaptive computation time against Tensor2Tensor's loop, transcribed.

`universal_transformer_act` of universal_transformer_util.py, which is appendix C of
arXiv:1807.03819, while there is a token that runs; the block is ours, as test_against_
torch.py has it.
"""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest

from t2t.layers.blocks import BlockShape
from t2t.layers.universal import Halting, UniversalStack

D, T = 16, 9
X = np.random.default_rng(0).normal(size=(2, T, D)).astype("float32")
SEGMENTS = np.array([[1] * T, [1] * 5 + [0] * 4])
POSITIONS = np.tile(np.arange(T), (2, 1))
MOST, EPSILON = 5, 0.01


def _stack(halting: Halting | None) -> UniversalStack:
    shape = BlockShape(D, 32, 2)
    stack = UniversalStack(
        shape, steps=3, causal=True, cross=False, halting=halting, name="stack"
    )
    stack(X, segments=SEGMENTS, positions=POSITIONS)
    kit.randomise(stack, seed=1)
    return stack


def _timing(step: int, table: np.ndarray) -> np.ndarray:
    rates = 10_000.0 ** -(np.arange(D // 2) / (D // 2 - 1))
    angles = np.arange(T)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], -1) + table[step]


def _unit(stack: UniversalStack, state: np.ndarray) -> np.ndarray:
    view = stack.view(segments=SEGMENTS, positions=POSITIONS)
    return kit.array(stack.blocks[0](state.astype("float32"), view=view)[0])


def _act(stack: UniversalStack) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kernel, bias = stack.halt.get_weights()
    table = np.array(stack.step_table)
    threshold = 1.0 - EPSILON
    state, previous = X, np.zeros_like(X)
    halting_probability, remainders, n_updates = (np.zeros((2, T)) for _ in range(3))
    step = 0
    while np.any((halting_probability < threshold) & (n_updates < MOST)):
        state = state + _timing(step, table)
        p = 1 / (1 + np.exp(-(state @ kernel + bias)[..., 0]))
        still_running = (halting_probability < 1.0).astype(float)
        new_halted = (
            halting_probability + p * still_running > threshold
        ) * still_running
        still_running = (
            halting_probability + p * still_running <= threshold
        ) * still_running
        halting_probability += p * still_running
        remainders += new_halted * (1 - halting_probability)
        halting_probability += new_halted * remainders
        n_updates += still_running + new_halted
        update_weights = (p * still_running + new_halted * remainders)[..., None]
        state = _unit(stack, state)
        previous = state * update_weights + previous * (1 - update_weights)
        step += 1
    return kit.array(stack.final_norm(previous)), n_updates, remainders


def test_adaptive_computation_time() -> None:
    stack = _stack(Halting(MOST, EPSILON, 1.0))
    expected, updates, remainders = _act(stack)
    output, inner, _ = stack(X, segments=SEGMENTS, positions=POSITIONS)
    real = SEGMENTS > 0
    assert len(set(updates[real])) > 1, "the case must be one in which tokens differ"
    np.testing.assert_allclose(kit.array(output)[real], expected[real], atol=1e-4)
    np.testing.assert_array_equal(kit.array(inner["steps"]), updates * real)
    for row in range(2):
        mean = (updates + remainders)[row, real[row]].mean()
        assert float(inner["ponder"][row]) == pytest.approx(mean, abs=1e-4)


def test_a_fixed_number_of_steps() -> None:
    stack = _stack(None)
    state, table = X, np.array(stack.step_table)
    for step in range(3):
        state = _unit(stack, state + _timing(step, table))
    output, inner, _ = stack(X, segments=SEGMENTS, positions=POSITIONS)
    expected: Any = stack.final_norm(state)
    np.testing.assert_allclose(kit.array(output), kit.array(expected), atol=1e-4)
    assert "ponder" not in inner and len(stack.blocks) == 1
