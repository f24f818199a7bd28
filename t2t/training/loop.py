"""The loop around the step: logs, saves, calls back, stops well.

SIGTERM and Ctrl-C save a checkpoint and end the loop; a second Ctrl-C ends it at
once. A loss or gradient that is not finite stops it with the step, the ids of the
batch and the first layer that blew up.
"""

from __future__ import annotations

import dataclasses
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from t2t import registry
from t2t.run.checkpoints import Checkpoints
from t2t.run.log import MetricsLog
from t2t.sources import Batch, Source
from t2t.training.debugging import first_not_finite
from t2t.training.progress import Progress
from t2t.training.step import Step


class NotFinite(RuntimeError):
    """A loss or gradient became infinite or not a number."""


@dataclasses.dataclass(frozen=True)
class Callback:
    """Called with the number of steps done, every `frequency` and at the end.

    `call` may return True to end the training.
    """

    call: Callable[[int], bool | None]
    frequency: int


@dataclasses.dataclass(frozen=True)
class Result:
    """How training ended: 'done', 'stopped early' or the name of a signal."""

    step: int
    reason: str
    loss: float


@registry.configurable("train")
def train(
    step: Step,
    source: Source,
    checkpoints: Checkpoints,
    *,
    log: MetricsLog,
    start: int = 0,
    steps: int = 250_000,
    log_frequency: int = 100,
    save_frequency: int = 1000,
    debug_nans: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Trains from step `start` until `steps` have been done.

    Args:
      step: the training step, its variables restored.
      source: of batches, its state restored.
      checkpoints: where to save, also at the end.
      log: gets the numbers.
      steps: total of the run, what was done before included.
      log_frequency, save_frequency: in steps.
      debug_nans: look at each layer and each gradient of each step, which is slow.
      callbacks: see `Callback`.

    Raises:
      NotFinite: see above; nothing is saved after the step before.
    """
    progress = Progress(start, steps)
    window = _Window()
    result = Result(start, "done", float("nan"))
    previous: tuple[int, Batch, dict[str, Any]] | None = None

    with _signals() as received:
        done = start
        while done < steps:
            batch = next(source)
            if debug_nans:
                _check_layers(step, done, batch)
            metrics = step(done, batch)
            if "priority" in metrics:
                source.feedback(batch, np.asarray(metrics.pop("priority")))
            # Looking at the step before keeps an accelerator busy with this one.
            if previous is not None:
                _check_finite(step, *previous)
            previous = (done, batch, metrics)
            done += 1
            window.add(batch, metrics)
            progress.advance()
            # Looked at once a step: a signal that comes later ends the next one.
            signalled = next(iter(received), "")
            last = done == steps or bool(signalled)
            if done % log_frequency == 0 or last:
                _check_finite(step, *previous)
                values = window.values(source, step)
                result = Result(done, "done", values["loss"])
                progress.numbers(done, values)
                log.write(done, values, split="train")
                window = _Window()
            due = [c for c in callbacks if done % c.frequency == 0 or last]
            if done % save_frequency == 0 or last or due:
                _check_finite(step, *previous)
                state = {"source": source.state()}
                checkpoints.save(done, step.variables(), state, block=last or bool(due))
            if signalled:
                result = dataclasses.replace(result, reason=signalled)
                break
            if due:
                window.pause()
                stops = [callback.call(done) for callback in due]
                window.resume()
                if any(stops) and not last:
                    result = dataclasses.replace(
                        result, step=done, reason="stopped early"
                    )
                    break
    checkpoints.wait()
    progress.close()
    return result


class _Window:
    """The numbers between two log lines."""

    def __init__(self) -> None:
        self._metrics: list[dict[str, Any]] = []
        self._tokens = 0
        self._began = time.monotonic()
        self._paused = 0.0

    def pause(self) -> None:
        self._paused = time.monotonic()

    def resume(self) -> None:
        self._began += time.monotonic() - self._paused

    def add(self, batch: Batch, metrics: dict[str, Any]) -> None:
        self._metrics.append(metrics)
        self._tokens += count_targets(batch)

    def values(self, source: Source, step: Step) -> dict[str, float]:
        names = [n for n in self._metrics[0] if n != "finite"]
        values = {
            name: float(np.mean([float(m[name]) for m in self._metrics]))
            for name in names
        }
        # Most models have one group; then its name is no news.
        if len(step.groups) == 1:
            values = {name.split("/")[0]: value for name, value in values.items()}
        else:
            losses = [v for n, v in values.items() if n.startswith("loss/")]
            values = {"loss": float(np.sum(losses)), **values}
        seconds = max(time.monotonic() - self._began, 1e-9)
        values["learning_rate"] = step.learning_rate()
        values["targets_per_second"] = self._tokens / seconds
        values["steps_per_second"] = len(self._metrics) / seconds
        values["memory_gb"] = peak_memory() / 1e9
        values["cpu_seconds"] = time.process_time()  # of this process
        return {**values, **source.report()}


def count_targets(batch: Batch) -> int:
    """Real target tokens of a batch, or its examples where it has none."""
    if "targets_segments" in batch:
        return int((batch["targets_segments"] > 0).sum())
    if "weights" in batch:
        return int(batch["weights"].sum())
    return len(next(iter(batch.values())))


def peak_memory() -> int:
    """The most bytes that this process has had in memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _check_finite(step: Step, done: int, batch: Batch, metrics: dict[str, Any]) -> None:
    if bool(metrics["finite"]):
        return
    culprit = first_not_finite(step.model, batch, seed=step.seed_of(done))
    raise _not_finite(done, f"the loss or its gradient is not finite: {culprit}", batch)


def _check_layers(step: Step, done: int, batch: Batch) -> None:
    """Before the step: every layer, every gradient."""
    culprit = first_not_finite(step.model, batch, seed=step.seed_of(done))
    if culprit:
        raise _not_finite(done, culprit, batch)


def _not_finite(done: int, told: str, batch: Batch) -> NotFinite:
    text = next(
        (v for n, v in batch.items() if n in ("targets", "inputs", "label")), None
    )
    ids = "" if text is None else f"; ids {np.asarray(text).ravel()[:12].tolist()} …"
    return NotFinite(
        f"step {done}: {told}{ids}. Nothing of this step is saved; try a smaller "
        "learning_rate_constant or a clip_norm"
    )


@contextmanager
def _signals() -> Iterator[list[str]]:
    """Collects SIGTERM and SIGINT while training; the second SIGINT is not caught."""
    received: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def handle(number: int, frame: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(signal.Signals(number).name)

    before = {s: signal.signal(s, handle) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
