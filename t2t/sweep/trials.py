"""The trials of a sweep: each a run of its own process, kept when it is done.

A sweep that was stopped goes on: trials that are done stand in `sweep.json`, the one
that was running is a run folder like any other, and t2t-trainer goes on with it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from t2t.run.folder import RunFolder, write_text
from t2t.sweep import space
from t2t.sweep.space import Axis, Knobs


class SweepError(ValueError):
    """A sweep that cannot go on, in one line."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """What became of one choice of knobs.

    value: of the metric at its best; None where the trial failed, with `fault`.
    """

    number: int
    knobs: Knobs
    value: float | None
    step: int = 0
    fault: str = ""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep's folder and what it asks.

    trainer: flags of t2t-trainer, the same for all trials.
    metric: of the dev split, at its best over the run.
    """

    folder: Path
    axes: tuple[Axis, ...]
    trainer: tuple[str, ...]
    method: str = "grid"
    metric: str = "loss"
    minimize: bool = True
    trials: int = 0
    seed: int = 0

    @property
    def record(self) -> Path:
        return self.folder / "sweep.json"

    def asked(self) -> dict[str, Any]:
        """What makes two sweeps the same; more trials may be added."""
        return {
            "axes": [dataclasses.asdict(axis) for axis in self.axes],
            "trainer": list(self.trainer), "method": self.method,
            "metric": self.metric, "minimize": self.minimize, "seed": self.seed,
        }  # fmt: skip

    def done(self) -> list[Trial]:
        """Trials that an earlier call has finished.

        Raises:
          SweepError: when the folder holds another sweep.
        """
        if not self.record.is_file():
            return []
        said = json.loads(self.record.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(self.asked()))
        for name, value in now.items():
            if said["asked"][name] != value:
                raise SweepError(
                    f"{self.folder} holds a sweep with another {name}: "
                    f"{said['asked'][name]}; give another --output_dir"
                )
        return [Trial(**trial) for trial in said["trials"]]

    def run(self) -> Iterator[Trial]:
        """Trials as they are done, those of earlier calls first."""
        done = self.done()
        yield from done
        self.folder.mkdir(parents=True, exist_ok=True)
        proposals = self._proposals(done)
        for number, knobs in enumerate(proposals):
            if number < len(done):
                continue
            trial = self._try(number, knobs)
            done.append(trial)
            content = {"asked": self.asked(), "trials": list(map(vars, done))}
            write_text(self.record, json.dumps(content, indent=1) + "\n")
            yield trial

    def _proposals(self, done: list[Trial]) -> Iterator[Knobs]:
        """The knobs of trial 0, 1, …; `done` grows as they are tried."""
        if self.method == "grid":
            everything = space.grid(self.axes)
            yield from everything[: self.trials or len(everything)]
        elif self.method == "random":
            drawn = space.random(self.axes, seed=self.seed)
            for _ in range(self.trials):
                yield next(drawn)
        else:
            yield from self._proposed(done)

    def _proposed(self, done: list[Trial]) -> Iterator[Knobs]:
        """By optuna's tree of Parzen estimators, told of all trials before."""
        optuna = _optuna()
        direction = "minimize" if self.minimize else "maximize"
        sampler = optuna.samplers.TPESampler(seed=self.seed)
        study = optuna.create_study(direction=direction, sampler=sampler)
        for number in range(self.trials):
            asked = study.ask()
            knobs = {axis.name: axis.propose(asked) for axis in self.axes}
            yield done[number].knobs if number < len(done) else knobs
            value = done[number].value
            if value is None:
                study.tell(asked, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(asked, value)

    def run_of(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:03d}"

    def _try(self, number: int, knobs: Knobs) -> Trial:
        run = self.run_of(number)
        mark = "--hparams="
        given = [flag for flag in self.trainer if not flag.startswith(mark)]
        shared = [f.removeprefix(mark) for f in self.trainer if f.startswith(mark)]
        pairs = [*shared, *(f"{name}={value!r}" for name, value in knobs.items())]
        command = [
            sys.executable, "-m", "t2t.bin.trainer", *given,
            f"--hparams={','.join(pairs)}", f"--output_dir={run}",
        ]  # fmt: skip
        run.parent.mkdir(parents=True, exist_ok=True)
        with open(run.parent / f"{number:03d}.log", "w", encoding="utf-8") as log:
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT)
        if done.returncode == 130:  # Ctrl-C reaches the trial as well
            raise KeyboardInterrupt
        said = Path(log.name).read_text(encoding="utf-8").splitlines() or [""]
        if done.returncode:
            return Trial(number, knobs, None, fault=said[-1])
        return self._judged(number, knobs)

    def _judged(self, number: int, knobs: Knobs) -> Trial:
        records = evaluations(self.run_of(number), self.metric)
        if not records:
            fault = f"its evaluations have no finite {self.metric!r}"
            return Trial(number, knobs, None, fault=fault)
        step, value = min(records, key=lambda r: r[1] if self.minimize else -r[1])
        return Trial(number, knobs, value, step)

    def ranked(self, trials: Sequence[Trial]) -> list[Trial]:
        """The best first, those that failed last."""
        sign = 1 if self.minimize else -1
        return sorted(
            trials, key=lambda t: math.inf if t.value is None else sign * t.value
        )


def evaluations(run: Path, metric: str) -> list[tuple[int, float]]:
    """(step, value) of a run's dev split."""
    path = RunFolder(run).metrics
    if not path.is_file():
        return []
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [
        (record["step"], record[metric])
        for record in records
        if record["split"] != "train"
        and metric in record
        and math.isfinite(record[metric])
    ]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "--method=optuna needs optuna: pip install -e '.[sweeps]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
