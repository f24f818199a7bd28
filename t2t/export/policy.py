"""A model that acts as a SavedModel: what is observed in, actions out.

policy = tf.saved_model.load(FOLDER)
action = policy.act(observation=[[0.1, -0.2, 0.0]])["action"]
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from t2t.decode.decoder import load_model
from t2t.features import Feature
from t2t.run import checkpoints
from t2t.run.folder import open_run


def export_policy(
    run: str | Path, folder: str | Path, *, checkpoint_path: str | Path | None = None
) -> Path:
    """Writes a run's policy, without exploration, to a folder that is not there yet.

    Its function `act`, the signature `serving_default`, takes what the problem shows
    by name, [N, …] for any N, and gives {'action': [N, …]}.

    Raises:
      RunError, CheckpointError: when there is no run or no checkpoint.
      ValueError: when its model does not act; when the folder is there.
    """
    opened, config = open_run(run)
    path = checkpoints.resolve(checkpoint_path or opened.path)
    problem, model = load_model(opened, config, path)
    if not hasattr(model, "act"):
        raise ValueError(f"{run} holds a {config.knob('model')}, which does not act")
    return save_policy(model, problem.offered(), Path(folder))


def save_policy(model: Any, features: dict[str, Feature], folder: Path) -> Path:
    """See `export_policy`."""
    if hasattr(model, "start"):
        raise ValueError(f"{model.name} remembers an episode: that is not exported yet")
    if folder.exists():
        raise ValueError(f"{folder} is there: name a folder to be made")
    seen = {
        name: tf.TensorSpec((None, *feature.shape), feature.dtype, name=name)
        for name, feature in features.items()
        if name != "action"
    }

    def act(**observation: Any) -> dict[str, Any]:
        zero = tf.constant(0, tf.int32)
        action, _, _ = model.act(observation, (), seed=zero, explore=tf.constant(0.0))
        return {"action": action}

    module = tf.Module()
    module.variables_kept = [v.value for v in model.variables]  # type: ignore
    module.act = tf.function(act, autograph=False, reduce_retracing=False)  # type: ignore
    concrete = module.act.get_concrete_function(**seen)  # type: ignore
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    tf.saved_model.save(module, str(temporary), signatures=concrete)
    temporary.replace(folder)
    return folder
