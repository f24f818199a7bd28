"""What a compiler needs of a run: a policy that answers it, as flat weights.

advice.bin      t2t_bridge.h's model:FILE, and `t2t-cc`'s
policy.h        C, for a compiler that links it in
policy.onnx, policy.tflite    where their writers are installed
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from t2t.bridge.flat import (
    Bucketise,
    FlatPolicy,
    Layer,
    Squares,
    Standardise,
    mlp,
)
from t2t.bridge.specs import scalar
from t2t.decode.decoder import load_model
from t2t.export.flat_graphs import write_litert, write_onnx
from t2t.export.flat_header import write_header
from t2t.layers.ranks import LADDER, MEAN, SCALE
from t2t.run import checkpoints
from t2t.run.folder import RunFolder, open_run

FILE = "advice.bin"

log = logging.getLogger(__name__)


def flat_policy(problem: Any, model: Any) -> FlatPolicy:
    """The policy of a model that decides for a compiler, without exploration.

    Raises:
      ValueError: for a model whose layers flat weights do not have.
    """
    if not getattr(model, "discrete", False) or model.encoder.ranks is None:
        raise ValueError(
            f"{model.name} is not ranks and dense layers: flat weights have no others"
        )
    header = problem.header
    features = [spec for spec in header.features if spec.name != header.default]
    width = len(features)
    before: list[Layer] = [
        Bucketise((LADDER,) * width),
        Standardise(np.full(width, MEAN, "f4"), np.full(width, SCALE, "f4")),
        Squares(),
    ]
    pairs = zip(model.policy.kernels, model.policy.biases, strict=True)
    kernels = [(np.array(kernel), np.array(bias)) for kernel, bias in pairs]
    advice = header.advice or scalar("advice")
    return mlp(features, advice, kernels, before=before)


def policy_of(
    run: str | Path, *, checkpoint_path: str | Path | None = None
) -> tuple[Any, FlatPolicy]:
    """The problem and the policy of a run.

    Raises:
      RunError, CheckpointError: when there is no run or no checkpoint.
      ValueError: when it does not decide for a compiler.
    """
    opened, config = open_run(run)
    path = checkpoints.resolve(checkpoint_path or opened.path)
    problem, model = load_model(opened, config, path)
    if not hasattr(problem, "header"):
        raise ValueError(f"{config.knob('problem')} is not about a compiler")
    return problem, flat_policy(problem, model)


def export_advice(
    run: str | Path, folder: str | Path, *, checkpoint_path: str | Path | None = None
) -> Path:
    """Writes a run's policy in all forms there are writers for."""
    _, policy = policy_of(run, checkpoint_path=checkpoint_path)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    policy.save(folder / FILE)
    write_header(policy, folder / "policy.h")
    for write, name in ((write_onnx, "policy.onnx"), (write_litert, "policy.tflite")):
        try:
            write(policy, folder / name)
        except ImportError as error:
            log.warning("no %s: %s", name, error)
    return folder


def kept(run: str | Path) -> Path:
    """The flat weights of a run's best checkpoint, written into it when missing."""
    folder, _ = open_run(run)
    path, newest = folder.path / FILE, checkpoints.resolve(folder.path)
    if not path.exists() or path.stat().st_mtime < newest.stat().st_mtime:
        policy_of(RunFolder(folder.path).path)[1].save(path)
    return path
