"""Soft actor-critic with a learned temperature (Haarnoja et al., arXiv:1812.05905)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import registry, returns
from t2t.features import Feature
from t2t.layers import seeds
from t2t.layers.bounded import Bounds
from t2t.layers.standard import Standard
from t2t.layers.tower import Tower
from t2t.losses import Sum, weighted_sum


@registry.model("sac")
class SAC(keras.Model):
    """A stochastic policy, two values and a temperature, for bounded real actions.

    Args:
      features: of the problem; `observation` and `action` are real vectors.
      hidden_size, num_layers: of each tower.
      discount: γ.
      target_rate: share by which the target values move a step (τ).
      target_entropy: of the policy, in nats; None for minus the action's size.
      standardise: whether observations are brought to mean 0 and variance 1.
    """

    FEATURES = {"observation": "real", "action": "real"}
    JIT = True
    ITEMS = "transitions"

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 256,
        num_layers: int = 2,
        discount: float = 0.99,
        target_rate: float = 0.005,
        target_entropy: float | None = None,
        standardise: bool = False,
    ) -> None:
        super().__init__(name="sac")
        self.standard = Standard(features["observation"].shape[0], active=standardise)
        self.bounds = Bounds(features["action"])
        size = self.bounds.size
        self.discount, self.target_rate = discount, target_rate
        self.target_entropy = -size if target_entropy is None else target_entropy
        hidden = (hidden_size,) * num_layers
        self.policy = Tower((*hidden, 2 * size), last_scale=0.1, name="policy")
        self.value = Tower((*hidden, 1), members=2, name="value")
        self.target_value = Tower((*hidden, 1), members=2, name="target_value")
        self.target_value.trainable = False
        self.log_temperature = self.add_weight(
            name="log_temperature", shape=(), initializer="zeros"
        )

    # -- what it computes ------------------------------------------------------------

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """The policy's mean actions [B, A]; inner values name the rest."""
        seen = self.standard(batch["observation"])
        mean, log_std = self._policy(seen)
        inner = {"log_std": log_std, "value": self.q(seen, batch["action"])}
        inner["target_value"] = self.q(seen, batch["action"], self.target_value)
        return self.bounds.squash(mean), inner

    def act(
        self, observation: dict[str, Any], state: Any, *, seed: Any, explore: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Actions [N, A]: drawn, or the mean where `explore` is 0."""
        mean, log_std = self._policy(self.standard(observation["observation"]))
        drawn, _ = self.bounds.draw(mean, log_std, seeds.salted(seed, "act"))
        return ops.where(explore > 0, drawn, self.bounds.squash(mean)), state, {}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'policy', 'value', 'temperature'}, inner values), over transitions."""
        seen, weights = self.standard(batch["observation"]), batch["weights"]
        temperature = ops.exp(self.log_temperature)
        target = ops.stop_gradient(self.target(batch))
        value = self.q(seen, batch["action"])
        errors = ops.sum(0.5 * ops.square(value - target), axis=0)

        action, density = self._draw(seen, "policy")
        worth = ops.min(self.q(seen, action), axis=0)
        wanted = ops.stop_gradient(temperature) * density - worth
        excess = ops.stop_gradient(density + self.target_entropy)
        losses = {
            "policy": weighted_sum(wanted, weights),
            "value": weighted_sum(errors, weights),
            "temperature": weighted_sum(-self.log_temperature * excess, weights),
        }
        value = ops.mean(value, axis=0)
        inner = {"value": value, "priority": ops.abs(value - target)}
        metrics = {
            "value": weighted_sum(value, weights),
            "entropy": weighted_sum(-density, weights),
            "temperature": weighted_sum(temperature * ops.ones_like(value), weights),
        }
        statistics = self.standard.sums(batch["observation"], weights)
        return losses, {**inner, "metrics": metrics, "statistics": statistics}

    def target(self, batch: dict[str, Any]) -> Any:
        """What the value should be [B], the entropy's worth included."""
        total, after = returns.n_step(
            batch["reward"], batch["going"], batch["steps"], self.discount
        )
        later = self.standard(batch["next_observation"])
        action, density = self._draw(later, "target")
        value = ops.min(self.q(later, action, self.target_value), axis=0)
        return total + after * (value - ops.exp(self.log_temperature) * density)

    def q(self, observation: Any, action: Any, tower: Tower | None = None) -> Any:
        """Values [2, B] of actions."""
        both = ops.concatenate([observation, self.bounds.scale(action)], axis=-1)
        return (tower or self.value)(both)[..., 0]

    # -- how it is trained -----------------------------------------------------------

    def groups(self) -> dict[str, list[keras.Variable]]:
        return {
            "policy": self.policy.trainable_variables,
            "value": self.value.trainable_variables,
            "temperature": [self.log_temperature],
        }

    def followers(self) -> list[tuple[Any, ...]]:
        pairs = zip(self.target_value.variables, self.value.variables, strict=True)
        targets = [(target, source, self.target_rate) for target, source in pairs]
        return [*targets, *self.standard.followers()]

    # -- parts -----------------------------------------------------------------------

    def _policy(self, observation: Any) -> tuple[Any, Any]:
        mean, log_std = ops.split(self.policy(observation), 2, axis=-1)
        return mean, log_std

    def _draw(self, observation: Any, salt: str) -> tuple[Any, Any]:
        seed = seeds.salted(seeds.current_seed(), salt)
        return self.bounds.draw(*self._policy(observation), seed)
