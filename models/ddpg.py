"""Deep deterministic policy gradient (Lillicrap et al., arXiv:1509.02971).

The policy's loss goes *through* the value, whose weights it must not move: each loss
has a group of variables, and the step moves only these.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import registry, returns
from t2t.features import Feature
from t2t.layers import seeds
from t2t.layers.tower import Tower
from t2t.losses import Sum, weighted_sum


@registry.model("ddpg")
class DDPG(keras.Model):
    """A deterministic policy and its value, for bounded real actions.

    Args:
      features: of the problem; `observation` and `action` are real vectors.
      hidden_size, num_layers: of each tower.
      discount: γ.
      target_rate: share by which the target networks move a step (τ).
      noise: standard deviation of exploration, in half ranges of the action.
      squash_penalty: on the squares of the policy's output before tanh, which keeps
        it from saturating (as in STEVE's code).
    """

    FEATURES = {"observation": "real", "action": "real"}
    JIT = True
    METRICS = ("episode_return",)

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 256,
        num_layers: int = 2,
        discount: float = 0.99,
        target_rate: float = 0.005,
        noise: float = 0.1,
        squash_penalty: float = 1e-3,
    ) -> None:
        super().__init__(name="ddpg")
        low, high = features["action"].bounds
        self.middle, self.reach = (low + high) / 2, (high - low) / 2
        self.discount, self.target_rate = discount, target_rate
        self.noise, self.squash_penalty = noise, squash_penalty
        hidden = (hidden_size,) * num_layers
        size = features["action"].shape[0]
        for prefix in ("", "target_"):
            policy = Tower((*hidden, size), last_scale=0.1, name=f"{prefix}policy")
            value = Tower((*hidden, 1), name=f"{prefix}value")
            setattr(self, f"{prefix}policy", policy)
            setattr(self, f"{prefix}value", value)
        self.target_policy.trainable = self.target_value.trainable = False

    # -- what it computes ------------------------------------------------------------

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """The policy's actions [B, A]; inner values name the rest."""
        action, raw = self._act(self.policy, batch["observation"])
        value = self._value(self.value, batch["observation"], batch["action"])
        target = self._act(self.target_policy, batch["observation"])[0]
        follows = self._value(self.target_value, batch["observation"], target)
        return action, {"raw_action": raw, "value": value, "target_value": follows}

    def act(
        self, observation: dict[str, Any], state: Any, *, seed: Any, explore: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Actions [N, A], with noise where `explore` is above 0."""
        action, _ = self._act(self.policy, observation["observation"])
        noise = seeds.normal(ops.shape(action), seeds.salted(seed, "explore"))
        action = action + explore * self.noise * self.reach * noise
        low, high = self.middle - self.reach, self.middle + self.reach
        return ops.clip(action, low, high), state, {}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'policy', 'value'}, inner values), over a batch of transitions."""
        seen, weights = batch["observation"], batch["weights"]
        target = ops.stop_gradient(self.target(batch))
        value = self._value(self.value, seen, batch["action"])
        errors = 0.5 * ops.square(value - target)
        action, raw = self._act(self.policy, seen)
        wanted = -self._value(self.value, seen, action)
        wanted += self.squash_penalty * ops.mean(ops.square(raw), axis=-1)
        losses = {
            "policy": weighted_sum(wanted, weights),
            "value": weighted_sum(errors, weights),
        }
        inner = {"value": value, "priority": ops.abs(value - target)}
        return losses, {**inner, "metrics": {"value": weighted_sum(value, weights)}}

    def target(self, batch: dict[str, Any]) -> Any:
        """What the value should be [B]: n rewards, then the target networks."""
        total, after = returns.n_step(
            batch["reward"], batch["going"], batch["steps"], self.discount
        )
        later = batch["next_observation"]
        action, _ = self._act(self.target_policy, later)
        return total + after * self._value(self.target_value, later, action)

    def groups(self) -> dict[str, list[keras.Variable]]:
        return {
            "policy": self.policy.trainable_variables,
            "value": self.value.trainable_variables,
        }

    def followers(self) -> list[tuple[keras.Variable, keras.Variable, float]]:
        pairs = [
            *zip(self.target_policy.variables, self.policy.variables, strict=True),
            *zip(self.target_value.variables, self.value.variables, strict=True),
        ]
        return [(target, source, self.target_rate) for target, source in pairs]

    # -- parts -----------------------------------------------------------------------

    def _act(self, policy: Tower, observation: Any) -> tuple[Any, Any]:
        """(action within its bounds, output before tanh)."""
        raw = policy(observation)
        return self.middle + self.reach * ops.tanh(raw), raw

    def _value(self, value: Tower, observation: Any, action: Any) -> Any:
        scaled = (action - self.middle) / self.reach
        return value(ops.concatenate([observation, scaled], axis=-1))[..., 0]
