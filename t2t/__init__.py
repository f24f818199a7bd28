"""t2t: Tensor2Tensor anew, for TensorFlow 2.21 and Keras 3.

    run = t2t.train(problem="algorithmic_reverse", output_dir="run")
    decoder = t2t.load("run")
    decoder.decode(["3 1 4 1 5"])

Nothing is imported before it is used: TensorFlow takes seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def train(
    *,
    problem: str,
    output_dir: str | Path,
    model: str | None = None,
    hparams_set: str | None = None,
    data_dir: str | Path | None = None,
    tmp_dir: str | Path | None = None,
    **knobs: Any,
) -> Path:
    """Trains as t2t-trainer does, and returns the run folder.

    Args:
      problem, model, hparams_set: names; `t2t-zoo list` shows them.
      output_dir: of the run; one that is there goes on.
      data_dir: of the shards; OUTPUT_DIR/data, made when needed, by default.
      tmp_dir: where downloads are kept.
      **knobs: of the set, such as train_steps=1000.

    Raises:
      ValueError: in one line, as the command says it.
    """
    from t2t import config as config_lib

    config = config_lib.load(hparams_set=hparams_set, problem=problem, model=model)
    for name, value in knobs.items():
        config.set_knob(name, value)
    from t2t.run.problems import ready_data

    data_dir = ready_data(
        config, output_dir=output_dir, data_dir=data_dir, tmp_dir=tmp_dir
    )
    from t2t import experiment

    experiment.train(config, output_dir=output_dir, data_dir=data_dir)
    return Path(output_dir)


def load(run: str | Path, *, checkpoint_path: str | Path | None = None) -> Any:
    """A trained run in memory, safe for threads.

    Returns:
      A `Decoder`: `t2t.load(run).decode([...])`; of an omni run a `Chat`:
      `t2t.load(run).chat(messages, modalities=("text", "audio"))`.

    Raises:
      RunError, CheckpointError: when there is no run, or no checkpoint in it.
    """
    from t2t import registry
    from t2t.run.folder import open_run

    _, config = open_run(run)
    model = registry.current().load("model", config.knob("model"))
    if hasattr(model, "speak"):
        from t2t.decode.chat import Chat

        return Chat.from_run(run, checkpoint_path=checkpoint_path)
    from t2t.decode.decoder import Decoder

    return Decoder.from_run(run, checkpoint_path=checkpoint_path)
