"""The loop: resuming is bit-identical, signals save, what blows up is named."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import keras
import kit
import numpy as np
import pytest

from t2t import registry
from t2t.config import Config
from t2t.data.pipeline import batches
from t2t.optimizers.optimizers import make_optimizer
from t2t.optimizers.schedules import LearningRate
from t2t.run import checkpoints
from t2t.run.checkpoints import Checkpoints
from t2t.run.folder import RunFolder, create
from t2t.run.log import MetricsLog, read_records
from t2t.sources import Source
from t2t.training import loop
from t2t.training.loop import Callback, NotFinite
from t2t.training.step import StepOptions
from t2t.training.tensorflow_step import TensorFlowStep


class Run:
    """A tiny run: dropout, Adam, an average, packed data made on the fly."""

    def __init__(self, folder: Path, *, rate: float = 0.01) -> None:
        keras.utils.set_random_seed(1)
        problem = registry.current().load("problem", "algorithmic_copy")(max_length=4)
        problem.name = "algorithmic_copy"
        self.source: Source = batches(
            problem, "train", tokens_per_batch=64, max_length=16, seed=3
        )
        from t2t.layers.blocks import BlockShape
        from t2t.models.transformer_lm import TransformerLM

        model = TransformerLM(
            {"targets": problem.offered()["targets"]},
            blocks=BlockShape(**kit.BLOCKS, dropout=0.2),
            num_layers=1,
        )
        model(kit.batch({"targets": problem.offered()["targets"]}))
        self.step = TensorFlowStep(
            model,
            lambda: make_optimizer("adam", learning_rate=LearningRate(constant=rate)),
            options=StepOptions(ema_decay=0.9),
            jit=False,
            seed=5,
        )
        self.folder: RunFolder = create(folder, Config(), data_dir=None)
        self.store = Checkpoints(self.folder.checkpoints)
        self.start = 0
        restored = self.store.restore(self.step.variables())
        if restored is not None:
            self.start, state = restored
            self.source.restore(state["source"])

    def train(self, steps: int, **knobs: Any) -> loop.Result:
        log = MetricsLog(self.folder, after_step=self.start)
        knobs = {"log_frequency": 2, "save_frequency": 3} | knobs
        try:
            return loop.train(
                self.step, self.source, self.store,
                log=log, start=self.start, steps=steps, **knobs,
            )  # fmt: skip
        finally:
            log.close()

    def values(self) -> dict[str, np.ndarray]:
        return {n: np.array(v) for n, v in self.step.variables().items()}


def _losses(folder: Path) -> list[tuple[int, float]]:
    records = read_records(folder / "metrics.jsonl")
    return [(r["step"], r["loss"]) for r in records]


def test_resuming_is_bit_identical(tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole")
    result = whole.train(8)
    assert (result.step, result.reason) == (8, "done") and 0 < result.loss < 4
    cut = Run(tmp_path / "cut")
    cut.train(4)
    again = Run(tmp_path / "cut")
    assert again.start == 4
    again.train(8)
    for name, value in whole.values().items():
        np.testing.assert_array_equal(again.values()[name], value, err_msg=name)
    assert again.source.state() == whole.source.state()
    assert _losses(tmp_path / "cut") == _losses(tmp_path / "whole")


def test_going_on_from_an_earlier_save_forgets_later_numbers(tmp_path: Path) -> None:
    """As after kill -9 at step 5, with the newest checkpoint of step 3."""
    Run(tmp_path / "run").train(6)
    for step in (6,):
        checkpoints.path_of(tmp_path / "run" / "checkpoints", step).unlink()
    again = Run(tmp_path / "run")
    assert again.start == 3
    again.train(6)
    assert [step for step, _ in _losses(tmp_path / "run")] == [2, 4, 6]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends(tmp_path: Path, number: signal.Signals) -> None:
    run = Run(tmp_path)
    kill = Callback(lambda done: os.kill(os.getpid(), number) if done == 2 else None, 2)
    handler = signal.getsignal(number)
    result = run.train(50, callbacks=[kill])
    assert result.reason == number.name and result.step == 3
    assert checkpoints.steps_in(run.folder.checkpoints)[-1] == 3
    assert signal.getsignal(number) == handler
    again = Run(tmp_path)
    assert again.start == 3 and again.source.state() == run.source.state()


def test_callbacks_come_on_time_and_can_stop(tmp_path: Path) -> None:
    calls: list[int] = []

    def call(done: int) -> bool:
        calls.append(done)
        assert done in checkpoints.steps_in(run.folder.checkpoints), "saved before"
        return done >= 4

    run = Run(tmp_path)
    result = run.train(9, callbacks=[Callback(call, 2)])
    assert (result.step, result.reason, calls) == (4, "stopped early", [2, 4])
    other = Run(tmp_path / "other")
    other.train(3, callbacks=[Callback(calls.append, 2)])
    assert calls[2:] == [2, 3], "and at the end"


def test_the_log_has_the_numbers(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.train(3)
    records = read_records(run.folder.metrics)
    assert [(r["step"], r["split"]) for r in records] == [(2, "train"), (3, "train")]
    assert {
        "loss", "gradient_norm", "learning_rate", "targets_per_second",
        "steps_per_second", "fill", "epoch", "dropped", "memory_gb", "seconds",
    } <= set(records[0])  # fmt: skip
    assert 0 < records[0]["fill"] <= 1 and 0.1 < records[0]["memory_gb"] < 100
    assert any(run.folder.events.rglob("events.out.tfevents.*"))


def test_what_is_not_finite_stops_it_with_its_name(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.train(3)
    run.start = 3
    table = run.step.model.embedding.table
    table.assign(np.full(table.shape, 3e38, np.float32))
    with pytest.raises(NotFinite, match=r"step 3: .*the layer \S+/embedding .*ids \["):
        run.train(9)
    assert checkpoints.steps_in(run.folder.checkpoints) == [3]
    table.assign(np.full(table.shape, np.nan, np.float32))
    with pytest.raises(NotFinite, match="the weights .*embedding/table have 224 NaN"):
        run.train(9)


def test_targets_are_counted() -> None:
    packed = kit.batch(kit.features("transformer"))
    assert loop.count_targets(packed) == (packed["targets_segments"] > 0).sum()
    assert loop.count_targets(kit.batch(kit.features("mlp"))) == kit.ROWS - 1
    assert loop.count_targets({"x": np.zeros((5, 2))}) == 5


def test_nothing_to_do(tmp_path: Path) -> None:
    Run(tmp_path).train(2)
    run = Run(tmp_path)
    before = run.values()
    assert run.train(2).step == 2
    np.testing.assert_equal(run.values(), before)
