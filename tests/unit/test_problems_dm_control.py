"""dm_control's tasks, and drawing where TensorFlow is not."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import kit
import numpy as np
import pytest

from t2t import registry
from t2t.problems.control import Elsewhere
from t2t.problems.dm_control import DmControl
from t2t.problems.problem import DataUnavailable

DRAW = """
import tensorflow  # whose LLVM is not Mesa's
from t2t import registry
from t2t.problems.problem import DataUnavailable
problem = registry.current().load("problem", {name!r})()
problem.name = {name!r}
try:
    drawn = problem.environments("test", 1, seed=0, render=True)
except DataUnavailable as error:
    print("unavailable:", error)
else:
    plain = problem.environments("test", 1, seed=0)
    for one in (drawn, plain):
        one.reset()
    action = problem.environment("test").action_space.sample()[None]
    for _ in range(5):
        a, b = drawn.step(action), plain.step(action)
    picture = drawn.render()
    drawn.close()
    same = (a.observation["observation"] == b.observation["observation"]).all()
    print(picture.shape, picture.dtype, picture.std() > 1, same)
"""


def _make(name: str) -> DmControl:
    return kit.simulator(name)


def _major(package: str) -> int:
    try:
        return int(importlib.metadata.version(package).split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("name", ["dm_cartpole_swingup", "dm_finger_spin"])
def test_an_episode_is_cut_after_1000_steps(name: str) -> None:
    problem = _make(name)
    environment = problem.environment("train")
    environment.reset(seed=0)
    rewards, ends = [], []
    for _ in range(1000):
        action = environment.action_space.sample()
        _, reward, terminated, truncated, _ = environment.step(action)
        rewards.append(reward)
        ends.append((terminated, truncated))
    assert ends[-1] == (False, True) and set(ends[:-1]) == {(False, False)}
    assert 0.0 <= min(rewards) and max(rewards) <= 1.0


def test_what_is_observed_is_one_vector() -> None:
    shapes = {
        name: _make(name).features["observation"].shape
        for name in ("dm_reacher_easy", "dm_hopper_hop", "dm_walker_walk")
    }
    assert shapes == {
        "dm_reacher_easy": (6,),
        "dm_hopper_hop": (15,),
        "dm_walker_walk": (24,),
    }


def test_dm_control_still_asks_for_what_mujoco_4_has_not() -> None:
    """When this fails, setup.py need not hold MuJoCo below 4."""
    if _major("mujoco") < 4 or _major("dm_control") < 0:
        pytest.skip("needs MuJoCo 4")
    problem = registry.current().load("problem", "dm_cartpole_swingup")()
    problem.name = "dm_cartpole_swingup"
    with pytest.raises(DataUnavailable, match=r"flex_vertedge.*\.\[dm_control\]"):
        problem.environment("train")
    assert os.environ.get("MUJOCO_GL") != "disable"


@pytest.mark.parametrize("name", ["gym_hopper", "dm_walker_walk"])
def test_mujoco_is_drawn_beside_tensorflow(name: str) -> None:
    if name.startswith("dm_"):
        _make(name)
    found = subprocess.run(
        [sys.executable, "-c", DRAW.format(name=name)], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr[-2000:]
    if "unavailable:" in found.stdout:
        pytest.skip(found.stdout)
    size = {"gym_hopper": (480, 480, 3), "dm_walker_walk": (240, 320, 3)}[name]
    assert found.stdout.splitlines()[-1] == f"{size} uint8 True True"


def test_what_goes_wrong_elsewhere_is_said_here() -> None:
    with pytest.raises(DataUnavailable, match=r"^this cannot .*\(its process .* 3\)"):
        Elsewhere(os._exit, 3)  # type: ignore[arg-type]
    with pytest.raises(DataUnavailable, match=r"\(.*invalid literal.*\): apt install"):
        Elsewhere(int, "x")  # type: ignore[arg-type]


def test_it_ends_with_its_parent() -> None:
    from t2t.problems.control import _gymnasium

    pytest.importorskip("gymnasium")
    try:
        environment = Elsewhere(_gymnasium, "Hopper-v5", 0.0, True)
    except DataUnavailable as error:
        pytest.skip(str(error))
    assert environment.reset(seed=1)[0].shape == (11,)
    assert np.asarray(environment.render()).shape == (480, 480, 3)
    environment.close()
    assert environment._process.returncode == 0
