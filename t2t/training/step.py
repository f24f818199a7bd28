"""The one training step, for every model and every number of devices.

For each group of variables that a model's losses name (most have one, 'all'):
gradients of the loss *sum* under XLA, summed over micro-batches and replicas,
divided by the *global* weight, clipped by their global norm, applied by the
group's optimizer; then followers (a moving average, a target network) move. One
device, two replicas and four micro-batches therefore agree to rounding.

The surprise: never `model.fit`. Under MirroredStrategy it breaks with XLA and
with accumulation, and Keras clips each replica before the gradients are summed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import gin
import keras
import numpy as np
import tensorflow as tf

from t2t import registry
from t2t.layers.seeds import mix, random_seed, uint32
from t2t.sources import Batch
from t2t.training.devices import split_rows

STATISTIC = "statistic/"  # before the name of a batch's mean that a variable follows


@dataclasses.dataclass(frozen=True)
class Follower:
    """A variable that moves by `tau` towards its source after `every` so many steps.

    A source that is a name stands for the batch's mean of inner['statistics'][name];
    of the first 1 / tau steps its follower holds the plain average.
    """

    target: keras.Variable
    source: keras.Variable | str
    tau: float
    every: int = 1


@registry.configurable("step")
@dataclasses.dataclass(frozen=True)
class StepOptions:
    """Knobs of the step.

    accumulate: micro-batches a step, each a share of the rows.
    clip_norm: largest global norm of a group's gradients; 0 for no clipping.
    ema_decay: of the moving average of the weights, used for evaluation and
      decoding; 0 for none.
    """

    accumulate: int = 1
    clip_norm: float = 0.0
    ema_decay: float = 0.0


class Step:
    """Callable: a host batch in, {'loss', 'gradient_norm', …} out.

    Args:
      model: built; gives `losses(batch, training=…)`.
      make_optimizer: called once a group, in gin's scope of its name, so that
        `policy/optimizer.learning_rate` binds that of the group 'policy' alone.
      options: see `StepOptions`.
      strategy: the model was built under its scope.
      jit: XLA; None for the model's own choice (`JIT`).
      seed: of the run; each step, replica and micro-batch draws its own from it.
    """

    def __init__(
        self,
        model: Any,
        make_optimizer: Callable[[], keras.optimizers.Optimizer],
        *,
        options: StepOptions | None = None,
        strategy: tf.distribute.Strategy | None = None,
        jit: bool | None = None,
        seed: int = 0,
    ) -> None:
        self.model, self.seed = model, seed
        self.options = options or StepOptions()
        self.strategy = strategy or tf.distribute.get_strategy()
        self.jit = getattr(model, "JIT", True) if jit is None else jit
        self.groups = _groups(model)
        self.periods: dict[str, int] = getattr(model, "PERIODS", {})
        self.starts: dict[str, int] = getattr(model, "starts", {})
        self.optimizers: dict[str, keras.optimizers.Optimizer] = {}
        self.ema: list[keras.Variable] = []
        followers = getattr(model, "followers", list)
        self.followers = [Follower(*follower) for follower in followers()]
        for follower in self.followers:
            if not isinstance(follower.source, str):
                follower.target.assign(follower.source)
        with self.strategy.scope():
            for group, variables in self.groups.items():
                with gin.config_scope(group):
                    self.optimizers[group] = make_optimizer()
                self.optimizers[group].build(variables)
            if self.options.ema_decay:
                self._make_ema()
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

    @property
    def multiple_of(self) -> int:
        """The number of rows in a batch must be a multiple of this."""
        return self.strategy.num_replicas_in_sync * self.options.accumulate

    def __call__(self, step: int, batch: Batch) -> dict[str, tf.Tensor]:
        """Does training step number `step` (from 0) on a host batch.

        Returns scalars: 'loss/GROUP', 'gradient_norm/GROUP', 'finite' (bool), what
        the model names in inner['metrics']; and inner['priority'] [B] if it is there.
        Gradients that are not finite count as zero: the weights stay finite, so that
        the loop can tell where it began. It stops there and saves nothing of it.
        """
        seed = tf.constant(self.seed_of(step), tf.int32)
        number = tf.constant(step, tf.int32)
        return self._run(split_rows(self.strategy, batch), seed, number)

    def seed_of(self, step: int) -> int:
        """Of all that is random in a step, dropout above all."""
        seed = np.random.SeedSequence([self.seed, step]).generate_state(1)[0]
        return int(seed) & 0x7FFFFFFF

    def variables(self) -> dict[str, keras.Variable]:
        """Everything that a checkpoint must hold, by a name that lasts."""
        named = {f"model/{v.path}": v for v in self.model.variables}
        for group, optimizer in self.optimizers.items():
            for i, variable in enumerate(optimizer.variables):
                # The optimizer's own name counts up within a process: leave it out.
                name = variable.path.split("/", 1)[-1]
                named[f"optimizer/{group}/{i:04d}/{name}"] = variable
        for source, average in zip(self.model.variables, self.ema, strict=False):
            named[f"ema/{source.path}"] = average
        expected = len(self.model.variables) + len(self.ema)
        expected += sum(len(o.variables) for o in self.optimizers.values())
        if len(named) != expected:
            raise ValueError(
                f"{expected} variables have only {len(named)} different names: "
                "give every layer a name of its own"
            )
        return named

    def learning_rate(self) -> float:
        """Of the next step, of the first group."""
        return float(next(iter(self.optimizers.values())).learning_rate)

    # -- inside the graph -------------------------------------------------------------

    def _sum_gradients(self, batch: dict[str, Any], seed: Any) -> tuple[Any, Any, Any]:
        """({group: gradients of the loss sum}, {name: (sum, weight)}, priority).

        Among the sums are the losses, the metrics and the statistics."""
        with tf.GradientTape(persistent=True) as tape, random_seed(seed):
            losses, inner = self.model.losses(batch, training=True)
            totals = {group: losses[group][0] for group in self.groups}
        gradients = {}
        for group, variables in self.groups.items():
            found = tape.gradient(
                totals[group],
                [v.value for v in variables],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            gradients[group] = [tf.convert_to_tensor(g) for g in found]
        sums = dict(inner.get("metrics", {}))
        sums.update({f"loss/{group}": losses[group] for group in self.groups})
        statistics = inner.get("statistics", {})
        sums.update({f"{STATISTIC}{name}": s for name, s in statistics.items()})
        priority = {n: inner[n] for n in ("priority",) if n in inner}
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
        metrics: dict[str, Any] = {"finite": tf.constant(True), **priority}
        for name, (total, weight) in sums.items():
            metrics[name] = total / tf.maximum(weight, 1e-6)
        for group in self.groups:
            loss = metrics[f"loss/{group}"]
            weight = tf.maximum(sums[f"loss/{group}"][1], 1e-6)
            scaled = [g / tf.cast(weight, g.dtype) for g in gradients[group]]
            norm = tf.linalg.global_norm(scaled)
            finite = tf.math.is_finite(norm) & tf.math.is_finite(loss)
            if self.options.clip_norm:
                factor = self.options.clip_norm / tf.maximum(
                    norm, self.options.clip_norm
                )
                scaled = [g * tf.cast(factor, g.dtype) for g in scaled]
            # Keras sums over replicas once more.
            scaled = [tf.where(finite, g / replicas, 0) for g in scaled]
            self._apply(group, scaled, number)
            metrics[f"gradient_norm/{group}"] = norm
            metrics["finite"] &= finite
        for follower in self.followers:
            self._follow(follower, metrics, number)
        return {n: v for n, v in metrics.items() if not n.startswith(STATISTIC)}

    def _follow(self, follower: Follower, metrics: dict[str, Any], number: Any) -> None:
        tau = follower.tau
        if isinstance(follower.source, str):
            source = metrics[f"{STATISTIC}{follower.source}"]
            tau = tf.maximum(tau, 1.0 / tf.cast(number + 1, tf.float32))
            tau = tf.where(metrics["finite"], tau, 0.0)
            source = tf.where(metrics["finite"], source, 0.0)
        else:
            source = tf.cast(follower.source, follower.target.dtype)
        tau = tf.where((number + 1) % follower.every == 0, tau, 0.0)
        distance = source - follower.target.value
        move = tf.cast(tau, distance.dtype) * distance
        follower.target.assign(follower.target + move)

    def _apply(self, group: str, gradients: list[Any], number: Any) -> None:
        """Moves a group's variables, if it is its turn."""
        optimizer, variables = self.optimizers[group], self.groups[group]
        period, start = self.periods.get(group, 1), self.starts.get(group, 0)
        if period == 1 and start == 0:
            optimizer.apply(gradients, variables)
            return

        def apply() -> Any:
            optimizer.apply(gradients, variables)
            return tf.constant(0)

        turn = (number >= start) & ((number + 1) % period == 0)
        tf.cond(turn, apply, lambda: tf.constant(0))

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

    def _make_ema(self) -> None:
        for source in self.model.variables:
            target = keras.Variable(
                keras.ops.copy(source.value),
                trainable=False,
                name=f"ema_{source.path.replace('/', '_')}",
            )
            self.ema.append(target)
            self.followers.append(Follower(target, source, 1 - self.options.ema_decay))


def _groups(model: Any) -> dict[str, list[keras.Variable]]:
    groups = getattr(model, "groups", None)
    return groups() if groups else {"all": model.trainable_variables}


def _rows(value: Any, part: int, parts: int) -> Any:
    size = value.shape[0] // parts
    return value[part * size : (part + 1) * size]


def averaged_weights(step: Step) -> Sequence[keras.Variable]:
    """The variables that stand for the model in evaluation, in the model's order."""
    return step.ema or step.model.variables
