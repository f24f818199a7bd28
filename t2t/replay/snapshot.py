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
    from t2t.replay.selectors import Copy
    from t2t.replay.table import Table

# What is known of each item, an array over places; see `Table`.
ITEM = ("keys", "rows", "lengths", "priorities", "times_sampled", "inserted_as")
ROLES = ("sampler", "remover")

State = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays by name, JSON values


class Room:
    """Memory to copy into that has been written to before: a first write into a page
    costs twenty times a later one. Made on the thread that nobody waits for.

    Args:
      size: bytes; what does not fit is copied into memory of its own.
    """

    def __init__(self, size: int) -> None:
        self._memory, self._used = np.empty(size, np.uint8), 0
        np.copyto(self._memory, 0)  # not `fill`: this lets other threads run

    def copy(self, array: np.ndarray) -> np.ndarray:
        """A copy of the array in this memory."""
        start = -(-self._used // 64) * 64
        stop = start + array.nbytes
        if stop > len(self._memory) or not array.nbytes:
            return array.copy()
        self._used = stop
        copied = self._memory[start:stop].view(array.dtype).reshape(array.shape)
        np.copyto(copied, array)
        return copied


def room_of(table: Table) -> int:
    """Bytes for a `Room` in which the table's copies fit."""
    window = table.config.window
    # Arrays of `ITEM`, ages, leases and free places; two selectors, of which the
    # largest, a tree, copies its places and leaves, up to a power of two.
    return table.capacity * 8 * (len(ITEM) + 2 + window + 2 * 3) + (1 << 12)


def take(table: Table, copy: Copy = np.copy) -> Callable[[], State]:
    """Copies what a table knows; the result makes the state for `restore` of it."""
    known = {name: copy(getattr(table, name)) for name in ITEM}
    # As ages: the clock of another process began at another time.
    ages = copy(table.born)
    np.subtract(table.clock(), ages, out=ages)
    arrays = {"free": copy(table.free_places), "lease": copy(table.leases)}
    selectors = {role: getattr(table, role).snapshot(copy) for role in ROLES}
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
