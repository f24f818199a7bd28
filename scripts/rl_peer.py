"""stable-baselines3's side of `bench_rl`, for an environment of its own.

    python scripts/rl_peer.py '{"rule": "ddpg", "task": "Pendulum-v1", …}'

Prints one line of JSON: frames and updates a second and CPU-seconds, both after the
first frames, and the greedy return at the end.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import SubprocVecEnv

OFF_POLICY = {"ddpg": sb3.DDPG, "td3": sb3.TD3, "sac": sb3.SAC}


class Clock(BaseCallback):
    """Notes the time, the CPU time and the updates after `first` frames."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first, self.noted = first, (0, 0, 0.0, 0.0)

    def now(self) -> tuple[int, int, float, float]:
        # DDPG and SAC count updates; PPO counts epochs.
        updates = self.model._n_updates
        return self.num_timesteps, updates, time.perf_counter(), time.process_time()

    def _on_step(self) -> bool:
        if not self.noted[0] and self.num_timesteps >= self.first:
            self.noted = self.now()
        return True


def make(work: dict[str, Any]) -> Any:
    """The algorithm as the work describes it."""
    rule, size = work["rule"], [work["hidden_size"]] * work["num_layers"]
    if rule == "ppo":
        kind = {"vec_env_cls": SubprocVecEnv} if work["way"] == "processes" else {}
        environments = make_vec_env(work["task"], 8, seed=work["seed"], **kind)
        return sb3.PPO(
            "MlpPolicy", environments, n_steps=128, batch_size=256, n_epochs=4,
            learning_rate=work["learning_rate"], ent_coef=work["entropy_bonus"],
            policy_kwargs={"net_arch": size}, seed=work["seed"], device="cpu",
            gamma=work["discount"],
        )  # fmt: skip
    environment = gymnasium.make(work["task"])
    actions = environment.action_space.shape[0]  # type: ignore[index]
    options: dict[str, Any] = {}
    if work["way"] == "episodes":  # as many updates after each as it had frames
        options = {"train_freq": (1, "episode"), "gradient_steps": -1}
    else:
        options = {"train_freq": 1, "gradient_steps": 1}
    if rule != "sac":
        noise = NormalActionNoise(np.zeros(actions), np.full(actions, 0.1))
        options["action_noise"] = noise
    return OFF_POLICY[rule](
        "MlpPolicy", environment, batch_size=work["batch"],
        learning_starts=work["random"], learning_rate=work["learning_rate"],
        policy_kwargs={"net_arch": size}, seed=work["seed"], device="cpu", **options,
    )  # fmt: skip


def greedy_return(model: Any, work: dict[str, Any]) -> float:
    """The mean of 10 episodes without exploration."""
    environment, totals = gymnasium.make(work["task"]), []
    for episode in range(10):
        seen, _ = environment.reset(seed=10_000 + episode)
        total, ended = 0.0, False
        while not ended:
            action, _ = model.predict(seen, deterministic=True)
            seen, reward, terminated, truncated, _ = environment.step(action)
            total, ended = total + float(reward), terminated or truncated
        totals.append(total)
    return float(np.mean(totals))


def main() -> None:
    work = json.loads(sys.argv[1])
    torch.set_num_threads(work["threads"])
    model = make(work)
    clock = Clock(work["first"])
    model.learn(work["frames"], callback=clock)
    frames, updates, wall, cpu = (
        after - before for after, before in zip(clock.now(), clock.noted, strict=True)
    )
    found = {
        "frames_per_second": frames / wall,
        "updates_per_second": updates / wall,
        "frames_per_cpu_second": frames / cpu,
        "return": greedy_return(model, work) if work["judged"] else None,
        "code": f"stable-baselines3 {sb3.__version__}, torch {torch.__version__}",
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
