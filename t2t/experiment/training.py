"""The way of a run: configuration → problem → data → model → step → loop.

Everything that can be wrong is looked at in that order, before anything is written.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from t2t import config as config_lib
from t2t import registry
from t2t.config import Config
from t2t.evaluate import check_metric
from t2t.experiment.callback import Evaluation
from t2t.experiment.distillation import distilled
from t2t.features import check_match
from t2t.layers import adapters
from t2t.optimizers import optimizers  # noqa: F401  registers `optimizer`
from t2t.rl import fed, local
from t2t.rl import remote as remote_actor
from t2t.run import build, checkpoints, histograms
from t2t.run.checkpoints import Checkpoints
from t2t.run.folder import RunFolder, create
from t2t.run.log import MetricsLog
from t2t.run.problems import make_problem
from t2t.run.report import write_report
from t2t.training import loop, memory
from t2t.training.backend import backend
from t2t.training.progress import say
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


def prepare(config: Config) -> Any:
    """Checks a configuration and builds its problem; nothing is written.

    Raises:
      ConfigError, UnknownName, FeatureMismatch: in one line each.
    """
    check_match(config.knob("problem"), config.knob("model"))
    problem = make_problem(config)
    build.apply(config)
    return problem


@dataclasses.dataclass(frozen=True)
class Ready:
    """A run that may begin; nothing of it is written.

    first: a batch; of zeros where it has to be acted for.
    needed: of memory.
    """

    problem: Any
    options: ExperimentOptions
    source: Any
    step: Step
    first: dict[str, Any]
    needed: memory.Footprint

    def summary(self, config: Config) -> str:
        """A line: what is about to be trained, and how large it is."""
        array = self.first.get("targets", next(iter(self.first.values())))
        slots = array.shape[0] * (array.shape[1] if array.ndim == 2 else 1)
        return (
            f"{config.knob('model')} on {config.knob('problem')}: "
            f"{self.needed.parameters:,} parameters; about "
            f"{self.needed.total / 1e9:.1f} GB; {slots} slots a batch "
            f"({len(array)} rows), {self.step.strategy.num_replicas_in_sync} "
            f"replica(s), XLA {'on' if self.step.jit else 'off'}"
        )


def ready(
    config: Config,
    *,
    folder: Path,
    data_dir: str | None,
    remote: Remote | None = None,
    base: Path | None = None,
) -> Ready:
    """Makes all that a run needs, and refuses what cannot fit.

    Args:
      folder: of the run.
      base: the checkpoint that adapters stand on.
      Others: as of `train`.

    Raises:
      ConfigError, UnknownName, FeatureMismatch, DataMissing, TooLarge: in one line.
    """
    problem = prepare(config)
    if problem.interactive and backend().name != "tensorflow":
        raise config_lib.ConfigError(
            f"{config.knob('problem')} is acted for by TensorFlow: unset KERAS_BACKEND"
        )
    options: ExperimentOptions = config_lib.build("experiment")()
    strategy = backend().devices.make_strategy(options.strategy)
    step_options: StepOptions = config_lib.build("step")()
    multiple = strategy.num_replicas_in_sync * step_options.accumulate
    source: Any = None
    if not problem.interactive:
        source = config_lib.build("batches")(
            problem, "train", data_dir=data_dir, seed=options.seed, multiple_of=multiple
        )
    parameters = build.count_parameters(config, problem.offered())
    memory.check_parameters(parameters, memory.available())
    step = make_step(config, problem, options, step_options, strategy, base)
    if problem.interactive:
        source = _experience(problem, step.model, options, folder, remote)
    first = source.peek()
    needed = memory.footprint(step, first)
    memory.check(needed, memory.available())
    return Ready(problem, options, source, step, first, needed)


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
    root = Path(output_dir)
    base = _base(config, root, warm_start_from)
    made = ready(config, folder=root, data_dir=data_dir, remote=remote, base=base)
    problem, source, step = made.problem, made.source, made.step
    # Of several workers the chief writes the run; the others keep notes in its folder.
    worker = backend().devices.worker_number(step.strategy)
    own = root / "workers" / str(worker) if worker else root
    evaluates = schedule == "train_and_evaluate" and worker == 0
    if evaluates:
        check_metric(config_lib.build("evaluation")(), problem, step.model)
    store = Checkpoints(
        RunFolder(root).checkpoints,
        keep=made.options.keep_checkpoint_max,
        write=worker == 0,
        base=base,
        scale=config_lib.build("adapters")().scale if base else 1.0,
    )
    start = _restore(store, step, source, warm_start_from)
    run = create(own, config, data_dir=data_dir)
    problem.save_vocabularies(run.vocabularies)
    if worker == 0:
        histograms.save(
            run, problem, data_dir=data_dir, max_length=config.knob("max_length")
        )
    say(made.summary(config))
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
        found = checkpoints.warm_start(step.variables(), warm_start_from)
        for line in found.lines(warm_start_from):
            say(line)
    return 0


def _base(config: Config, root: Path, warm_start_from: str | None) -> Path | None:
    """The checkpoint that a run of adapters stands on; None for other runs.

    Raises:
      ConfigError: when there is none, or with a moving average.
    """
    if not config.knob("lora_rank"):
        return None
    if config.knob("ema_decay"):
        raise config_lib.ConfigError("lora_rank does not go with ema_decay")
    steps = checkpoints.steps_in(RunFolder(root).checkpoints)
    if steps:
        newest = checkpoints.path_of(RunFolder(root).checkpoints, steps[-1])
        return Path(checkpoints.read(newest)[1]["base"]["path"])
    if not warm_start_from:
        raise config_lib.ConfigError(
            "lora_rank trains adapters of a trained run: give --warm_start_from=RUN"
        )
    return checkpoints.resolve(warm_start_from)


def make_step(
    config: Config,
    problem: Any,
    options: ExperimentOptions,
    step_options: StepOptions,
    strategy: Any,
    base: Path | None = None,
) -> Step:
    """The step of a model that is new, of which only adapters learn where it has a
    base."""
    devices = backend().devices
    dtype = devices.default_dtype() if options.dtype == "auto" else options.dtype
    with strategy.scope():
        model = build.make_model(
            config, problem.offered(), dtype=dtype, seed=options.seed
        )
    if base is not None:
        learns = adapters.freeze(model, checkpoints.model_arrays(base))
        say(f"{len(learns)} arrays learn: adapters, and what {base} lacks")
    return backend().step(
        distilled(model, problem, config),
        config_lib.build("optimizer"),
        options=step_options,
        strategy=strategy,
        jit=options.jit,
        seed=options.seed,
    )
