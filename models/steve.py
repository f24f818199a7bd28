"""Stochastic ensemble value expansion (Buckman et al., arXiv:1807.01675).

DDPG whose target is a mixture of H+1 candidates: the i-th imagines i steps with a
learned model before it trusts the value. Every candidate is estimated by each
combination of ensemble members, and counts by the inverse of its variance: where the
model is unsure, the target falls back on DDPG's.

One member of the dynamics owns a whole trajectory; all reward members and all value
members judge each of its steps.

Axis letters beside the usual: M dynamics, R rewards, E values of the ensembles; H
horizon; D numbers of an observation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from t2t import registry, returns
from t2t.features import Feature
from t2t.layers.tower import Tower
from t2t.losses import Sum, weighted_sum
from t2t.models.ddpg import DDPG

NEVER = 2**31 - 1  # a step that no training comes to
RULES = ("ddpg", "mve", "mve_tdk", "mean", "lambda", "steve", "steve_cov")


class Imagined(NamedTuple):
    """Steps 0 … H-1 from an observation, by each member of the dynamics."""

    states: list[Any]  # H+1 of [M, B, D]; the first is the observation
    rewards: list[Any]  # H of [R, M, B]
    alive: list[Any]  # H+1 of [M, B]: chance that no step before has terminated
    values: list[Any]  # H+1 of [E, M, B], by the target value


@registry.model("steve")
class STEVE(DDPG):
    """Value expansion over ensembles, and what it is compared with, by `target_rule`.

    Args:
      features: of the problem; `observation` and `action` are real vectors.
      hidden_size, num_layers: of the policy and of each value, reward and
        termination.
      model_size, model_layers: of each dynamics.
      values, dynamics, rewards: members of the ensembles.
      horizon: H.
      target_rule: 'ddpg' (horizon 0), 'mve' (horizon H; Feinberg et al.,
        arXiv:1803.00101), 'mve_tdk' (and the value learns on imagined states, too),
        'mean' of the horizons, 'lambda' (λ-return), 'steve', 'steve_cov'.
      trace: λ of 'lambda'.
      discount, target_rate, target_every, noise, squash_penalty, standardise: as
        `DDPG`; the model, too, is one of standardised observations.
      decay: of the squares of the model's kernels.
      pretrain: steps in which only the model learns.
      model_learns: whether it ever does; without, it stays as it was drawn, and shows
        what a rule makes of a model that is wrong.
    """

    FEATURES = {"observation": "real", "action": "real"}

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 128,
        num_layers: int = 3,
        model_size: int = 128,
        model_layers: int = 3,
        values: int = 4,
        dynamics: int = 4,
        rewards: int = 4,
        horizon: int = 3,
        target_rule: str = "steve",
        trace: float = 0.25,
        discount: float = 0.99,
        target_rate: float = 0.005,
        target_every: int = 1,
        noise: float = 0.1,
        squash_penalty: float = 1e-3,
        standardise: bool = False,
        decay: float = 1e-4,
        pretrain: int = 0,
        model_learns: bool = True,
    ) -> None:
        super().__init__(
            features,
            hidden_size=hidden_size,
            num_layers=num_layers,
            values=values,
            discount=discount,
            target_rate=target_rate,
            target_every=target_every,
            noise=noise,
            squash_penalty=squash_penalty,
            standardise=standardise,
            name="steve",
        )
        if target_rule not in RULES:
            hint = registry.close_to(target_rule, RULES)
            raise ValueError(f"there is no target_rule {target_rule!r}.{hint}")
        if min(values, dynamics, rewards) < 2 and target_rule.startswith("steve"):
            raise ValueError("a variance needs ensembles of at least 2 members")
        self.rule, self.horizon, self.trace = target_rule, horizon, trace
        self.members, self.rewards, self.decay = dynamics, rewards, decay
        self.starts = {"policy": pretrain, "value": pretrain}
        self.starts["dynamics"] = 0 if model_learns else NEVER
        width = features["observation"].shape[0]
        deep, shallow = (model_size,) * model_layers, (hidden_size,) * num_layers
        self.transition = Tower((*deep, width), members=dynamics, name="transition")
        self.reward = Tower((*shallow, 1), members=rewards, name="reward")
        self.termination = Tower((*shallow, 1), members=dynamics, name="termination")

    # -- what it computes ------------------------------------------------------------

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """As `DDPG`, and what the model expects of the action."""
        action, inner = super().call(batch, training=training)
        seen = self.standard(batch["observation"])
        imagined = self.imagine(seen, steps=max(1, self.horizon))
        return action, {**inner, "imagined_rewards": ops.stack(imagined.rewards)}

    def standard_losses(
        self, batch: dict[str, Any]
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'policy', 'value', 'dynamics'}, inner values), over transitions."""
        losses, inner = super().standard_losses(batch)
        losses["dynamics"], metrics = self.dynamics_loss(batch)
        if self.rule in ("steve", "steve_cov"):
            weights = self.horizon_weights(self.candidates(batch))
            for i in range(self.horizon + 1):
                metrics[f"horizon_{i}"] = weighted_sum(weights[:, i], batch["weights"])
        return losses, {**inner, "metrics": {**inner["metrics"], **metrics}}

    def target(self, batch: dict[str, Any]) -> Any:
        """The mixture of the candidates [B]."""
        found = self.candidates(batch)
        means = ops.mean(found, axis=-1)
        return ops.sum(self.horizon_weights(found) * means, axis=-1)

    def candidates(self, batch: dict[str, Any]) -> Any:
        """[B, H+1, R·E·M]: every estimate of the value at each horizon (eq. 4)."""
        total, after = returns.n_step(
            batch["reward"], batch["going"], batch["steps"], self.discount
        )
        steps = 0 if self.rule == "ddpg" else self.horizon
        imagined = self.imagine(batch["next_observation"], steps=steps)
        found, gained = [], ops.zeros_like(imagined.values[0][:1])  # [R, M, B]
        for i, (alive, value) in enumerate(
            zip(imagined.alive, imagined.values, strict=True)
        ):
            counts = self.discount**i * alive
            worth = gained[:, None] + (counts * value)[None]  # [R, E, M, B]
            if i < steps:
                gained = gained + counts * imagined.rewards[i]
            shape = (self.rewards, *worth.shape[1:])
            whole = ops.broadcast_to(worth, shape)
            found.append(total + after * ops.reshape(whole, (-1, shape[-1])))
        return ops.transpose(ops.stack(found), (2, 0, 1))

    def horizon_weights(self, candidates: Any) -> Any:
        """How much each horizon counts [B, H+1]."""
        ones = ops.ones_like(candidates[..., 0])
        count = candidates.shape[1]
        if self.rule == "steve":
            return returns.inverse_variance_weights(candidates)
        if self.rule == "steve_cov":
            return returns.covariance_weights(candidates)
        if self.rule == "mean":
            return ones / count
        if self.rule == "lambda":
            shares = [(1.0 - self.trace) * self.trace**i for i in range(count - 1)]
            return ones * ops.convert_to_tensor([*shares, self.trace ** (count - 1)])
        return ones * ops.convert_to_tensor([0.0] * (count - 1) + [1.0])

    def imagine(self, seen: Any, *, steps: int) -> Imagined:
        """What the model expects of the policy from [B, D] on."""
        state = ops.broadcast_to(seen[None], (self.members, *seen.shape))
        alive = ops.ones_like(state[..., 0])
        imagined = Imagined([], [], [], [])
        for i in range(steps + 1):
            action = self.bounds.squash(self.policy(state))
            value = self._each(self.target_value, self._pair(state, action))
            imagined.states.append(state)
            imagined.alive.append(alive)
            imagined.values.append(value)
            if i == steps:
                break
            pair = self._pair(state, action)
            later = state + self.transition(pair)
            three = ops.concatenate([later, pair], axis=-1)
            imagined.rewards.append(self._each(self.reward, three))
            ends = ops.sigmoid(self.termination(three)[..., 0])
            state, alive = later, alive * (1.0 - ends)
        return imagined

    def value_loss(self, seen: Any, action: Any, target: Any) -> tuple[Any, Any]:
        """As `DDPG`, each member of the ensemble on rows of its own."""
        pair = self._split(self._pair(seen, action), self.value.members)
        value = ops.reshape(self.value(pair), (-1,))
        errors = 0.5 * ops.square(value - target)
        if self.rule == "mve_tdk":
            errors = (errors + self._imagined_errors(seen)) / (self.horizon + 1)
        return value, errors

    def dynamics_loss(self, batch: dict[str, Any]) -> tuple[Sum, dict[str, Sum]]:
        """Squares of what the model got wrong, each member on rows of its own."""
        weights, parts = batch["weights"], {}
        pair = self._pair(batch["observation"], batch["action"])
        later = batch["next_observation"]
        moved = self.transition(self._split(pair, self.members))
        moved = ops.reshape(moved, later.shape) + batch["observation"]
        error = ops.sum(ops.square(moved - later), axis=-1)
        parts["transition"] = 0.5 * error
        three = ops.concatenate([later, pair], axis=-1)
        reward = self.reward(self._split(three, self.rewards))
        reward = ops.reshape(reward, (-1,))
        parts["reward"] = 0.5 * ops.square(reward - batch["reward"][:, 0])
        logit = self.termination(self._split(three, self.members))
        logit, ended = ops.reshape(logit, (-1,)), 1.0 - batch["going"][:, 0]
        parts["termination"] = ops.softplus(logit) - ended * logit
        squares = sum(
            ops.sum(ops.square(kernel))
            for tower in (self.transition, self.reward, self.termination)
            for kernel in tower.kernels
        )
        total = sum(parts.values()) + self.decay * squares
        metrics = {f"{n}_loss": weighted_sum(v, weights) for n, v in parts.items()}
        return weighted_sum(total, weights), metrics

    # -- how it is trained -----------------------------------------------------------

    def groups(self) -> dict[str, list[keras.Variable]]:
        towers = (self.transition, self.reward, self.termination)
        dynamics = [v for tower in towers for v in tower.trainable_variables]
        return {**super().groups(), "dynamics": dynamics}

    # -- parts -----------------------------------------------------------------------

    def _pair(self, observation: Any, action: Any) -> Any:
        return ops.concatenate([observation, self.bounds.scale(action)], axis=-1)

    def _each(self, tower: Tower, inputs: Any) -> Any:
        """Every member of a tower on [M, B, ·] -> [members, M, B]."""
        rows = ops.reshape(inputs, (-1, inputs.shape[-1]))
        return ops.reshape(tower(rows), (tower.members, *inputs.shape[:-1]))

    def _split(self, rows: Any, members: int) -> Any:
        """[B, ·] -> [members, B / members, ·]."""
        if rows.shape[0] % members:
            raise ValueError(
                f"a batch of {rows.shape[0]} cannot be shared by {members} members"
            )
        return ops.reshape(rows, (members, -1, rows.shape[-1]))

    def _imagined_errors(self, seen: Any) -> Any:
        """Of the value on imagined states [B], each with the rest of the horizon as
        its target (the TDK trick of Feinberg et al.)."""
        imagined = self.imagine(seen, steps=self.horizon)
        later = ops.mean(imagined.values[-1], axis=0)  # [M, B]
        total = ops.zeros_like(seen[:, 0])
        for i in reversed(range(self.horizon)):
            going = imagined.alive[i + 1] / ops.maximum(imagined.alive[i], 1e-6)
            reward = ops.mean(imagined.rewards[i], axis=0)
            later = reward + self.discount * going * later
            state = ops.stop_gradient(imagined.states[i])
            action = ops.stop_gradient(self.bounds.squash(self.policy(state)))
            value = self._each(self.value, self._pair(state, action))
            error = 0.5 * ops.square(value - ops.stop_gradient(later))
            counts = ops.stop_gradient(imagined.alive[i])
            total = total + ops.mean(counts * ops.mean(error, axis=0), axis=0)
        return total
