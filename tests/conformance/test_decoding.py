"""Cached decoding is the teacher-forced forward pass, step by step."""

from __future__ import annotations

import itertools
from typing import Any

import kit
import numpy as np
import pytest

from t2t.sources import Batch

DECODERS = kit.models(method="decode_step")
LENGTH, ROWS, WIDTH = 6, 3, 2

# Of the blocks of an encoder and a decoder; `kit.SEEING` is for a decoder alone.
BOTH: list[dict[str, Any]] = [
    *({"position": position} for position in ("learned", "rotary", "relative")),
    {"position": "relative_vectors", "window": 3, "num_kv_heads": 1},
    {"position": "relative_keys", "max_relative_position": 2},
    {"block_length": 2, "position": "alibi", "num_kv_heads": 1},
    {"filter_width": 3, **kit.EXPERTS, "expert_every": 2},
]
CASES = [
    *((name, {}) for name in DECODERS),
    *(("transformer_lm", blocks) for blocks in kit.SEEING),
    *(("transformer", blocks) for blocks in BOTH),
    ("universal_transformer", {"position": "relative_keys", "filter_width": 2}),
]


def test_additive_attention_is_cached() -> None:
    test_cached_is_uncached("lstm_seq2seq", {}, attention="bahdanau")


def _log_softmax(logits: Any) -> np.ndarray:
    logits = kit.array(logits)
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _texts(name: str, rows: list[list[int]], *, length: int) -> Batch:
    ids = np.zeros((len(rows), length), np.int32)
    segments = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)], segments[i, : len(row)] = row, 1
    positions = np.tile(np.arange(length, dtype=np.int32), (len(rows), 1))
    return {name: ids, f"{name}_segments": segments, f"{name}_positions": positions}


def _expected(model: Any, prompts: Batch, tokens: np.ndarray) -> np.ndarray:
    """Log-probabilities [B, L, V] of every step by the whole forward pass."""
    rows = len(tokens)
    own = [[] for _ in range(rows)]
    if model.PROMPT == "targets":
        lengths = prompts["targets_segments"].sum(axis=1)
        own = [prompts["targets"][i, :n].tolist() for i, n in enumerate(lengths)]
    whole = [own[i] + tokens[i].tolist() for i in range(rows)]
    length = max(map(len, whole))
    batch = {**prompts, **_texts("targets", whole, length=length)}
    chances = _log_softmax(model(batch)[0])
    return np.stack(
        [chances[i, len(own[i]) : len(own[i]) + LENGTH] for i in range(rows)]
    )


def _prompts(model: Any, rng: np.random.Generator) -> Batch:
    """Three prompts of different lengths; a language model's last one is empty."""
    sizes = (5, 2, 0 if model.PROMPT == "targets" else 1)
    rows = [rng.integers(2, 12, n).tolist() for n in sizes]
    return _texts(model.PROMPT, rows, length=6)


@pytest.mark.parametrize("name, blocks", CASES)
def test_cached_is_uncached(name: str, blocks: dict[str, Any], **knobs: Any) -> None:
    # Two layers where nothing else is special.
    model = kit.make(
        name, blocks={"max_length": 16, **blocks}, shallow=bool(blocks), **knobs
    )
    kit.randomise(model)
    rng = np.random.default_rng(1)
    prompts = _prompts(model, rng)
    # Hypothesis 1 goes astray at first; then it descends from 0, with a token of its
    # own after the first `fork`.
    fork = 3
    astray = np.full(ROWS, 2, np.int32)
    tokens = rng.integers(2, 12, (2, ROWS, LENGTH)).astype(np.int32)
    tokens[1, :, :fork] = tokens[0, :, :fork]
    expected = [_expected(model, prompts, of) for of in tokens]

    first, constants, state = model.begin(prompts, width=WIDTH, length=LENGTH)
    ids = np.repeat(kit.array(first)[:, None], WIDTH, axis=1)
    for time in range(LENGTH):
        parents = np.array([0, 0 if time == fork + 1 else 1])
        visible = np.zeros((ROWS, WIDTH, LENGTH, WIDTH), bool)
        for w, step in itertools.product(range(WIDTH), range(time + 1)):
            descends = 0 if step <= fork < time else w
            visible[:, w, step, descends] = True
        logits, state = model.decode_step(
            ids.astype("int32"),
            constants,
            state,
            time=np.int32(time),
            visible=visible.reshape(ROWS, WIDTH, -1),
            parents=np.tile(parents, (ROWS, 1)).astype("int32"),
        )
        found = _log_softmax(logits)
        for w in (0, 1) if time > fork else (0,):
            np.testing.assert_allclose(
                found[:, w], expected[w][:, time], atol=2e-5, err_msg=f"{time} {w}"
            )
        ids = np.stack([tokens[0, :, time], tokens[1, :, time]], axis=1)
        if time < fork:
            ids[:, 1] = astray


def test_narrow_visibility_is_wide_visibility() -> None:
    """The search shows the first slots only; the caches are longer."""
    model = kit.make("transformer", blocks={"position": "relative"})
    kit.randomise(model)
    prompts = _prompts(model, np.random.default_rng(0))
    for size in (2, LENGTH):
        first, constants, state = model.begin(prompts, width=1, length=LENGTH)
        visible = np.zeros((ROWS, 1, size), bool)
        visible[:, :, 0] = True
        logits, _ = model.decode_step(
            kit.array(first)[:, None], constants, state,
            time=np.int32(0), visible=visible, parents=np.zeros((ROWS, 1), "int32"),
        )  # fmt: skip
        if size == 2:
            narrow = kit.array(logits)
    np.testing.assert_allclose(narrow, kit.array(logits), atol=1e-6)
