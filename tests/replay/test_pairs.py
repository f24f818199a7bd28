"""Every selector as sampler and as remover, against items kept in a list."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_service import SIGNATURE, Feeder, one, sample

from t2t.replay.selectors import SELECTORS
from t2t.replay.service import Service, StoreConfig
from t2t.replay.table import Table, TableConfig

SIZE = 6
Item = tuple[int, int, float]  # inserted as the how many-th, last set, priority
NEXT: dict[str, Any] = {
    "fifo": lambda item: item[0],
    "lifo": lambda item: -item[0],
    "min_heap": lambda item: (item[2], item[1]),
    "max_heap": lambda item: (-item[2], item[1]),
}


def _expected(name: str, items: dict[int, Item]) -> set[int]:
    """Which the selector may name next."""
    if name in NEXT:
        return {min(items, key=lambda key: NEXT[name](items[key]))}
    if name == "prioritized" and any(item[2] for item in items.values()):
        return {key for key, item in items.items() if item[2] > 0}
    return set(items)


def _keys(table: Table) -> set[int]:
    return set(table.keys[table.occupied()].tolist())


@pytest.mark.parametrize("remover", SELECTORS)
@pytest.mark.parametrize("sampler", SELECTORS)
def test_a_pair(sampler: str, remover: str) -> None:
    rng = np.random.default_rng([*sampler.encode(), *remover.encode()])
    config = TableConfig("t", 1, SIZE, sampler=sampler, remover=remover, exponent=0.6)
    service = Service([StoreConfig((config,), SIGNATURE, chunk_steps=3)])
    feeder, table, items = Feeder(service, 0), service.table("t"), {}
    for turn in range(0, 240, 2):
        priority = float(rng.integers(0, 4))
        feeder.chunk(1)
        feeder.items(one("t", feeder.stream.steps, 1, priority))
        alive = _keys(table)
        (new,) = {int(k) for k in table.keys[table.occupied()[-1:]]} - set(items) or {0}
        items[new or -1] = (turn, turn, priority)
        gone = set(items) - alive
        if len(items) > SIZE:  # the newest is there before the remover chooses
            assert len(gone) == 1 and gone <= _expected(remover, items)
        for key in gone:
            del items[key]
        found = sample(service, "t", 3)
        assert set(found.keys.tolist()) <= _expected(sampler, items)
        if rng.random() < 0.3:
            key, priority = int(rng.choice(list(items))), float(rng.integers(0, 4))
            keys = np.array([key], np.uint64)
            assert service.update("t", keys, np.array([priority])) == 1
            items[key] = (items[key][0], turn + 1, priority)
        if rng.random() < 0.1:
            key = int(rng.choice(list(items)))
            assert service.delete("t", np.array([key], np.uint64)) == 1
            del items[key]
        assert _keys(table) == set(items)
