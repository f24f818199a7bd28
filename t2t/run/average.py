"""Runs whose weights are the average of another's last checkpoints.

As in Vaswani et al. (arXiv:1706.03762), section 6.1, and Tensor2Tensor's t2t-avg-all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t2t.run import checkpoints
from t2t.run.checkpoints import CheckpointError, Checkpoints
from t2t.run.folder import RunFolder, open_run


def average_all(model_dir: str | Path, output_dir: str | Path, *, n: int) -> list[Path]:
    """Makes a run that holds, of each checkpoint, the mean of it and those before it.

    Args:
      n: how many are averaged; of fewer than two nothing is written.

    Returns:
      What was written, oldest first. Moving averages of weights are averaged as they
      are; optimizers are left out.

    Raises:
      RunError, CheckpointError: when there is no run, or too few checkpoints.
      ValueError: when output_dir is there.
    """
    run, _ = open_run(model_dir)
    made = RunFolder(Path(output_dir))
    if made.path.exists():
        raise ValueError(f"{output_dir} is there: name a folder to be made")
    steps = checkpoints.steps_in(run.checkpoints)
    if len(steps) < 2:
        raise CheckpointError(
            f"{model_dir} has {len(steps)} checkpoint(s): there is nothing to average. "
            "--hparams=save_frequency=… and --keep_checkpoint_max=… keep more"
        )
    temporary = RunFolder(made.path.with_name(f".{made.path.name}.tmp"))
    shutil.rmtree(temporary.path, ignore_errors=True)
    temporary.path.mkdir(parents=True)
    shutil.copy(run.config, temporary.config)
    shutil.copy(run.description, temporary.description)
    shutil.copytree(run.vocabularies, temporary.vocabularies)
    store = Checkpoints(temporary.checkpoints, keep=len(steps))
    for step, arrays in _averages(run, steps, n):
        store.save(step, arrays, {"source": None}, block=True)
    temporary.path.replace(made.path)
    written = checkpoints.steps_in(made.checkpoints)
    return [checkpoints.path_of(made.checkpoints, step) for step in written]


def _averages(
    run: RunFolder, steps: list[int], n: int
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(step, arrays) of every step with as many before it as are averaged."""
    count = min(n, len(steps))
    for last in range(count, len(steps) + 1):
        window = steps[last - count : last]
        total: dict[str, np.ndarray] = {}
        arrays: dict[str, np.ndarray] = {}
        for step in window:
            arrays, _ = checkpoints.read(checkpoints.path_of(run.checkpoints, step))
            for name, array in arrays.items():
                if not name.startswith("optimizer/"):
                    total[name] = total.get(name, 0) + array.astype(np.float64)
        mean = {n: (a / count).astype(arrays[n].dtype) for n, a in total.items()}
        yield window[-1], mean
