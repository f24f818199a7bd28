"""Numbers of a run: `metrics.jsonl` for programs, TensorBoard events for people.

Both hold the same: one record a moment, {"step", "split", "seconds", name: value}.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from t2t.run.folder import RunFolder, write_text


def read_records(path: Path) -> list[dict[str, Any]]:
    """All whole records of a metrics.jsonl; a half line of a killed run is skipped."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


class MetricsLog:
    """Writes the numbers of one run.

    Args:
      run: its folder.
      after_step: records beyond this step are forgotten: the run goes on from
        there and will write them again.
    """

    def __init__(self, run: RunFolder, *, after_step: int = 0) -> None:
        kept = [r for r in read_records(run.metrics) if r["step"] <= after_step]
        self._kept = {(r["step"], r["split"]) for r in kept}
        write_text(run.metrics, "".join(json.dumps(r) + "\n" for r in kept))
        self._seconds = kept[-1]["seconds"] if kept else 0.0
        self._began = time.monotonic()
        self._file = open(run.metrics, "a", encoding="utf-8")
        self._events = Events(run.events)

    def holds(self, step: int, split: str) -> bool:
        """Whether an earlier start of the run has written this record."""
        return (step, split) in self._kept

    @property
    def seconds(self) -> float:
        """Training time, over all restarts."""
        return self._seconds + time.monotonic() - self._began

    def write(self, step: int, values: Mapping[str, float], *, split: str) -> None:
        finite = {
            name: round(float(value), 6)
            for name, value in values.items()
            if math.isfinite(value)
        }
        record = {"step": step, "split": split, "seconds": round(self.seconds, 1)}
        self._file.write(json.dumps({**record, **finite}) + "\n")
        self._file.flush()
        self._events.write(step, finite, split=split)

    def close(self) -> None:
        self._file.close()
        self._events.close()


class Events:
    """TensorBoard's event files, one folder a split.

    Written without TensorBoard, which TensorFlow no longer brings along: a scalar is
    a rank-0 tensor whose metadata name the plug-in.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._tf, self._folder = tf, folder
        self._writers: dict[str, Any] = {}
        scalars = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        self._metadata = tf.compat.v1.SummaryMetadata(plugin_data=scalars)

    def write(self, step: int, values: Mapping[str, float], *, split: str) -> None:
        tf = self._tf
        if split not in self._writers:
            path = str(self._folder / split)
            self._writers[split] = tf.summary.create_file_writer(path)
        with self._writers[split].as_default():
            for name, value in values.items():
                tensor = tf.constant(value, tf.float32)
                tf.summary.write(name, tensor, step=step, metadata=self._metadata)
        self._writers[split].flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
