"""A policy over candidates of which only some may be chosen (MLGO's registers).

Each is scored by the same small tower, so where it stands among them does not matter
(`RegAllocEncodingNetwork` in github.com/google/ml-compiler-opt); what may not be chosen
has no chance. Axis letters: N candidates, D what is told of each.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from t2t import registry
from t2t.features import Feature
from t2t.models.ppo import PPO

_NEVER = -1e9


@registry.model("candidates")
class Candidates(PPO):
    """PPO whose actions are the rows of what is observed.

    Args:
      features: `observation` [N, D], `allowed` [N] of 1 and 0, and `action`, a label of
        N classes.
      hidden: sizes of the tower's layers.
      **options: of PPO.
    """

    FEATURES = {"observation": "real", "allowed": "real", "action": "label"}

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden: tuple[int, ...] = (64, 32),
        activation: str = "relu",
        discount: float = 0.0,
        trace: float = 0.0,
        clip: float = 0.2,
        value_cost: float = 0.5,
        entropy_bonus: float = 0.01,
    ) -> None:
        super().__init__(
            features,
            hidden=hidden,
            activation=activation,
            discount=discount,
            trace=trace,
            clip=clip,
            value_cost=value_cost,
            entropy_bonus=entropy_bonus,
            name="candidates",
        )

    @staticmethod
    def outputs(action: Feature) -> int:
        """The score of a candidate."""
        return 1

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, N], and {'value': [B]} of the candidates that there are."""
        seen, allowed = self.encoder(batch["observation"]), batch["allowed"]
        logits = ops.where(allowed > 0, self.policy(seen)[..., 0], _NEVER)
        there = allowed / ops.maximum(ops.sum(allowed, axis=-1, keepdims=True), 1.0)
        mean = ops.sum(seen * there[..., None], axis=1)  # [B, D]
        value = self.value(mean)[:, 0]
        return logits, {"value": value if self.value_cost else 0.0 * value}
