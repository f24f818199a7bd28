"""What `t2t-zoo sweep` does: flags of its own, all others are t2t-trainer's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from t2t import registry
from t2t.bin.command import UsageError
from t2t.run.compare import text
from t2t.run.folder import write_text
from t2t.sweep import show, space
from t2t.sweep.trials import Sweep, Trial


def sweep(flags: dict[str, Any], trainer: list[str]) -> int:
    """Runs the trials that are not done yet, and shows all of them."""
    if not flags["output_dir"]:
        raise UsageError("no --output_dir: say where the trials are to be")
    method, trials = flags["method"], flags["trials"]
    if method not in space.METHODS:
        hint = registry.close_to(method, space.METHODS)
        known = ", ".join(space.METHODS)
        raise UsageError(f"--method is one of {known}, not {method!r}.{hint}")
    if method != "grid" and trials < 1:
        raise UsageError(f"--method={method} wants --trials=N: how many to try")
    axes = space.parse(flags["space"] or "")
    if method == "grid":
        space.grid(axes)
    if flags["problem"]:
        trainer = [f"--problem={flags['problem']}", *trainer]
    _check(trainer, axes)
    asked = Sweep(
        Path(flags["output_dir"]), tuple(axes), tuple(trainer), method=method,
        metric=flags["metric"], minimize=flags["minimize"], trials=trials,
        seed=flags["seed"],
    )  # fmt: skip
    done: list[Trial] = []
    for trial in asked.run():
        done.append(trial)
        told = trial.fault if trial.value is None else f"{trial.value:.5g}"
        print(f"trial {trial.number:03d} {trial.knobs}: {told}", flush=True)
    path = asked.folder / "sweep.html"
    write_text(path, show.html_page(asked, done))
    print(f"\n{text(show.table(asked, done))}\n\n{path}")
    return 0 if any(trial.value is not None for trial in done) else 1


def _check(trainer: list[str], axes: list[space.Axis]) -> None:
    """Refuses what t2t-trainer would refuse of the first values, before any trial."""
    from t2t.bin import trainer as command

    values = command.command.values
    values.unparse_flags()
    for flag in trainer:
        name = flag.removeprefix("--").split("=")[0]
        if name in ("output_dir", "schedule") or not flag.startswith("--"):
            raise UsageError(f"{flag} is not for a trial: after -- stand its own flags")
    try:
        values([command.command.name, *trainer])
    except absl_flags.Error as error:
        raise UsageError(f"t2t-trainer: {str(error).strip().splitlines()[0]}") from None
    config = command.configuration({name: values[name].value for name in values})
    for axis in axes:
        for value in axis.choices or (axis.low, axis.high):
            config.set_knob(axis.name, value)
            config.check()
