"""What `--schedule` composes: data, training, evaluation, acting and the run folder."""

from t2t.experiment.dry_run import dry_run
from t2t.experiment.judging import continuous_eval, evaluate, examine
from t2t.experiment.training import Remote, act, make_step, prepare, train

__all__ = [
    "Remote",
    "act",
    "continuous_eval",
    "dry_run",
    "evaluate",
    "examine",
    "make_step",
    "prepare",
    "train",
]
