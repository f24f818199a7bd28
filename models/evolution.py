"""Evolution strategies (Salimans et al., arXiv:1703.03864; MLGO, arXiv:2101.04808).

A gradient estimator and nothing else: each episode is acted with the policy's weights
moved by σ ε, and θ · Σ -F ε / (n σ) has as its gradient in θ what the strategy ascends.
The step clips and applies it like any other. ε is not stored: its seed is recorded with
the rows and makes it again.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from t2t import registry
from t2t.features import Feature
from t2t.layers import seeds
from t2t.losses import Sum, weighted_sum
from t2t.models.ppo import PPO, flat


@registry.model("evolution")
class Evolution(PPO):
    """PPO's policy, its weights moved at random an episode at a time.

    Args:
      features: as PPO's.
      sigma: σ, standard deviation of the moves.
      moved_layers: the last so many layers are moved, 0 for all: the fewer weights, the
        fewer episodes tell which way is up.
      **options: of PPO's networks.
    """

    FEATURES = {"observation": "real", "action": "label"}

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        sigma: float = 0.05,
        moved_layers: int = 0,
        hidden_size: int = 64,
        num_layers: int = 2,
        hidden: tuple[int, ...] = (),
        activation: str = "tanh",
        standardise: bool = False,
        ranks: bool = False,
    ) -> None:
        super().__init__(
            features,
            hidden_size=hidden_size,
            num_layers=num_layers,
            hidden=hidden,
            activation=activation,
            standardise=standardise,
            ranks=ranks,
            name="ppo",  # whose weights it begins from
        )
        self.sigma, self.moved_layers = sigma, moved_layers

    def start(self, count: int) -> Any:
        """Seeds int32 [N] of the episodes' moves; -1 for one still to be drawn."""
        return -ops.ones((count,), "int32")

    def act(
        self, observation: dict[str, Any], state: Any, *, seed: Any, explore: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The best actions of each row's own moved weights."""
        seen = self.encoder(observation["observation"])
        count = ops.shape(seen)[0]
        fresh = seeds.random_bits((count,), seeds.salted(seed, "member"))
        fresh = ops.cast(ops.right_shift(fresh, seeds.uint32(1)), "int32")
        member = ops.where(state < 0, fresh, state)
        scale = ops.where(explore > 0, self.sigma, 0.0)
        x = seen[:, None, :]
        last = len(self.policy.kernels) - 1
        for i, (kernel, bias, moves) in enumerate(self._moved(member)):
            x = ops.matmul(x, kernel + scale * moves[0]) + bias + scale * moves[1]
            x = x if i == last else self.policy.activation(x)
        action = ops.cast(ops.argmax(x[:, 0], axis=-1), "int32")
        return action, member, {"member": member}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all'}, inner values): of each episode in the batch its last step."""
        ended = flat(batch["taken"]) * (1.0 - flat(batch["going"]))
        fitness = _normalised(flat(batch["reward"]), ended)
        weights = -fitness * ended / self.sigma
        count = ops.sum(ended)
        total = 0.0
        for kernel, bias, moves in self._moved(flat(batch["member"])):
            for variable, move in ((kernel, moves[0]), (bias, moves[1])):
                if isinstance(move, float):  # this layer stays
                    continue
                axes = (-1,) + (1,) * (len(move.shape) - 1)
                along = ops.sum(ops.reshape(weights, axes) * move, axis=0)
                total += ops.sum(variable * ops.stop_gradient(along))
        inner = {
            "metrics": {"fitness": weighted_sum(flat(batch["reward"]), ended)},
            "statistics": self.encoder.standard.sums(
                flat(batch["observation"]), flat(batch["taken"])
            ),
        }
        return {"all": (total, ops.maximum(count, 1.0))}, inner

    def _moved(self, member: Any) -> Any:
        """(kernel, bias, (ε of the kernel [N, …], ε of the bias [N, 1, …])) of each."""
        pairs = zip(self.policy.kernels, self.policy.biases, strict=True)
        first = len(self.policy.kernels) - self.moved_layers if self.moved_layers else 0
        for i, (kernel, bias) in enumerate(pairs):
            if i < first:
                yield kernel, bias, (0.0, 0.0)
                continue
            drawn = [
                seeds.normal((math.prod(v.shape),), seeds.salted(member, f"{name}{i}"))
                for name, v in (("kernel", kernel), ("bias", bias))
            ]
            moves = (
                ops.reshape(drawn[0], (-1, *kernel.shape)),
                ops.reshape(drawn[1], (-1, 1, *bias.shape)),
            )
            yield kernel, bias, moves


def _normalised(fitness: Any, weights: Any) -> Any:
    """To mean 0 and variance 1 over the rows that count."""
    total = ops.maximum(ops.sum(weights), 1.0)
    centred = fitness - ops.sum(fitness * weights) / total
    variance = ops.sum(ops.square(centred) * weights) / total
    return centred / (ops.sqrt(variance) + 1e-6)
