"""The step on JAX: a pure function under `jit`, rows spread over a mesh.

All that a checkpoint holds goes in and comes out; XLA reuses its memory. Rows lie
on the devices of the mesh and every device has all weights, so that each sum over the
batch is one over the devices too, and the compiler puts the all-reduces in. Therefore
the numbers that dropout draws do not depend on how many devices there are.
"""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np
from keras import ops

from t2t.layers.seeds import mix
from t2t.sources import Batch
from t2t.training.jax_devices import Mesh, make_strategy
from t2t.training.step import Step

Values = list[Any]  # of variables, in the order of `variables()`


class JaxStep(Step):
    """See `Step`; `strategy` is a `Mesh`."""

    strategy: Mesh

    def _one_device(self) -> Mesh:
        return make_strategy("none")

    def _compile(self) -> None:
        self._state = list(self.variables().values())
        for variable in self._state:
            # Copies: what is given away must not be another variable's too.
            value = np.array(variable)
            variable.assign(jax.device_put(value, self.strategy.replicated))
        self._run = self._whole
        if self.jit:
            self._run = jax.jit(
                self._whole,
                donate_argnums=0,
                in_shardings=(self.strategy.replicated, self.strategy.rows, None, None),
                out_shardings=(self.strategy.replicated, None),
            )

    def _call(self, batch: Batch, seed: np.int32, number: np.int32) -> dict[str, Any]:
        parts = self.options.accumulate
        rows = {
            name: np.reshape(value, (parts, len(value) // parts, *value.shape[1:]))
            for name, value in batch.items()
        }
        values = [variable.value for variable in self._state]
        values, metrics = self._run(values, rows, seed, number)
        for variable, value in zip(self._state, values, strict=True):
            variable.assign(value)
        return metrics

    def _apply_if(self, turn: Any, group: str, gradients: list[Any]) -> None:
        # A branch may not change what lies outside of it: both ways are computed.
        optimizer, variables = self.optimizers[group], self.groups[group]
        moved = [*variables, *optimizer.variables]
        before = [variable.value for variable in moved]
        optimizer.apply(gradients, variables)
        for variable, value in zip(moved, before, strict=True):
            variable.assign(ops.where(turn, variable.value, value))

    # -- pure functions ---------------------------------------------------------------

    def _whole(
        self, values: Values, batch: dict[str, Any], seed: Any, number: Any
    ) -> tuple[Values, dict[str, Any]]:
        """The step: values of all variables [N] and micro-batches [parts, rows, …]."""
        gradients, sums, priority = self._sum_gradients(values, batch, seed)
        mapping = list(zip(self._state, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            metrics = self._update(gradients, sums, number)
        moved = [scope.get_current_value(variable) for variable in self._state]
        return moved, {**metrics, **priority}

    def _sum_gradients(self, values: Values, batch: dict[str, Any], seed: Any) -> Any:
        """({group: gradients of the loss sum}, sums, priority) of all micro-batches."""
        parts = self.options.accumulate
        if parts == 1:
            rows = {name: value[0] for name, value in batch.items()}
            return self._gradients(values, rows, seed)

        def part(total: Any, given: Any) -> Any:
            number, rows = given
            part_seed = mix(ops.cast(seed, "uint32") + ops.cast(number, "uint32"))
            *found, priority = self._gradients(
                values, rows, ops.cast(part_seed, "int32")
            )
            return jax.tree.map(ops.add, total, found), priority

        first = {name: value[0] for name, value in batch.items()}
        *shapes, _ = jax.eval_shape(self._gradients, values, first, seed)
        zeros = jax.tree.map(lambda like: ops.zeros(like.shape, like.dtype), shapes)
        (gradients, sums), priorities = jax.lax.scan(
            part, zeros, (np.arange(parts, dtype=np.int32), batch)
        )
        joined = {n: ops.reshape(v, (-1, *v.shape[2:])) for n, v in priorities.items()}
        return gradients, sums, joined

    def _gradients(self, values: Values, batch: dict[str, Any], seed: Any) -> Any:
        """The same of some rows. Each group's loss is differentiated by itself; what
        they have in common XLA computes once."""

        def loss(own: Values, group: str) -> Any:
            mapping = {id(v): (v, x) for v, x in zip(self._state, values, strict=True)}
            learned = zip(self.groups[group], own, strict=True)
            mapping.update({id(v): (v, x) for v, x in learned})
            with keras.StatelessScope(state_mapping=list(mapping.values())):
                totals, *others = self._losses(batch, seed)
            return totals[group], others

        index = {id(v): i for i, v in enumerate(self._state)}
        gradients, others = {}, None
        for group, variables in self.groups.items():
            own = [values[index[id(v)]] for v in variables]
            gradients[group], others = jax.grad(loss, has_aux=True)(own, group)
        assert others is not None
        return gradients, *jax.tree.map(ops.convert_to_tensor, others)
