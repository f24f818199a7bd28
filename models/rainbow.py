"""Rainbow (Hessel et al., arXiv:1710.02298): six improvements of DQN in one.

Distributional (C51), dueling, double, n-step, prioritised (its set's `selector` and
`importance`) and noisy; without `noisy`, a share `explore` of the actions is random.

Axis letters beside the usual: A actions, Z atoms of the return's distribution.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from t2t import registry, returns
from t2t.features import Feature
from t2t.layers import seeds
from t2t.layers.encoders import Encoder
from t2t.losses import Sum, weighted_sum


class Noisy(keras.layers.Layer):
    """A dense layer with factorised noise (Fortunato et al., arXiv:1706.10295)."""

    def __init__(self, size: int, *, scale: float, name: str) -> None:
        super().__init__(name=name)
        self.size, self.scale = size, scale

    def build(self, shape: Any) -> None:
        width = shape[-1]
        limit = width**-0.5
        even = keras.initializers.RandomUniform(-limit, limit)
        spread = keras.initializers.Constant(self.scale * limit)
        kernel, bias = (width, self.size), (self.size,)
        self.kernel = self.add_weight(name="kernel", shape=kernel, initializer=even)
        self.bias = self.add_weight(name="bias", shape=bias, initializer=even)
        if self.scale:
            self.kernel_noise = self.add_weight(
                name="kernel_noise", shape=kernel, initializer=spread
            )
            self.bias_noise = self.add_weight(
                name="bias_noise", shape=bias, initializer=spread
            )
        self.built = True

    def call(self, x: Any, seed: Any = None) -> Any:
        """Without a seed there is no noise."""
        mean = ops.matmul(x, self.kernel) + self.bias
        if seed is None or not self.scale:
            return mean
        inputs, outputs = (
            _rooted(seeds.normal((n,), seeds.salted(seed, self.path + side)))
            for n, side in ((self.kernel.shape[0], "in"), (self.size, "out"))
        )
        moved = ops.matmul(x * inputs, self.kernel_noise) + self.bias_noise
        return mean + moved * outputs


def _rooted(x: Any) -> Any:
    return ops.sign(x) * ops.sqrt(ops.abs(x))


class Dueling(keras.layers.Layer):
    """Log probabilities [B, A, Z] of each action's return (Wang et al., 1511.06581)."""

    def __init__(
        self,
        feature: Feature,
        actions: int,
        atoms: int,
        *,
        encoder: str,
        hidden_size: int,
        noise: float,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.actions, self.atoms = actions, atoms
        self.encoder = Encoder(feature, kind=encoder, size=hidden_size)
        self.heads = {}
        for head, size in (("value", atoms), ("advantage", actions * atoms)):
            for part, width in (("hidden", hidden_size), ("output", size)):
                layer = Noisy(width, scale=noise, name=f"{head}_{part}")
                setattr(self, f"{head}_{part}", layer)

    def call(self, observation: Any, seed: Any = None) -> Any:
        seen = self.encoder(observation)
        hidden = ops.relu(self.value_hidden(seen, seed))
        value = self.value_output(hidden, seed)[:, None, :]
        hidden = ops.relu(self.advantage_hidden(seen, seed))
        advantage = ops.reshape(
            self.advantage_output(hidden, seed), (-1, self.actions, self.atoms)
        )
        centred = advantage - ops.mean(advantage, axis=1, keepdims=True)
        return ops.log_softmax(value + centred, axis=-1)


@registry.model("rainbow")
class Rainbow(keras.Model):
    """The distribution of each action's return, over numbers or pixels.

    Args:
      features: of the problem; `action` is a label.
      encoder: of pixels, see `t2t.layers.encoders`.
      hidden_size: of the encoder's vector and the heads.
      atoms, value_min, value_max: Z and the range of the support.
      discount: γ.
      noise: initial scale of the noisy layers (σ0); 0 for ε-greedy.
      target_every: steps after which the target network is copied.
    """

    FEATURES = {"observation": "real|image", "action": "label"}
    JIT = True
    ITEMS = "transitions"

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        encoder: str = "nature",
        hidden_size: int = 512,
        atoms: int = 51,
        value_min: float = -10.0,
        value_max: float = 10.0,
        discount: float = 0.99,
        noise: float = 0.5,
        target_every: int = 500,
    ) -> None:
        super().__init__(name="rainbow")
        self.JIT = features["observation"].kind != "image"
        self.support = np.linspace(value_min, value_max, atoms, dtype=np.float32)
        self.actions, self.noise = features["action"].size, noise
        self.discount, self.target_every = discount, target_every
        for prefix in ("", "target_"):
            network = Dueling(
                features["observation"],
                self.actions,
                atoms,
                encoder=encoder,
                hidden_size=hidden_size,
                noise=noise,
                name=f"{prefix}network",
            )
            setattr(self, f"{prefix}network", network)
        self.target_network.trainable = False

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """What each action is worth [B, A]; inner values have the distributions."""
        found = self.network(batch["observation"])
        later = self.target_network(batch["observation"])
        return self.worth(found), {"log_probs": found, "target_log_probs": later}

    def act(
        self, observation: dict[str, Any], state: Any, *, seed: Any, explore: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The best action [N] under fresh noise, or a share `explore` at random."""
        seen = observation["observation"]
        best = ops.argmax(self.worth(self.network(seen)), axis=-1)
        if self.noise:
            noisy = self.network(seen, seeds.salted(seed, "act"))
            best = ops.where(explore > 0, ops.argmax(self.worth(noisy), axis=-1), best)
            return ops.cast(best, "int32"), state, {}
        shape = ops.shape(best)
        chance = seeds.uniform(shape, seeds.salted(seed, "chance"))
        drawn = seeds.uniform(shape, seeds.salted(seed, "drawn")) * self.actions
        best, drawn = ops.cast(best, "int32"), ops.cast(drawn, "int32")
        return ops.where(chance < explore, drawn, best), state, {}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all'}, inner values), over a batch of n-step transitions."""
        seed = seeds.current_seed() if training else None
        one, two, three = (
            None if seed is None else seeds.salted(seed, s) for s in "123"
        )
        found = self.network(batch["observation"], one)
        chosen = _of_action(found, batch["action"])
        target = ops.stop_gradient(self.target(batch, two, three))
        errors = -ops.sum(target * chosen, axis=-1)
        worth = ops.max(self.worth(found), axis=-1)
        metrics = {"value": weighted_sum(worth, ops.ones_like(errors))}
        inner = {"priority": errors, "log_probs": found, "metrics": metrics}
        total = ops.sum(errors * batch["weights"])
        # The weights of prioritised sampling scale the gradient: no mean over them.
        return {"all": (total, ops.sum(ops.ones_like(errors)))}, inner

    def target(self, batch: dict[str, Any], online: Any, later: Any) -> Any:
        """The distribution [B, Z] that the action's return should have."""
        total, after = returns.n_step(
            batch["reward"], batch["going"], batch["steps"], self.discount
        )
        seen = batch["next_observation"]
        best = ops.argmax(self.worth(self.network(seen, online)), axis=-1)
        chances = ops.exp(_of_action(self.target_network(seen, later), best))
        atoms = total[:, None] + after[:, None] * self.support[None, :]
        return returns.project(atoms, chances, ops.convert_to_tensor(self.support))

    def worth(self, log_probs: Any) -> Any:
        """The mean return [B, A] of distributions [B, A, Z]."""
        return ops.sum(ops.exp(log_probs) * self.support, axis=-1)

    def followers(self) -> list[tuple[keras.Variable, keras.Variable, float, int]]:
        pairs = zip(self.target_network.variables, self.network.variables, strict=True)
        return [(target, source, 1.0, self.target_every) for target, source in pairs]


def _of_action(log_probs: Any, action: Any) -> Any:
    """[B, A, Z] and [B] -> [B, Z]."""
    index = ops.cast(action, "int32")[:, None, None]
    return ops.take_along_axis(log_probs, index, axis=1)[:, 0]
