"""A trained tokenizer as a vocabulary file, for the data folder of other problems."""

from __future__ import annotations

from pathlib import Path

from t2t.decode.decoder import load_model
from t2t.media import tokenizers
from t2t.run import checkpoints
from t2t.run.folder import open_run
from t2t.text import files


def export_tokenizer(
    run: str | Path, folder: str | Path, *, checkpoint_path: str | Path | None = None
) -> Path:
    """Writes FOLDER/MODEL.npz from a run's best, newest or given checkpoint.

    Raises:
      RunError, CheckpointError: when there is no run or no checkpoint.
      ValueError: when its model is no tokenizer.
    """
    opened, config = open_run(run)
    path = checkpoints.resolve(checkpoint_path or opened.path)
    problem, model = load_model(opened, config, path)
    if not hasattr(model, "TOKENIZES"):
        raise ValueError(
            f"{run} holds a {config.knob('model')}, which is no tokenizer "
            "(speech_codec and image_tokenizer are) and does not act"
        )
    content = tokenizers.freeze(model, problem.offered())
    return files.write(Path(folder), f"{model.name}.npz", content)
