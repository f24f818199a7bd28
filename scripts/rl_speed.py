"""How fast acting and learning are, beside others, and where the time goes.

For `bench_rl speed` and `bench_rl parts`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / ".venv-sb3"
NEEDS = [
    "stable-baselines3==2.9.2", "gymnasium[classic-control,mujoco]", "tyro",
    "tensorboard",
]  # fmt: skip

# The same towers, batches and updates a frame for everybody.
WORKS: dict[str, dict[str, Any]] = {
    "ddpg": {
        "task": "HalfCheetah-v5", "problem": "gym_half_cheetah", "set": "ddpg_small",
        "hidden_size": 128, "num_layers": 2, "batch": 128, "random": 1_000,
        "first": 2_000, "frames": 8_000, "learning_rate": 1e-3,
        "ways": ("steps", "episodes"),
    },
    "sac": {
        "task": "HalfCheetah-v5", "problem": "gym_half_cheetah", "set": "sac_small",
        "hidden_size": 128, "num_layers": 2, "batch": 128, "random": 1_000,
        "first": 2_000, "frames": 5_000, "learning_rate": 1e-3,
        "ways": ("steps", "episodes"),
    },
    "ppo": {
        "task": "HalfCheetah-v5", "problem": "gym_half_cheetah", "set": "ppo_small",
        "hidden_size": 64, "num_layers": 2, "first": 8_192, "frames": 65_536,
        "learning_rate": 3e-4, "entropy_bonus": 0.0, "discount": 0.99,
        "ways": ("one process", "processes"),
    },
}  # fmt: skip


def peer_python() -> Path | None:
    """The interpreter of the second environment; None, loudly, where there is none."""
    python = PEER / "bin" / "python"
    if (PEER / "installed").is_file():
        return python
    base = shutil.which("python3.11") or sys.executable
    print("making .venv-sb3 (once)", file=sys.stderr)
    try:
        subprocess.run([base, "-m", "venv", PEER], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *NEEDS], check=True)
    except subprocess.CalledProcessError as error:
        print(f"\n*** NO stable-baselines3 HERE: {error}. Only our own follow. ***\n")
        return None
    (PEER / "installed").write_text(" ".join(NEEDS))
    return python


def ask_peer(python: Path, work: dict[str, Any], *, threads: int) -> dict[str, Any]:
    """What stable-baselines3 makes of a work."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONPATH", None)
    program = ROOT / "scripts" / "rl_peer.py"
    done = subprocess.run(
        [python, program, json.dumps({**work, "threads": threads})],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"stable-baselines3: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ask_cleanrl(
    python: Path, program: Path, work: dict[str, Any], *, threads: int
) -> dict[str, float]:
    """Frames a second of CleanRL's own ppo_continuous_action.py, as it prints them."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [python, program.resolve(), f"--env-id={work['task']}",
             f"--total-timesteps={work['frames']}", "--num-envs=8", "--num-steps=128",
             "--num-minibatches=4", "--update-epochs=4", "--no-cuda"],
            capture_output=True, text=True, env=environment, cwd=folder,
        )  # fmt: skip
    found = re.findall(r"SPS: (\d+)", done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"{program}: {done.stderr[-2000:]}")
    return {"frames_per_second": float(found[-1])}


def ask_ours(work: dict[str, Any], **knobs: Any) -> dict[str, float]:
    """The trainer's own figures, over its windows after the first frames."""
    knobs = {
        "hidden_size": work["hidden_size"],
        "num_layers": work["num_layers"],
        "local_eval_frequency": 10**9,
        "save_frequency": 10**9,
        "learning_rate_constant": work["learning_rate"],
        **knobs,
    }
    if "batch" in work:
        steps = work["frames"] - work["random"]
        knobs |= {
            "examples_per_batch": work["batch"],
            "samples_per_insert": float(work["batch"]),
            "min_size": work["random"],
            "random_steps": work["random"],
            "log_frequency": 1_000,
        }
    else:
        steps = work["frames"] // 1024 * 16  # 4 minibatches, 4 times over
        knobs |= {"log_frequency": 128, "entropy_bonus": work["entropy_bonus"]}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "t2t.bin.trainer", f"--problem={work['problem']}",
             f"--hparams_set={work['set']}", f"--output_dir={folder}",
             f"--train_steps={steps}", "--schedule=train",
             "--hparams=" + ",".join(f"{k}={v!r}" for k, v in knobs.items())],
            capture_output=True, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    first = next(r for r in records if r["frames"] >= work["first"])
    last = records[-1]
    between = {n: last[n] - first[n] for n in ("frames", "step", "cpu_seconds")}
    wall = last["seconds"] - first["seconds"]
    return {
        "frames_per_second": between["frames"] / wall,
        "updates_per_second": between["step"] / wall,
        "frames_per_cpu_second": between["frames"] / between["cpu_seconds"],
    }


def speed(rules: list[str], rounds: int, cleanrl: Path | None) -> None:
    """Prints ours beside the peers' best setting, medians of the rounds."""
    python = peer_python()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(f"{'':6}{'':44}{'frames/s':>10}{'frames/CPU-s':>14}{'ours / it':>11}")
    for rule in rules:
        work = {"rule": rule, "seed": 0, "judged": False, **WORKS[rule]}
        rows: dict[str, list[dict[str, Any]]] = {}
        for _ in range(rounds):
            rows.setdefault("t2t", []).append(ask_ours(work))
            for name, ask in _peers(python, cleanrl, work).items():
                rows.setdefault(name, []).append(ask())
        pace = {
            name: _median(found, "frames_per_second") for name, found in rows.items()
        }
        for name, found in rows.items():
            cpu = _median(found, "frames_per_cpu_second")
            ratio = "" if name == "t2t" else f"{pace['t2t'] / pace[name]:11.2f}"
            cost = f"{cpu:14.0f}" if cpu else f"{'-':>14}"
            print(f"{rule:6}{name:44}{pace[name]:10.0f}{cost}{ratio}", flush=True)


def _peers(
    python: Path | None, cleanrl: Path | None, work: dict[str, Any]
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Each peer in each of its settings."""
    found: dict[str, Callable[[], dict[str, Any]]] = {}
    if python is None:
        return found
    settings = [(way, 1) for way in work["ways"]] + [(work["ways"][0], 2)]
    for way, threads in settings:
        name = f"stable-baselines3 2.9.2, {way}, {threads} thread(s)"
        one = {**work, "way": way}
        found[name] = lambda one=one, t=threads: ask_peer(python, one, threads=t)
    if cleanrl is not None and work["rule"] == "ppo":
        for threads in (1, 2):
            name = f"CleanRL {cleanrl.name}, {threads} thread(s)"
            found[name] = lambda t=threads: ask_cleanrl(
                python, cleanrl, work, threads=t
            )
    return found


def _median(found: list[dict[str, Any]], name: str) -> float:
    values = [one[name] for one in found if name in one]
    return statistics.median(values) if values else 0.0


# -- where the time goes -------------------------------------------------------------

PARTS = [
    ("gym_pendulum", "ddpg_small", 3_000),
    ("gym_half_cheetah", "sac_small", 3_000),
    ("gym_half_cheetah", "steve_small", 1_500),
    ("gym_cart_pole", "ppo_small", 16_384),
    ("catch", "rainbow_small", 4_000),
]


class Parts:
    """CPU-seconds by what they were spent on; what is nested counts for itself."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inside = 0.0

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            outer, self._inside = self._inside, 0.0
            begin = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.process_time() - begin
                own = took - self._inside
                self.spent[name] = self.spent.get(name, 0.0) + own
                self._inside = outer + took

        return timed


def parts() -> None:
    """Prints the CPU cost of an environment step: environment, actor, replay, step."""
    names = ("environment", "actor", "replay", "step")
    print(f"{'CPU-us a frame':36}" + "".join(f"{name:>13}" for name in names))
    for problem, hparams_set, frames in PARTS:
        spent, counted = _parts(problem, hparams_set, frames)
        cells = "".join(f"{spent[name] / counted * 1e6:13.0f}" for name in names)
        print(f"{problem + ', ' + hparams_set:36}{cells}", flush=True)


def _parts(problem: str, hparams_set: str, frames: int) -> tuple[dict[str, float], int]:
    """(CPU-seconds by part, frames), after everything has been compiled."""
    from t2t import config as config_lib
    from t2t import experiment
    from t2t.rl import local
    from t2t.training import tensorflow_devices as devices

    config = config_lib.load(hparams_set=hparams_set, problem=problem)
    for knob in ("min_size", "random_steps", "pretrain"):
        if config.knob(knob) > 100:
            config.set_knob(knob, 100)
    made = experiment.prepare(config)
    options = config_lib.build("experiment")()
    step_options = config_lib.build("step")()
    strategy = devices.make_strategy("none")
    step = experiment.make_step(config, made, options, step_options, strategy)
    clock = Parts()
    with tempfile.TemporaryDirectory() as folder:
        source = local.acting(made, step.model, seed=0, folder=Path(folder))
        actor = source.actor

        def once(number: int) -> None:
            batch = take()
            metrics = learn(number, batch)
            if "priority" in metrics:
                give(batch, metrics["priority"].numpy())

        take, learn, give = source.__next__, step, source.feedback
        number = 0
        while actor.frames < frames // 5:
            once(number)
            number += 1
        before = actor.frames
        actor.environments.step = clock.wrap("environment", actor.environments.step)
        actor.policy = clock.wrap("actor", actor.policy)  # type: ignore[assignment]
        take = clock.wrap("replay", source.__next__)
        give = clock.wrap("replay", source.feedback)
        learn = clock.wrap("step", step)
        while actor.frames < frames:
            once(number)
            number += 1
        source.close()
    return clock.spent, actor.frames - before
