"""Tables from gin, for `t2t-replay serve`.

store.tables = [@replay/table(), @recent/table()]
store.chunk_steps = 32
replay/table.name = 'replay'
replay/table.window = 5
replay/table.sampler = 'prioritized'
replay/table.limits = @ratio()
ratio.samples_per_insert = 8.0
ratio.min_size = 1000
ratio.error_buffer = 100.0
recent/table.name = 'recent'

Of what the steps consist is the first writer's to say, or the file's:

store.signature = {'observation': ([84, 84], 'uint8'), 'reward': ([], 'float32')}
store.packing = {'observation': 'auto'}
replay/table.columns = {'now': @now/slice()}     # other steps of each column
now/slice.column = 'observation'
now/slice.stop = 4

Hooks are functions that a module of yours registers with gin: `import my_hooks`,
then `replay/table.hooks = (@my_hooks.count,)`.
"""

from __future__ import annotations

import importlib.util  # noqa: F401  gin 0.5.0 uses it without importing it
from pathlib import Path

import gin

from t2t.replay import limiter
from t2t.replay.columns import from_plain
from t2t.replay.service import StoreConfig
from t2t.replay.table import Slice, TableConfig


def stores(path: str) -> list[StoreConfig]:
    """The stores that a gin file describes: one, or those of `server.stores`.

    Raises:
      ValueError: in a line, for a file that is no such description.
    """
    if not Path(path).is_file():
        raise ValueError(f"--config: there is no file {path!r}")
    made = {
        "store": gin.external_configurable(_store, "store"),
        "server": gin.external_configurable(_server, "server"),
    }
    for name, part in {
        "table": TableConfig,
        "slice": Slice,
        "min_size": limiter.min_size,
        "ratio": limiter.ratio,
        "queue": limiter.queue,
        "stack": limiter.stack,
    }.items():
        gin.external_configurable(part, name)
    text = Path(path).read_text(encoding="utf-8")
    try:
        gin.parse_config(text)
        return made["server"]() if "server.stores" in text else [made["store"]()]
    except (TypeError, SyntaxError, RuntimeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{path}: {reason}") from None


def _store(
    tables: list[TableConfig] | None = None,
    chunk_steps: int = 32,
    max_steps: int = 0,
    writers: int = 64,
    folder: str | None = None,
    packing: dict[str, str] | None = None,
    signature: dict[str, tuple[list[int], str]] | None = None,
) -> StoreConfig:
    if not tables:
        raise ValueError("store.tables names no table")
    return StoreConfig(
        tuple(tables),
        signature=None if signature is None else from_plain(signature),
        chunk_steps=chunk_steps,
        max_steps=max_steps,
        writers=writers,
        folder=Path(folder) if folder else None,
        packing=packing,
    )


def _server(stores: list[StoreConfig]) -> list[StoreConfig]:
    return list(stores)
