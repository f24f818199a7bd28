"""The evaluation of a run while it is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from t2t import config as config_lib
from t2t.config import Config
from t2t.decode import insides
from t2t.decode.decoder import Decoder
from t2t.evaluate import (
    EvaluationOptions,
    Losses,
    averaged,
    decode_split,
    one_pass,
    save_decodes,
)
from t2t.rl.play import Judge, film
from t2t.run import checkpoints
from t2t.run.checkpoints import Checkpoints
from t2t.run.folder import RunFolder
from t2t.run.log import MetricsLog
from t2t.run.report import write_report
from t2t.training.progress import say

DRAWN = 16  # pictures at an evaluation, at most


class Evaluation:
    """The loop's callback: losses and decodes of a split, best, report, early stop."""

    def __init__(
        self,
        config: Config,
        problem: Any,
        model: Any,
        run: RunFolder,
        log: MetricsLog,
        store: Checkpoints,
        *,
        data_dir: str | Path | None,
        jit: bool,
        average: Callable[[], list[Any]],
        split: str,
    ) -> None:
        self.options: EvaluationOptions = config_lib.build("evaluation")()
        self.config, self.problem, self.model = config, problem, model
        self.run, self.log, self.store = run, log, store
        self.data_dir, self.average, self.split = data_dir, average, split
        if problem.interactive:
            self.judge = Judge(problem, model, episodes=self.options.episodes)
        else:
            self.losses = Losses(problem, model, jit=jit)
        self.decoder: Decoder | None = None
        if self.options.decodes and not problem.interactive:
            self.decoder = Decoder(problem, model, max_length=config.knob("max_length"))
        self.sign = 1 if self.options.early_stopping_minimize else -1
        self.best: tuple[int, float] | None = None
        found = checkpoints.best(store.folder)
        if found is not None and found[1] == self.options.early_stopping_metric:
            self.best = (found[0], self.sign * found[2])

    def missed(self, start: int, last: int) -> bool:
        """Whether a run that goes on from `start` was killed before evaluating there.

        A checkpoint is saved before its evaluation, which may name it the best.
        """
        due = start % self.options.frequency == 0 or start == last
        return start > 0 and due and not self.log.holds(start, self.split)

    def __call__(self, step: int) -> bool:
        """Evaluates; True when training should stop."""
        with averaged(self.model, self.average()):
            values = self.evaluate(step)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        say(f"{self.split} at step {step}: {shown}")
        stops = self._judge(step, values)
        # Last, since it says that all this is done.
        self.log.write(step, values, split=self.split)
        write_report(self.run)
        return stops

    def evaluate(self, step: int) -> dict[str, float]:
        """{'loss', …, 'bleu', …} of the split, or {'episode_return', …}."""
        if self.problem.interactive:
            self._film(step)
            return self.judge(self.split)
        source = one_pass(self.problem, self.split, data_dir=self.data_dir)
        values = self.losses(source, self.options.steps)
        source.close()
        decodes = None
        if self.decoder is not None:
            decodes = decode_split(
                self.decoder,
                self.split,
                data_dir=self.data_dir,
                limit=self.options.decodes,
            )
            if decodes is not None:
                values.update(decodes.scores(self.problem.METRICS))
                save_decodes(self.run, decodes, self.decoder, step=step)
        insides.save(
            self.run,
            self.decoder,
            step=step,
            shares=self.losses.shares,
            pair=None if decodes is None else decodes.shown,
            drawn=min(DRAWN, self.options.decodes),
        )
        return values

    def _film(self, step: int) -> None:
        if self.options.video:
            self.run.videos.mkdir(exist_ok=True)
            path = self.run.videos / f"{step:08d}.{self.options.video}"
            film(self.problem, self.judge.policy, path, split=self.split)

    def _judge(self, step: int, values: dict[str, float]) -> bool:
        options = self.options
        name = options.early_stopping_metric
        if name not in values:
            raise config_lib.ConfigError(
                f"eval_early_stopping_metric={name!r} is none of this problem's: "
                f"{', '.join(values)}"
            )
        value = self.sign * values[name]
        if self.best is None or value < self.best[1] - options.early_stopping_delta:
            self.best = (step, value)
            self.store.mark_best(step, name, values[name])
        return self.exhausted(step)

    def exhausted(self, step: int) -> bool:
        """Whether the metric has not improved for as long as it is waited for."""
        patience = self.options.early_stopping_steps
        if not patience or self.best is None:
            return False
        return step - self.best[0] >= patience
