"""A table at one moment, for checkpoints.

`take` is quick, as the table's thread waits for it: it copies arrays as they are,
sorts nothing and walks through nothing. What it returns puts them in order, on
any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from t2t.replay.table import Table

# What is known of each item, an array over places; see `Table`.
ITEM = ("keys", "rows", "lengths", "priorities", "times_sampled", "inserted_as")
ROLES = ("sampler", "remover")

State = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays by name, JSON values


def take(table: Table) -> Callable[[], State]:
    """Copies what a table knows; the result makes the state for `restore` of it."""
    known = {name: getattr(table, name).copy() for name in ITEM}
    # As ages: the clock of another process began at another time.
    ages = table.clock() - table.born
    arrays = {"free": table.free_places.copy(), "lease": table.leases.copy()}
    selectors = {role: getattr(table, role).snapshot() for role in ROLES}
    plain = _plain(table)

    def state() -> State:
        places = in_order(arrays["free"], known["inserted_as"])
        for role, selector in selectors.items():
            arrays.update({f"{role}/{n}": v for n, v in selector().items()})
        arrays["places"] = places
        arrays.update({name: values[places] for name, values in known.items()})
        arrays["seconds"] = np.maximum(ages[places], 0.0)
        return arrays, plain

    return state


def in_order(free: np.ndarray, inserted_as: np.ndarray) -> np.ndarray:
    """Places of all items, in the order of their insertion."""
    taken = np.ones(len(inserted_as), bool)
    taken[free] = False
    places = np.flatnonzero(taken)
    return places[np.argsort(inserted_as[places], kind="stable")]


def restore(table: Table, arrays: dict[str, np.ndarray], plain: dict[str, Any]) -> None:
    """Fills an empty table. Of the same size and selectors it goes on exactly; else
    the items come in order, the newest that there is room for.

    Raises:
      ValueError: when its windows are longer than this table's.
    """
    config = table.config
    if plain["window"] != config.window:
        raise ValueError(
            f"table {config.name} has windows of {config.window} steps, its "
            f"checkpoint of {plain['window']}"
        )
    table.rng.bit_generator.state = plain["rng"]
    same = plain["max_size"] == config.max_size
    if same and plain["selectors"] == [config.sampler, config.remover]:
        places = arrays["places"]
        _restore_exactly(table, arrays)
    else:
        kept = slice(max(0, len(arrays["rows"]) - config.max_size), None)
        arrays = {**arrays, "seconds": _seconds(arrays)[kept]}
        values = (arrays[name][kept] for name in ("rows", "lengths", "priorities"))
        places = table.insert_restored(*values)
    table.born[places] = table.clock() - _seconds(arrays)
    table.limiter.inserts, table.limiter.samples = plain["inserts"], plain["samples"]
    table.max_priority, table.evicted = plain["max_priority"], plain["evicted"]


def _restore_exactly(table: Table, arrays: dict[str, np.ndarray]) -> None:
    places = arrays["places"]
    for name in ITEM:
        getattr(table, name)[places] = arrays[name]
    table.free_places = arrays["free"]
    table.leases[:] = arrays["lease"]
    for role in ROLES:
        start = f"{role}/"
        own = {
            n.removeprefix(start): v for n, v in arrays.items() if n.startswith(start)
        }
        getattr(table, role).restore(own)
    table.store.retain(table.store.slots_of(arrays["rows"]))


def _seconds(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Ages of the items; checkpoints of earlier versions do not know them."""
    return arrays.get("seconds", np.zeros(len(arrays["rows"])))


def _plain(table: Table) -> dict[str, Any]:
    return {
        "max_size": table.config.max_size,
        "window": table.config.window,
        "selectors": [table.config.sampler, table.config.remover],
        "inserts": table.limiter.inserts,
        "samples": table.limiter.samples,
        "max_priority": table.max_priority,
        "evicted": table.evicted,
        "rng": table.rng.bit_generator.state,
    }
