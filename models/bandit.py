"""A contextual bandit: what each action is worth, by regression; the best one is taken.

For rewards that belong to single decisions. Every decision that was ever credited is
learned from again and again, which a policy gradient cannot do: where a compilation is
what costs, that is what counts. The policy's network gives the values.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from t2t import registry
from t2t.features import Feature
from t2t.layers import seeds
from t2t.losses import Sum, weighted_sum
from t2t.models.ppo import PPO, flat


@registry.model("bandit")
class Bandit(PPO):
    """Values of actions by least squares, explored evenly.

    Args:
      features: as PPO's.
      epsilon: chance of an action drawn evenly, times `explore`.
      **options: of PPO's networks.
    """

    FEATURES = {"observation": "real", "action": "label"}

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        epsilon: float = 0.2,
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
        self.epsilon = epsilon

    def act(
        self, observation: dict[str, Any], state: Any, *, seed: Any, explore: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The actions of the highest value, or of none in particular."""
        values, _ = self(observation)
        count, choices = ops.shape(values)
        best = ops.cast(ops.argmax(values, axis=-1), "int32")
        drawn = seeds.uniform((count,), seeds.salted(seed, "which")) * choices
        chance = seeds.uniform((count,), seeds.salted(seed, "explore"))
        tried = ops.minimum(ops.cast(drawn, "int32"), choices - 1)
        return ops.where(chance < explore * self.epsilon, tried, best), state, {}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all'}, inner values), over a batch of sequences."""
        rows = {name: flat(batch[name]) for name in ("observation", "action")}
        values, inner = self(rows, training=training)
        mask, reward = flat(batch["taken"]), flat(batch["reward"])
        index = ops.cast(rows["action"], "int32")[:, None]
        value = ops.take_along_axis(values, index, axis=-1)[:, 0]
        loss = 0.5 * ops.square(value - reward)
        metrics = {"reward": weighted_sum(reward, mask)}
        statistics = self.encoder.standard.sums(rows["observation"], mask)
        inner = {**inner, "metrics": metrics, "statistics": statistics}
        return {"all": weighted_sum(loss, mask)}, inner
