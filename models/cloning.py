"""Behavioural cloning: acts as another would, and learns to do so by itself.

What the other decides is among what is observed, as `default`; the policy's network
never sees it. PPO and evolution strategies begin from its weights.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from t2t import registry
from t2t.features import Feature
from t2t.losses import Sum, weighted_sum
from t2t.models.ppo import PPO, flat


@registry.model("cloning")
class Cloning(PPO):
    """PPO's policy, taught by cross-entropy.

    Args:
      features: as PPO's, and `default`, a label of the action's classes.
      smoothing: probability that is taught to be left to the other actions: what
        begins from here goes on with so much exploration.
      **options: of PPO; none of them but its networks' matter.
    """

    FEATURES = {"observation": "real", "default": "label", "action": "label"}

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        smoothing: float = 0.0,
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
            name="ppo",  # whoever begins from its weights finds them
        )
        self.smoothing = smoothing

    def act(
        self, observation: dict[str, Any], state: Any, *, seed: Any, explore: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The other's actions while it learns, its own where `explore` is 0."""
        output, _ = self(observation)
        own = ops.cast(ops.argmax(output, axis=-1), "int32")
        other = ops.cast(observation["default"], "int32")
        return ops.where(explore > 0, other, own), state, {}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all'}, inner values), over a batch of sequences."""
        seen = {name: flat(batch[name]) for name in self.FEATURES}
        output, inner = self(seen, training=training)
        mask, taught = flat(batch["taken"]), ops.cast(seen["default"], "int32")
        classes = output.shape[-1]
        rest = self.smoothing / (classes - 1)
        wanted = ops.one_hot(taught, classes) * (1.0 - self.smoothing - rest) + rest
        loss = -ops.sum(wanted * ops.log_softmax(output, axis=-1), axis=-1)
        # The value is left alone; unconnected gradients are zeros.
        same = ops.cast(ops.argmax(output, axis=-1), "int32") == taught
        metrics = {"accuracy": weighted_sum(same, mask)}
        statistics = self.encoder.standard.sums(seen["observation"], mask)
        inner = {**inner, "metrics": metrics, "statistics": statistics}
        return {"all": weighted_sum(loss, mask)}, inner
