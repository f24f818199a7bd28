"""Where a run computes: `tf.distribute` strategies by name, and number formats.

TPUs: TensorFlow 2.21 has no TPU wheel, so 'tpu' is the code path of
`tf.distribute.TPUStrategy` and has never been run on one; `jax_devices` is the road
to them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from t2t import knobs
from t2t.sources import Batch


def make_strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The strategy called `name`; 'auto' mirrors over GPUs when there are several.

    'mirrored' uses all GPUs, or without any all logical CPUs. 'multiworker' reads
    TF_CONFIG, 'tpu' the TPU's environment.

    Raises:
      ValueError: for an unknown name.
    """
    knobs.check_choice("experiment.strategy", name)
    if name == "multiworker":  # first of all: it must meet an unused TensorFlow
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "auto":
        name = "mirrored" if len(gpus) > 1 else "none"
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
        return _mirrored(tuple(device.name for device in devices))
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """One a process: the keys of a second one's collectives would clash with it."""
    return tf.distribute.MirroredStrategy(list(devices))


def worker_number(strategy: tf.distribute.Strategy) -> int:
    """Which of several workers this process is; 0 is the chief, and the only one."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type in (None, "chief"):
        return 0
    first = "chief" in resolver.cluster_spec().as_dict()
    return int(resolver.task_id or 0) + first


def default_dtype() -> str:
    """bfloat16 with float32 weights on accelerators; float32 on CPUs, where
    bfloat16 was measured to buy nothing."""
    return "mixed_bfloat16" if on_accelerator() else "float32"


def on_accelerator() -> bool:
    return bool(
        tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU")
    )


def compiled(
    function: Callable[[Batch], Any], variables: Sequence[keras.Variable], *, jit: bool
) -> Callable[[Batch], Any]:
    """`function` of a host batch, that reads `variables` as they are when it is
    called."""
    run = tf.function(function, jit_compile=jit, autograph=False)
    return lambda batch: run({n: tf.constant(value) for n, value in batch.items()})


def gradients(
    function: Callable[[], Any], variables: Sequence[keras.Variable]
) -> list[Any]:
    """Of a scalar by each variable, computed at once; None where it has no part."""
    with tf.GradientTape() as tape:
        total = function()
    found = tape.gradient(total, [v.value for v in variables])
    # Those of tables come as the rows that were looked up.
    return [None if g is None else tf.convert_to_tensor(g) for g in found]


def outputs(function: Callable[[Batch], Any], batch: Batch) -> int:
    """Bytes of the results of all of a function's operations on floats."""
    signature = {n: tf.TensorSpec(v.shape, v.dtype) for n, v in batch.items()}
    run = tf.function(function, autograph=False)
    return sum(
        tensor.dtype.size * int(np.prod(tensor.shape))
        for operation in run.get_concrete_function(signature).graph.get_operations()
        for tensor in operation.outputs
        if tensor.shape.is_fully_defined() and tensor.dtype.is_floating
    )


def split_rows(
    strategy: tf.distribute.Strategy, batch: dict[str, Any]
) -> dict[str, Any]:
    """Hands each replica its share of the rows of a host batch.

    One host iterator feeds all replicas, because a distributed iterator cannot be
    saved. Every worker reads the same batch and takes its own rows.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return {name: tf.constant(value) for name, value in batch.items()}

    def share(value: Any) -> Any:
        rows = len(value) // replicas

        def of_replica(context: Any) -> tf.Tensor:
            first = context.replica_id_in_sync_group * rows
            return tf.constant(value[first : first + rows])

        return strategy.experimental_distribute_values_from_function(of_replica)

    return {name: share(value) for name, value in batch.items()}
