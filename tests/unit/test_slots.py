"""Rows that join and leave at any time are what the search finds for each alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import kit
import numpy as np
import pytest
import toy_decoding as toy
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from t2t.decode.batching import Batcher
from t2t.decode.decoder import prompt_batch
from t2t.decode.search import beam_search, sample
from t2t.decode.slots import Prompt, Shape, Slots
from t2t.features import EOS

LENGTH = 12


@cache
def _model() -> toy.TableModel:
    model = toy.TableModel(6, LENGTH, seed=3, sharpness=1.0)
    model.table[..., EOS] -= 1.0
    return model


@cache
def _slots(width: int, rows: int) -> Slots:
    """Compiled once; a ring that is no multiple of anything."""
    return Slots(_model(), Shape(width, 4, LENGTH + 1), rows=rows)


@cache
def _alone(model: Any, prompt: Prompt, width: int) -> list[tuple[list[int], float]]:
    batch = prompt_batch(model.PROMPT, [prompt.ids], rows=1, length=6)
    if prompt.sampling:
        kept = {
            n: getattr(prompt, n) for n in ("temperature", "keep_k", "keep_p", "min_p")
        }
        found = sample(
            model, batch, np.array([prompt.seed]), length=prompt.limit, **kept
        )
    else:
        found = beam_search(
            model, batch, width=width, length=prompt.limit, alpha=prompt.alpha,
            best=prompt.best,
        )  # fmt: skip
    tokens, scores = (kit.array(value)[0] for value in found)
    return [(tokens[w].tolist(), float(scores[w])) for w in range(prompt.best)]


def _check(found: Any, expected: Any) -> None:
    for (tokens, score), (right, chance) in zip(found, expected, strict=True):
        assert tokens[: len(right)] == right and not any(tokens[len(right) :])
        assert score == pytest.approx(chance, abs=1e-3)


SEARCHED = st.builds(
    Prompt,
    ids=st.tuples(st.integers(0, 2)),
    limit=st.sampled_from([1, 7, LENGTH]),
    alpha=st.sampled_from([0.0, 0.6]),
)
DRAWN = st.builds(
    Prompt,
    ids=st.tuples(st.integers(0, 2)),
    limit=st.sampled_from([1, 7, LENGTH]),
    sampling=st.just(True),
    seed=st.integers(0, 3),
    temperature=st.sampled_from([0.5, 1.0]),
    keep_k=st.sampled_from([0, 3]),
    keep_p=st.sampled_from([1.0, 0.7]),
    min_p=st.sampled_from([0.0, 0.1]),
)


@settings(max_examples=10, phases=[Phase.generate], deadline=None)
@given(
    width=st.sampled_from([1, 3]),
    rows=st.sampled_from([1, 3]),
    searched=st.lists(st.tuples(SEARCHED, st.integers(0, 3)), min_size=1, max_size=6),
    drawn=st.lists(st.tuples(DRAWN, st.integers(0, 3)), max_size=4),
    best=st.integers(1, 3),
)
def test_each_is_as_if_it_were_alone(
    width: int, rows: int, searched: Any, drawn: Any, best: int
) -> None:
    """Whoever comes before, beside and after it, at whatever time."""
    slots = _slots(width, rows)
    batcher = Batcher(slots)
    prompts = [
        (Prompt(**{**vars(p), "best": min(best, width)}), when) for p, when in searched
    ]
    prompts += drawn if width == 1 else []
    tickets = []
    for prompt, when in prompts:
        for _ in range(when):
            batcher.advance()
        tickets.append(batcher.submit(prompt))
    while not all(ticket.done for ticket in tickets):
        batcher.advance()
    assert slots.free == rows
    for ticket, (prompt, _) in zip(tickets, prompts, strict=True):
        _check(ticket.written.outputs, _alone(_model(), prompt, width))


CASES: list[Any] = [
    ("transformer", {"position": "relative"}, 2),
    ("transformer_lm", {"position": "relative_keys", "filter_width": 3}, 1),
    ("lstm_seq2seq", {}, 2),
    *(
        pytest.param(name, blocks, width, marks=pytest.mark.slow)
        for name in kit.models(method="decode_step")
        for blocks in ({}, {"position": "rotary", "window": 3})
        for width in (1, 2)
        if name != "lstm_seq2seq"
    ),
]


@pytest.mark.parametrize("name, blocks, width", CASES)
def test_the_ring_turns_for_every_model(
    name: str, blocks: dict[str, Any], width: int
) -> None:
    """Long enough for each place of the ring to be written again."""
    model = kit.make(name, blocks={"max_length": 32, **blocks}, shallow=True)
    kit.randomise(model)
    slots = Slots(model, Shape(width, 6, 8), rows=2)
    batcher = Batcher(slots)
    rng = np.random.default_rng(0)
    prompts = [
        Prompt(
            tuple(rng.integers(2, 12, 1 + i).tolist()), 8 - i % 3, alpha=0.6, best=width
        )
        for i in range(4)
    ]
    tickets = [batcher.submit(prompt) for prompt in prompts]
    while not all(ticket.done for ticket in tickets):
        batcher.advance()
    for ticket, prompt in zip(tickets, prompts, strict=True):
        _check(ticket.written.outputs, _alone(model, prompt, width))


def test_what_is_left_makes_room() -> None:
    slots = _slots(1, 3)
    handles = [slots.join(Prompt((1,), LENGTH)) for _ in range(3)]
    with pytest.raises(ValueError, match="0 rows"):
        slots.join(Prompt((1,), LENGTH))
    slots.leave(handles[1])
    assert slots.free == 1
    for handle in (handles[0], handles[2]):
        slots.leave(handle)
    with pytest.raises(ValueError, match="a limit of 99"):
        slots.join(Prompt((1,), 99))
    with pytest.raises(ValueError, match="no room for 5 ids"):
        slots.join(Prompt((1,) * 5, 3))
