"""The step on TensorFlow: a tape under XLA, replicas by `tf.distribute`."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from t2t.layers.seeds import mix, uint32
from t2t.sources import Batch
from t2t.training.step import Step
from t2t.training.tensorflow_devices import split_rows


class TensorFlowStep(Step):
    """See `Step`; `strategy` is a `tf.distribute.Strategy`."""

    strategy: tf.distribute.Strategy

    def _one_device(self) -> tf.distribute.Strategy:
        return tf.distribute.get_strategy()

    def _compile(self) -> None:
        replicas = self.strategy.num_replicas_in_sync
        # On one device XLA takes the update in too; elsewhere the sums lie between.
        whole = self.jit and replicas == 1 and self.options.accumulate == 1
        self._gradients = tf.function(
            self._sum_gradients, jit_compile=self.jit, autograph=False
        )
        self._run = tf.function(
            self._replica_step if replicas == 1 else self._distributed_step,
            jit_compile=whole,
            autograph=False,
        )

    def _call(self, batch: Batch, seed: np.int32, number: np.int32) -> dict[str, Any]:
        rows = split_rows(self.strategy, batch)
        return self._run(rows, tf.constant(seed), tf.constant(number))

    def _apply_if(self, turn: Any, group: str, gradients: list[Any]) -> None:
        def apply() -> Any:
            self.optimizers[group].apply(gradients, self.groups[group])
            return tf.constant(0)

        tf.cond(turn, apply, lambda: tf.constant(0))

    # -- inside the graph -------------------------------------------------------------

    def _sum_gradients(self, batch: dict[str, Any], seed: Any) -> tuple[Any, Any, Any]:
        """({group: gradients of the loss sum}, sums, priority), as `_losses` has it."""
        with tf.GradientTape(persistent=True) as tape:
            totals, sums, priority = self._losses(batch, seed)
        gradients = {}
        for group, variables in self.groups.items():
            found = tape.gradient(
                totals[group],
                [v.value for v in variables],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            gradients[group] = [tf.convert_to_tensor(g) for g in found]
        return gradients, sums, priority

    def _replica_gradients(self, batch: dict[str, Any], seed: Any) -> Any:
        """The same of this replica's rows, over the micro-batches."""
        parts = self.options.accumulate
        if parts == 1:
            return self._gradients(batch, seed)
        total: Any = None
        priorities: list[Any] = []
        for part in range(parts):
            rows = {name: _rows(value, part, parts) for name, value in batch.items()}
            part_seed = tf.cast(mix(tf.cast(seed, tf.uint32) + uint32(part)), tf.int32)
            *found, priority = self._gradients(rows, part_seed)
            priorities.append(priority)
            total = (
                found if total is None else tf.nest.map_structure(tf.add, total, found)
            )
        joined = tf.nest.map_structure(lambda *p: tf.concat(p, 0), *priorities)
        return *total, joined

    def _replica_step(
        self, batch: dict[str, Any], seed: Any, number: Any
    ) -> dict[str, Any]:
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        if replicas > 1:
            replica = tf.cast(context.replica_id_in_sync_group, tf.uint32)
            seed = mix(tf.cast(seed, tf.uint32) ^ (replica * uint32(0x9E3779B9)))
            seed = tf.cast(seed, tf.int32)
        gradients, sums, priority = self._replica_gradients(batch, seed)
        if replicas > 1:
            gradients, sums = context.all_reduce("sum", (gradients, sums))
        return {**self._update(gradients, sums, number, replicas=replicas), **priority}

    def _distributed_step(
        self, batch: dict[str, Any], seed: Any, number: Any
    ) -> dict[str, Any]:
        results = self.strategy.run(self._replica_step, args=(batch, seed, number))
        found = {
            name: self.strategy.experimental_local_results(value)
            for name, value in results.items()
        }
        return {
            name: tf.concat(values, 0) if name == "priority" else values[0]
            for name, values in found.items()
        }


def _rows(value: Any, part: int, parts: int) -> Any:
    size = value.shape[0] // parts
    return value[part * size : (part + 1) * size]
