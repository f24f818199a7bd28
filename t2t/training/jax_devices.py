"""Where a run computes on JAX: meshes by the names of strategies, number formats."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from t2t import knobs
from t2t.sources import Batch


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Devices in a row: rows of batches are spread over them, weights are on each."""

    devices: jax.sharding.Mesh

    @property
    def num_replicas_in_sync(self) -> int:
        return self.devices.size

    @property
    def replicated(self) -> NamedSharding:
        return NamedSharding(self.devices, PartitionSpec())

    @property
    def rows(self) -> NamedSharding:
        """Of arrays [micro-batch, row, …]."""
        return NamedSharding(self.devices, PartitionSpec(None, "rows"))

    def scope(self) -> contextlib.AbstractContextManager[None]:
        """As `tf.distribute` has it; here nothing has to be made within."""
        return contextlib.nullcontext()


def make_strategy(name: str = "auto") -> Mesh:
    """'none' is one device; 'auto' all accelerators; 'mirrored' and 'tpu' all devices.

    Raises:
      ValueError: for an unknown name, and for 'multiworker'.
    """
    knobs.check_choice("experiment.strategy", name)
    if name == "multiworker":
        raise ValueError(
            "strategy=multiworker is tf.distribute's: unset KERAS_BACKEND for it"
        )
    devices = jax.devices()
    if name == "none" or (name == "auto" and devices[0].platform == "cpu"):
        devices = devices[:1]
    return Mesh(jax.sharding.Mesh(np.array(devices), ("rows",)))


def worker_number(strategy: Mesh) -> int:
    """Which of several workers this process is; 0 is the chief, and the only one."""
    return jax.process_index()


def default_dtype() -> str:
    """bfloat16 with float32 weights on accelerators, else float32."""
    return "float32" if jax.default_backend() == "cpu" else "mixed_bfloat16"


def on_accelerator() -> bool:
    return jax.default_backend() != "cpu"


def compiled(
    function: Callable[[Batch], Any], variables: Sequence[keras.Variable], *, jit: bool
) -> Callable[[Batch], Any]:
    """`function` of a host batch, that reads `variables` as they are when it is
    called."""

    def pure(values: list[Any], batch: Batch) -> Any:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(batch)

    run = jax.jit(pure) if jit else pure
    return lambda batch: run([v.value for v in variables], batch)


def gradients(
    function: Callable[[], Any], variables: Sequence[keras.Variable]
) -> list[Any]:
    """Of a scalar by each variable, computed at once."""

    def total(values: list[Any]) -> Any:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function()

    return jax.grad(total)([v.value for v in variables])


def outputs(function: Callable[[Batch], Any], batch: Batch) -> int:
    """Bytes of the results of all of a function's operations on floats."""
    return _bytes(jax.make_jaxpr(function)(batch).jaxpr)


def _bytes(program: Any) -> int:
    total = 0
    for equation in program.eqns:
        within = [p.jaxpr for p in equation.params.values() if hasattr(p, "jaxpr")]
        if within:
            total += sum(map(_bytes, within))
            continue
        shapes = [v.aval for v in equation.outvars if hasattr(v.aval, "dtype")]
        total += sum(
            shape.size * shape.dtype.itemsize
            for shape in shapes
            if np.issubdtype(shape.dtype, np.floating)
        )
    return total
