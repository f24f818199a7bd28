"""Events that TensorBoard reads, written without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from t2t.run.log import Events


def test_tensorboard_reads_them(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    events = Events(tmp_path)
    for step in (1, 2):
        events.write(step, {"loss": 3.0 / step}, split="train")
    events.close()
    found = accumulator.EventAccumulator(str(tmp_path / "train"))
    found.Reload()
    tensors = found.Tensors("loss")
    assert [event.step for event in tensors] == [1, 2]
    values = [float(tf.make_ndarray(event.tensor_proto)) for event in tensors]
    assert values == [3.0, 1.5]
    plugin = found.SummaryMetadata("loss").plugin_data.plugin_name
    assert plugin == "scalars"
