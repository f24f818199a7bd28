"""Deep deterministic policy gradient (Lillicrap et al., arXiv:1509.02971).

The policy's loss goes *through* the value, whose weights it must not move: each loss
has a group of variables, and the step moves only these.

Axis letters beside the usual: E values of an ensemble, A numbers of an action.
"""

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


@registry.model("ddpg")
class DDPG(keras.Model):
    """A deterministic policy and its value, for bounded real actions.

    Args:
      features: of the problem; `observation` and `action` are real vectors.
      hidden_size, num_layers: of each tower.
      values: E, towers that estimate the value; what counts is their mean.
      discount: γ.
      target_rate: share by which the target networks move (τ), every `target_every`
        steps.
      noise: standard deviation of exploration, in half ranges of the action.
      squash_penalty: on the squares of the policy's output before tanh, which keeps
        it from saturating (as in STEVE's code).
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
        values: int = 1,
        discount: float = 0.99,
        target_rate: float = 0.005,
        target_every: int = 1,
        noise: float = 0.1,
        squash_penalty: float = 1e-3,
        standardise: bool = False,
        name: str = "ddpg",
    ) -> None:
        super().__init__(name=name)
        self.standard = Standard(features["observation"].shape[0], active=standardise)
        self.bounds, self.noise = Bounds(features["action"]), noise
        self.discount = discount
        self.target_rate, self.target_every = target_rate, target_every
        self.squash_penalty = squash_penalty
        hidden = (hidden_size,) * num_layers
        for prefix in ("", "target_"):
            policy = Tower(
                (*hidden, self.bounds.size), last_scale=0.1, name=f"{prefix}policy"
            )
            value = Tower((*hidden, 1), members=values, name=f"{prefix}value")
            setattr(self, f"{prefix}policy", policy)
            setattr(self, f"{prefix}value", value)
        self.target_policy.trainable = self.target_value.trainable = False

    # -- what it computes ------------------------------------------------------------

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """The policy's actions [B, A]; inner values name the rest."""
        seen = self.standard(batch["observation"])
        raw = self.policy(seen)
        inner = {"raw_action": raw, "value": self.q(seen, batch["action"])}
        later = self.bounds.squash(self.target_policy(seen))
        inner["target_value"] = self.q(seen, later, self.target_value)
        return self.bounds.squash(raw), inner

    def act(
        self, observation: dict[str, Any], state: Any, *, seed: Any, explore: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Actions [N, A], with noise where `explore` is above 0."""
        seen = self.standard(observation["observation"])
        action = self.bounds.squash(self.policy(seen))
        noise = seeds.normal(ops.shape(action), seeds.salted(seed, "explore"))
        action += explore * self.noise * self.bounds.reach * noise
        return self.bounds.clip(action), state, {}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'policy', 'value'}, inner values), over a batch of transitions."""
        statistics = self.standard.sums(batch["observation"], batch["weights"])
        ends = ("observation", "next_observation")
        batch = {**batch, **{name: self.standard(batch[name]) for name in ends}}
        losses, inner = self.standard_losses(batch)
        return losses, {**inner, "statistics": statistics}

    def standard_losses(
        self, batch: dict[str, Any]
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """As `losses`, of observations already standardised."""
        seen, weights = batch["observation"], batch["weights"]
        target = ops.stop_gradient(self.target(batch))
        value, errors = self.value_loss(seen, batch["action"], target)
        losses = {
            "policy": weighted_sum(self.policy_loss(seen), weights),
            "value": weighted_sum(errors, weights),
        }
        inner = {"value": value, "priority": ops.abs(value - target)}
        return losses, {**inner, "metrics": {"value": weighted_sum(value, weights)}}

    def policy_loss(self, seen: Any) -> Any:
        """[B]: what the policy's action is worth, negated."""
        raw = self.policy(seen)
        value = ops.mean(self.q(seen, self.bounds.squash(raw)), axis=0)
        return self.squash_penalty * ops.mean(ops.square(raw), axis=-1) - value

    def value_loss(self, seen: Any, action: Any, target: Any) -> tuple[Any, Any]:
        """(the value [B], its squared distance from the target [B])."""
        value = self.q(seen, action)  # [E, B]
        errors = ops.mean(0.5 * ops.square(value - target), axis=0)
        return ops.mean(value, axis=0), errors

    def target(self, batch: dict[str, Any]) -> Any:
        """What the value should be [B]: n rewards, then the target networks."""
        total, after = returns.n_step(
            batch["reward"], batch["going"], batch["steps"], self.discount
        )
        return total + after * self.later_value(batch["next_observation"])

    def later_value(self, seen: Any) -> Any:
        """What an observation is worth [B] by the target networks."""
        action = self.bounds.squash(self.target_policy(seen))
        return ops.mean(self.q(seen, action, self.target_value), axis=0)

    def q(self, observation: Any, action: Any, tower: Tower | None = None) -> Any:
        """Values [E, B] of actions."""
        both = ops.concatenate([observation, self.bounds.scale(action)], axis=-1)
        return (tower or self.value)(both)[..., 0]

    # -- how it is trained -----------------------------------------------------------

    def groups(self) -> dict[str, list[keras.Variable]]:
        return {
            "policy": self.policy.trainable_variables,
            "value": self.value.trainable_variables,
        }

    def followers(self) -> list[tuple[Any, ...]]:
        pairs = [
            *zip(self.target_policy.variables, self.policy.variables, strict=True),
            *zip(self.target_value.variables, self.value.variables, strict=True),
        ]
        rate, every = self.target_rate, self.target_every
        targets = [(target, source, rate, every) for target, source in pairs]
        return [*targets, *self.standard.followers()]
