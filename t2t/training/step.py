"""The one training step, for every model and every number of devices.

For each group of variables that a model's losses name (most have one, 'all'):
gradients of the loss *sum* under XLA, summed over micro-batches and replicas,
divided by the *global* weight, clipped by their global norm, applied by the
group's optimizer; then followers (a moving average, a target network) move. One
device, two replicas and four micro-batches therefore agree to rounding.

How gradients are got, and spread over devices, is each framework's own:
`tensorflow_step` and `jax_step`. What is done with them stands here.

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
from keras import ops

from t2t import registry
from t2t.layers.seeds import random_seed
from t2t.sources import Batch

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
      strategy: the model was built under its scope; None for one device.
      jit: XLA; None for the model's own choice (`JIT`).
      seed: of the run; each step, replica and micro-batch draws its own from it.
    """

    def __init__(
        self,
        model: Any,
        make_optimizer: Callable[[], keras.optimizers.Optimizer],
        *,
        options: StepOptions | None = None,
        strategy: Any = None,
        jit: bool | None = None,
        seed: int = 0,
    ) -> None:
        self.model, self.seed = model, seed
        self.options = options or StepOptions()
        self.strategy = strategy or self._one_device()
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
        self._compile()

    @property
    def multiple_of(self) -> int:
        """The number of rows in a batch must be a multiple of this."""
        return self.strategy.num_replicas_in_sync * self.options.accumulate

    def __call__(self, step: int, batch: Batch) -> dict[str, Any]:
        """Does training step number `step` (from 0) on a host batch.

        Returns scalars: 'loss/GROUP', 'gradient_norm/GROUP', 'finite' (bool), what
        the model names in inner['metrics']; and inner['priority'] [B] if it is there.
        Gradients that are not finite count as zero: the weights stay finite, so that
        the loop can tell where it began. It stops there and saves nothing of it.
        """
        return self._call(batch, np.int32(self.seed_of(step)), np.int32(step))

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

    # -- of each framework ------------------------------------------------------------

    def _one_device(self) -> Any:
        raise NotImplementedError

    def _compile(self) -> None:
        raise NotImplementedError

    def _call(self, batch: Batch, seed: np.int32, number: np.int32) -> dict[str, Any]:
        raise NotImplementedError

    def _apply_if(self, turn: Any, group: str, gradients: list[Any]) -> None:
        """Moves a group's variables where the bool scalar `turn` holds."""
        raise NotImplementedError

    # -- inside of what is compiled ---------------------------------------------------

    def _losses(self, batch: dict[str, Any], seed: Any) -> tuple[Any, Any, Any]:
        """({group: loss sum}, {name: (sum, weight)}, priority).

        Among the sums are the losses, the metrics and the statistics."""
        with random_seed(seed):
            losses, inner = self.model.losses(batch, training=True)
        sums = dict(inner.get("metrics", {}))
        sums.update({f"loss/{group}": losses[group] for group in self.groups})
        statistics = inner.get("statistics", {})
        sums.update({f"{STATISTIC}{name}": s for name, s in statistics.items()})
        priority = {n: inner[n] for n in ("priority",) if n in inner}
        return {group: losses[group][0] for group in self.groups}, sums, priority

    def _update(
        self,
        gradients: dict[str, list[Any]],
        sums: dict[str, Any],
        number: Any,
        *,
        replicas: int = 1,
    ) -> dict[str, Any]:
        """Moves every variable by the whole batch's sums; what `__call__` returns.

        Args:
          replicas: that each do this, and whose gradients Keras will sum once more.
        """
        metrics: dict[str, Any] = {"finite": ops.convert_to_tensor(True)}
        for name, (total, weight) in sums.items():
            metrics[name] = total / ops.maximum(weight, 1e-6)
        for group in self.groups:
            loss = metrics[f"loss/{group}"]
            weight = ops.maximum(sums[f"loss/{group}"][1], 1e-6)
            scaled = [g / ops.cast(weight, g.dtype) for g in gradients[group]]
            norm = ops.sqrt(sum(ops.sum(ops.square(g)) for g in scaled))
            finite = ops.logical_and(ops.isfinite(norm), ops.isfinite(loss))
            if self.options.clip_norm:
                factor = self.options.clip_norm / ops.maximum(
                    norm, self.options.clip_norm
                )
                scaled = [g * ops.cast(factor, g.dtype) for g in scaled]
            scaled = [ops.where(finite, g / replicas, 0.0) for g in scaled]
            self._apply(group, scaled, number)
            metrics[f"gradient_norm/{group}"] = norm
            metrics["finite"] = ops.logical_and(metrics["finite"], finite)
        for follower in self.followers:
            self._follow(follower, metrics, number)
        return {n: v for n, v in metrics.items() if not n.startswith(STATISTIC)}

    def _apply(self, group: str, gradients: list[Any], number: Any) -> None:
        """Moves a group's variables, if it is its turn."""
        period, start = self.periods.get(group, 1), self.starts.get(group, 0)
        if period == 1 and start == 0:
            self.optimizers[group].apply(gradients, self.groups[group])
            return
        turn = ops.logical_and(number >= start, (number + 1) % period == 0)
        self._apply_if(turn, group, gradients)

    def _follow(self, follower: Follower, metrics: dict[str, Any], number: Any) -> None:
        tau = follower.tau
        if isinstance(follower.source, str):
            source = metrics[f"{STATISTIC}{follower.source}"]
            tau = ops.maximum(tau, 1.0 / ops.cast(number + 1, "float32"))
            tau = ops.where(metrics["finite"], tau, 0.0)
            source = ops.where(metrics["finite"], source, 0.0)
        else:
            source = ops.cast(follower.source, follower.target.dtype)
        tau = ops.where((number + 1) % follower.every == 0, tau, 0.0)
        distance = source - follower.target.value
        move = ops.cast(tau, distance.dtype) * distance
        follower.target.assign(follower.target + move)

    def _make_ema(self) -> None:
        for source in self.model.variables:
            target = keras.Variable(
                ops.copy(source.value),
                trainable=False,
                name=f"ema_{source.path.replace('/', '_')}",
            )
            self.ema.append(target)
            self.followers.append(Follower(target, source, 1 - self.options.ema_decay))


def _groups(model: Any) -> dict[str, list[keras.Variable]]:
    groups = getattr(model, "groups", None)
    return groups() if groups else {"all": model.trainable_variables}


def averaged_weights(step: Step) -> Sequence[keras.Variable]:
    """The variables that stand for the model in evaluation, in the model's order."""
    return step.ema or step.model.variables
