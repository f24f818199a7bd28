"""Twin delayed deterministic policy gradient (Fujimoto et al., arXiv:1802.09477)."""

from __future__ import annotations

from typing import Any

from keras import ops

from t2t import registry
from t2t.features import Feature
from t2t.layers import seeds
from t2t.models.ddpg import DDPG


@registry.model("td3")
class TD3(DDPG):
    """DDPG with two values, of which the lower counts, a smoothed target, and a
    policy that learns at every second step.

    Args:
      target_noise: standard deviation of the smoothing, in half ranges.
      target_noise_clip: its bound.
      Others: as `DDPG`.
    """

    FEATURES = {"observation": "real", "action": "real"}
    PERIODS = {"policy": 2}

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 256,
        num_layers: int = 2,
        discount: float = 0.99,
        target_rate: float = 0.005,
        noise: float = 0.1,
        target_noise: float = 0.2,
        target_noise_clip: float = 0.5,
        standardise: bool = False,
    ) -> None:
        super().__init__(
            features,
            hidden_size=hidden_size,
            num_layers=num_layers,
            values=2,
            discount=discount,
            target_rate=target_rate,
            noise=noise,
            squash_penalty=0.0,
            standardise=standardise,
            name="td3",
        )
        self.target_noise, self.target_noise_clip = target_noise, target_noise_clip

    def policy_loss(self, seen: Any) -> Any:
        return -self.q(seen, self.bounds.squash(self.policy(seen)))[0]

    def later_value(self, seen: Any) -> Any:
        action = self.bounds.squash(self.target_policy(seen))
        seed = seeds.salted(seeds.current_seed(), "smoothing")
        noise = self.target_noise * seeds.normal(ops.shape(action), seed)
        noise = ops.clip(noise, -self.target_noise_clip, self.target_noise_clip)
        action = self.bounds.clip(action + self.bounds.reach * noise)
        return ops.min(self.q(seen, action, self.target_value), axis=0)
