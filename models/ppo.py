"""Proximal policy optimisation (Schulman et al., arXiv:1707.06347).

Learns from sequences, each some times over. Advantages are those of the values that
were recorded while acting; the last of T+1 rows gives its value only.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from t2t import registry, returns
from t2t.features import Feature
from t2t.layers import seeds
from t2t.layers.bounded import gaussian_log_density
from t2t.layers.encoders import Encoder
from t2t.layers.tower import Tower
from t2t.losses import Sum, weighted_sum


@registry.model("ppo")
class PPO(keras.Model):
    """A stochastic policy and its value, over numbers or pixels.

    Args:
      features: of the problem; `action` is a label, or a real vector.
      hidden_size, num_layers: of the towers over the encoder.
      hidden: the sizes of their layers, where they are not all the same.
      activation: between them, see `t2t.layers.tower`.
      encoder: of pixels, see `t2t.layers.encoders`.
      encoder_size: of the vector that pixels become.
      discount, trace: γ and λ.
      clip: of the probability ratio.
      value_clip: of the value's move; 0 for none.
      value_cost, entropy_bonus: weights of these losses; without a cost the value is
        the constant 0.
      standardise: whether numbers observed are brought to mean 0 and variance 1.
      ranks: whether they become ranks on a ladder, see `t2t.layers.ranks`.
    """

    FEATURES = {"observation": "real|image", "action": "label|real"}
    JIT = True
    ITEMS = "sequences"

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 64,
        num_layers: int = 2,
        encoder: str = "nature",
        encoder_size: int = 256,
        discount: float = 0.99,
        trace: float = 0.95,
        clip: float = 0.2,
        value_clip: float = 0.0,
        value_cost: float = 0.5,
        entropy_bonus: float = 0.01,
        standardise: bool = False,
        ranks: bool = False,
        hidden: tuple[int, ...] = (),
        activation: str = "tanh",
        name: str = "ppo",
    ) -> None:
        super().__init__(name=name)
        action = features["action"]
        self.discrete = action.kind == "label"
        # XLA loses with convolutions on CPUs.
        self.JIT = features["observation"].kind != "image"
        self.discount, self.trace = discount, trace
        self.clip, self.value_clip = clip, value_clip
        self.value_cost, self.entropy_bonus = value_cost, entropy_bonus
        size = self.outputs(action)
        hidden = tuple(hidden) or (hidden_size,) * num_layers
        self.encoder = Encoder(
            features["observation"],
            kind=encoder,
            size=encoder_size,
            standardise=standardise,
            ranks=ranks,
        )
        self.policy = Tower(
            (*hidden, size), activation=activation, last_scale=0.01, name="policy"
        )
        self.value = Tower((*hidden, 1), activation=activation, name="value")
        if not self.discrete:
            self.log_std = self.add_weight(
                name="log_std", shape=(size,), initializer="zeros"
            )

    @staticmethod
    def outputs(action: Feature) -> int:
        """Numbers that the policy's tower gives, for each vector that it is given."""
        whole = action.kind == "label"
        return action.size if whole else int(math.prod(action.shape))  # type: ignore

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits or means [B, A] of the policy, and {'value': [B]}."""
        seen = self.encoder(batch["observation"])
        value = self.value(seen)[:, 0]
        return self.policy(seen), {"value": value if self.value_cost else 0.0 * value}

    def act(
        self, observation: dict[str, Any], state: Any, *, seed: Any, explore: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Actions, drawn unless `explore` is 0; what `losses` needs to know of them."""
        output, inner = self(observation)
        seed, shape = seeds.salted(seed, "act"), ops.shape(output)
        if self.discrete:
            noise = ops.where(explore > 0, seeds.gumbel(shape, seed), 0.0)
            action = ops.cast(ops.argmax(output + noise, axis=-1), "int32")
        else:
            noise = ops.where(explore > 0, seeds.normal(shape, seed), 0.0)
            action = output + ops.exp(self.log_std) * noise
        log_prob = self._log_prob(output, action)
        return action, state, {"log_prob": log_prob, "value": inner["value"]}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all'}, inner values), over a batch of sequences."""
        advantage, target = self._advantages(batch)
        rows = {name: flat(batch[name]) for name in self.FEATURES}
        output, inner = self(rows, training=training)
        before = {name: flat(batch[name]) for name in ("log_prob", "value")}
        mask = flat(batch["taken"])

        change = self._log_prob(output, rows["action"]) - before["log_prob"]
        ratio = ops.exp(change)
        clipped = ops.clip(ratio, 1.0 - self.clip, 1.0 + self.clip)
        policy = -ops.minimum(ratio * advantage, clipped * advantage)
        value = 0.5 * ops.square(inner["value"] - target)
        if self.value_clip:
            move = inner["value"] - before["value"]
            near = before["value"] + ops.clip(move, -self.value_clip, self.value_clip)
            value = ops.maximum(value, 0.5 * ops.square(near - target))
        entropy = self._entropy(output)
        total = policy + self.value_cost * value - self.entropy_bonus * entropy
        metrics = {
            "entropy": weighted_sum(entropy, mask),
            "value_loss": weighted_sum(value, mask),
            "divergence": weighted_sum(ratio - 1.0 - change, mask),
            "clipped": weighted_sum(ops.abs(ratio - 1.0) > self.clip, mask),
        }
        inner = {"ratio": ratio, "metrics": metrics}
        inner["statistics"] = self.encoder.standard.sums(rows["observation"], mask)
        return {"all": weighted_sum(total, mask)}, inner

    def followers(self) -> list[tuple[Any, ...]]:
        return self.encoder.standard.followers()

    # -- parts -----------------------------------------------------------------------

    def _advantages(self, batch: dict[str, Any]) -> tuple[Any, Any]:
        """(normalised advantages, targets of the value), each [B·T]."""
        found = returns.advantages(
            batch["reward"][:, :-1],
            batch["value"],
            batch["going"][:, :-1],
            batch["linked"][:, :-1],
            self.discount,
            self.trace,
        )
        target = flat_all(found + batch["value"][:, :-1])
        advantage, mask = flat_all(found), flat(batch["taken"])
        mean = ops.sum(advantage * mask) / ops.sum(mask)
        centred = advantage - mean
        variance = ops.sum(ops.square(centred) * mask) / ops.sum(mask)
        return centred / (ops.sqrt(variance) + 1e-8), target

    def _log_prob(self, output: Any, action: Any) -> Any:
        if self.discrete:
            chances = ops.log_softmax(output, axis=-1)
            index = ops.cast(action, "int32")[:, None]
            return ops.take_along_axis(chances, index, axis=-1)[:, 0]
        scaled = (action - output) / ops.exp(self.log_std)
        return gaussian_log_density(scaled, self.log_std)

    def _entropy(self, output: Any) -> Any:
        if self.discrete:
            chances = ops.log_softmax(output, axis=-1)
            return -ops.sum(ops.exp(chances) * chances, axis=-1)
        one = self.log_std + 0.5 * (1.0 + math.log(2.0 * math.pi))
        return ops.sum(one) * ops.ones_like(output[:, 0])


def flat_all(x: Any) -> Any:
    """[B, T, …] -> [B·T, …]."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def flat(x: Any) -> Any:
    """[B, T+1, …] -> [B·T, …], without the last row of each sequence."""
    return flat_all(x[:, :-1])
