"""What `--schedule` composes: data, training, evaluation and the run folder.

The way of a run: configuration → problem → data → model → step → loop, with an
evaluation as the loop's callback. Everything that can be wrong is looked at in
that order, before anything is written.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from t2t import config as config_lib
from t2t import registry
from t2t.config import Config
from t2t.decode.chat import Chat
from t2t.decode.decoder import Decoder
from t2t.decode.options import DecodeOptions
from t2t.evaluate import (
    EvaluationOptions,
    Losses,
    averaged,
    check_metric,
    decode_split,
    one_pass,
    save_decodes,
)
from t2t.features import check_match
from t2t.optimizers import optimizers  # noqa: F401  registers `optimizer`
from t2t.rl import fed, local
from t2t.rl import remote as remote_actor
from t2t.rl.play import Judge, film
from t2t.run import build, checkpoints
from t2t.run.checkpoints import Checkpoints
from t2t.run.folder import RunFolder, create, open_run
from t2t.run.log import MetricsLog
from t2t.run.problems import make_examination, make_problem
from t2t.run.report import write_report
from t2t.training import devices, loop, memory
from t2t.training.step import Step, StepOptions


@registry.configurable("experiment")
@dataclasses.dataclass(frozen=True)
class ExperimentOptions:
    """Knobs of a run as a whole; see hparams/base.gin."""

    seed: int = 0
    keep_checkpoint_max: int = 5
    strategy: str = "auto"
    dtype: str = "auto"
    jit: bool | None = None


@dataclasses.dataclass(frozen=True)
class Remote:
    """The table's server between a learner and its actors.

    address: of the server; for a learner HOST:PORT at which others may connect.
    secret: that a TCP client must know.
    """

    address: str = ""
    secret: str = ""


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def prepare(config: Config) -> Any:
    """Checks a configuration and builds its problem; nothing is written.

    Raises:
      ConfigError, UnknownName, FeatureMismatch: in one line each.
    """
    check_match(config.knob("problem"), config.knob("model"))
    problem = make_problem(config)
    build.apply(config)
    return problem


def train(
    config: Config,
    *,
    output_dir: str | Path,
    data_dir: str | None = None,
    schedule: str = "train_and_evaluate",
    warm_start_from: str | None = None,
    test_set: bool = False,
    remote: Remote | None = None,
) -> loop.Result:
    """Trains the run in `output_dir`, from its newest checkpoint if it has one.

    Args:
      config: checked; see `t2t.config.load`.
      schedule: 'train', or 'train_and_evaluate'.
      warm_start_from: a run or checkpoint whose fitting weights a new run begins
        with.
      test_set: evaluate on the test split in place of dev.
      remote: where actors of an interactive problem may come from elsewhere.
    """
    problem = prepare(config)
    options: ExperimentOptions = config_lib.build("experiment")()
    strategy = devices.make_strategy(options.strategy)
    step_options: StepOptions = config_lib.build("step")()
    multiple = strategy.num_replicas_in_sync * step_options.accumulate
    source: Any = None
    if not problem.interactive:
        source = config_lib.build("batches")(
            problem, "train", data_dir=data_dir, seed=options.seed, multiple_of=multiple
        )
    parameters = build.count_parameters(config, problem.offered())
    memory.check_parameters(parameters, memory.available())
    step = make_step(config, problem, options, step_options, strategy)
    if problem.interactive:
        source = _experience(problem, step.model, options, Path(output_dir), remote)
    first = source.peek()
    needed = memory.footprint(step, first)
    memory.check(needed, memory.available())

    # Of several workers the chief writes the run; the others keep notes in its folder.
    worker = devices.worker_number(strategy)
    root = Path(output_dir)
    own = root / "workers" / str(worker) if worker else root
    evaluates = schedule == "train_and_evaluate" and worker == 0
    if evaluates:
        check_metric(config_lib.build("evaluation")(), problem, step.model)
    store = Checkpoints(
        RunFolder(root).checkpoints,
        keep=options.keep_checkpoint_max,
        write=worker == 0,
    )
    start = _restore(store, step, source, warm_start_from)
    run = create(own, config, data_dir=data_dir)
    problem.save_vocabularies(run.vocabularies)
    _announce(config, needed, first, step)
    log = MetricsLog(run, after_step=start)
    evaluation = None
    if evaluates:
        evaluation = Evaluation(
            config, problem, step.model, run, log, store,
            data_dir=data_dir, jit=step.jit, average=lambda: step.ema,
            split="test" if test_set else "dev",
        )  # fmt: skip
    result = _loop(config, step, source, store, log, start, evaluation)
    source.close()
    log.close()
    write_report(run)
    done = f"nothing to do: {result.reason}" if start == result.step else result.reason
    say(f"{done} at step {result.step}: {run.path}")
    return result


def _experience(
    problem: Any,
    model: Any,
    options: ExperimentOptions,
    folder: Path,
    remote: Remote | None,
) -> Any:
    """The batches of an interactive problem: acted for here, or by actors."""
    if remote is None and not config_lib.build("acting")().actors:
        return local.acting(problem, model, seed=options.seed, folder=folder / "replay")
    remote = remote or Remote()
    return fed.fed(
        problem,
        model,
        seed=options.seed,
        folder=folder,
        listen=remote.address,
        secret=remote.secret,
    )


def act(config: Config, remote: Remote, *, weights: str = "", number: int = 0) -> None:
    """Acts for a learner elsewhere, until it has gone."""
    problem = prepare(config)
    options: ExperimentOptions = config_lib.build("experiment")()
    model = build.make_model(config, problem.offered(), seed=options.seed)
    remote_actor.act(
        problem,
        model,
        replay=remote.address,
        secret=remote.secret,
        weights=weights,
        number=number,
        seed=options.seed,
    )


def _announce(
    config: Config, needed: memory.Footprint, batch: dict[str, Any], step: Step
) -> None:
    """Says what is about to be trained, and how large it is."""
    rows, slots = _shape_of(batch)
    say(
        f"{config.knob('model')} on {config.knob('problem')}: "
        f"{needed.parameters:,} parameters; about {needed.total / 1e9:.1f} GB; "
        f"{slots} slots a batch ({rows} rows), {step.strategy.num_replicas_in_sync} "
        f"replica(s), XLA {'on' if step.jit else 'off'}"
    )


def _loop(
    config: Config,
    step: Step,
    source: Any,
    store: Checkpoints,
    log: MetricsLog,
    start: int,
    evaluation: Evaluation | None,
) -> loop.Result:
    """The training loop, with the evaluation as its callback."""
    callbacks = []
    if evaluation is not None:
        callbacks.append(loop.Callback(evaluation, evaluation.options.frequency))
        if evaluation.missed(start, config.knob("train_steps")):
            evaluation(start)
        if evaluation.exhausted(start):
            return loop.Result(start, "stopped early", float("nan"))
    return config_lib.build("train")(
        step, source, store, log=log, start=start, callbacks=callbacks
    )


def _restore(
    store: Checkpoints, step: Step, source: Any, warm_start_from: str | None
) -> int:
    """The step to go on from: of the newest checkpoint, or 0 after a warm start."""
    restored = store.restore(step.variables())
    if restored is not None:
        start, state = restored
        source.restore(state["source"])
        say(f"going on from step {start} in {store.folder.parent}")
        return start
    if warm_start_from:
        loaded, left = checkpoints.warm_start(step.variables(), warm_start_from)
        such = f" (such as {left[0]})" if left else ""
        say(
            f"warm start from {warm_start_from}: {len(loaded)} arrays loaded, "
            f"{len(left)} not{such}"
        )
    return 0


def make_step(
    config: Config,
    problem: Any,
    options: ExperimentOptions,
    step_options: StepOptions,
    strategy: tf.distribute.Strategy,
) -> Step:
    dtype = devices.default_dtype() if options.dtype == "auto" else options.dtype
    with strategy.scope():
        model = build.make_model(
            config, problem.offered(), dtype=dtype, seed=options.seed
        )
    return Step(
        model,
        config_lib.build("optimizer"),
        options=step_options,
        strategy=strategy,
        jit=options.jit,
        seed=options.seed,
    )


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
        if self.options.decode_examples:
            decodes = decode_split(
                self.decoder,
                self.split,
                data_dir=self.data_dir,
                limit=self.options.decode_examples,
            )
            if decodes is not None:
                values.update(decodes.scores(self.problem.METRICS))
                save_decodes(self.run, decodes, self.decoder, step=step)
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


def evaluate(
    output_dir: str | Path,
    *,
    problem: str | None = None,
    data_dir: str | None = None,
    checkpoint_path: str | None = None,
    split: str = "dev",
    eval_steps: int | None = None,
    decode_examples: int | None = None,
    options: DecodeOptions | None = None,
) -> dict[str, float]:
    """Evaluates a run's best or newest checkpoint, or a given one, on a split.

    Args:
      problem: another than the run's, with its vocabularies: only the loss is told.
      eval_steps: batches to read, 0 for all; the run's own number by default.
      decode_examples: sentences to decode, 0 for none; all by default.

    Raises:
      RunError, CheckpointError: when there is nothing to evaluate.
      ValueError: for a problem that is not read as the run's is.
    """
    folder, config = open_run(output_dir)
    path = checkpoints.resolve(checkpoint_path or folder.path)
    decoder = Decoder.from_run(output_dir, checkpoint_path=path)
    if decoder.problem.interactive:
        episodes = config_lib.build("evaluation")().episodes
        return Judge(decoder.problem, decoder.model, episodes=episodes)(split)
    data_dir = data_dir or folder.describe().get("data_dir")
    steps = config.knob("eval_steps") if eval_steps is None else eval_steps
    asked = _another(problem, folder, decoder) if problem else decoder.problem
    losses = Losses(asked, decoder.model, jit=decoder.model.JIT)
    source = one_pass(asked, split, data_dir=data_dir)
    values = losses(source, steps)
    source.close()
    decodes = None
    if decode_examples != 0 and asked is decoder.problem:
        decodes = decode_split(
            decoder,
            split,
            data_dir=data_dir,
            limit=decode_examples or 0,
            options=options,
        )
    if decodes is not None:
        values.update(decodes.scores(decoder.problem.METRICS))
    return values


def _another(name: str, folder: RunFolder, decoder: Decoder) -> Any:
    """A problem by name, read with a run's vocabularies."""
    problem = make_problem(Config(knobs={"problem": name}))
    problem.load_vocabularies(folder.vocabularies)
    given, read = (
        {n: f.bare for n, f in features.items()}
        for features in (problem.offered(), decoder.features)
    )
    if given != read:
        raise ValueError(f"{name} has the features {given}; the run reads {read}")
    return problem


def examine(
    output_dir: str | Path,
    examination: str,
    *,
    data_dir: str | None = None,
    checkpoint_path: str | None = None,
    questions: int | None = None,
    as_json: bool = False,
) -> None:
    """Prints how a run does in an examination, a problem of its own, part by part.

    Raises:
      RunError, CheckpointError, UnknownName: in one line each.
      ValueError: when the run cannot sit it.
    """
    folder, _ = open_run(output_dir)
    problem = make_examination(examination, questions)
    chat = Chat.from_run(output_dir, checkpoint_path=checkpoint_path)
    data = Path(data_dir or folder.describe().get("data_dir") or ".")
    scores = []
    for score in problem.examine(chat, data_dir=data, tmp_dir=data / "tmp"):
        scores.append(score)
        if not as_json:
            print(problem.row(score), flush=True)
    if as_json:
        print(json.dumps([problem.record(score) for score in scores]))


def continuous_eval(
    output_dir: str | Path,
    *,
    data_dir: str | None = None,
    split: str = "dev",
    poll_seconds: float = 10.0,
) -> None:
    """Evaluates every new checkpoint of a run that another process trains, until
    its last step."""
    folder, config = open_run(output_dir)
    until_step = config.knob("train_steps")
    seen = 0
    while seen < until_step:
        new = [s for s in checkpoints.steps_in(folder.checkpoints) if s > seen]
        for step in new:
            path = checkpoints.path_of(folder.checkpoints, step)
            if path.exists():  # the trainer may have removed it since
                values = evaluate(
                    output_dir,
                    data_dir=data_dir,
                    checkpoint_path=str(path),
                    split=split,
                    decode_examples=config.knob("decode_examples"),
                )
                shown = "  ".join(f"{n} {v:.4g}" for n, v in values.items())
                say(f"{split} at step {step}: {shown}")
            seen = step
        if not new:
            time.sleep(poll_seconds)


def _shape_of(batch: dict[str, Any]) -> tuple[int, int]:
    """(rows, target slots) of a batch."""
    array = batch.get("targets", next(iter(batch.values())))
    return len(array), int(array.shape[0] * (array.shape[1] if array.ndim == 2 else 1))
