"""The training log: written, read again, and left alone when something fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from toys import INLINE, records

from t2t.bridge import recorder
from t2t.bridge.episodes import Trajectory
from t2t.bridge.messages import BadMessage


def trajectory(count: int, seed: int) -> Trajectory:
    advice = np.random.default_rng(seed).integers(0, 2, (count, 1))
    return Trajectory(INLINE, records(INLINE, count, seed), advice, [(0, "")], {})


def test_what_is_written_is_read(tmp_path: Path):
    path, sizes = tmp_path / "log", [3, 0, 5]
    with recorder.Recorder(path) as log:
        for n, size in enumerate(sizes):
            log.write(f"m{n}.bc", trajectory(size, n), np.arange(size) / 4)
    found = list(recorder.read(path))
    assert [one.context for one in found] == ["m0.bc", "m2.bc"]
    for one, n in zip(found, (0, 2), strict=True):
        expected = trajectory(sizes[n], n)
        for name in INLINE.names:
            np.testing.assert_array_equal(
                one.records[name], expected.observations[name]
            )
        decision = one.records["inlining_decision"]
        np.testing.assert_array_equal(decision, expected.advice)
        np.testing.assert_array_equal(one.scores[:, 0], np.arange(sizes[n]) / 4)


def test_its_header_is_llvms(tmp_path: Path):
    """As the inliner's development mode logs: the decision last, then the score."""
    path = tmp_path / "log"
    with recorder.Recorder(path) as log:
        log.write("m", trajectory(1, 0), np.zeros(1))
    lines = path.read_bytes().split(b"\n")
    header = json.loads(lines[0])
    assert [f["name"] for f in header["features"]][-2:] == [
        "inlining_default", "inlining_decision",
    ]  # fmt: skip
    assert header["score"]["type"] == "float" and "advice" not in header
    assert lines[1] == b'{"context":"m"}' and lines[2] == b'{"observation":0}'
    assert b'\n{"outcome":0}\n\0\0\0\0\n' in path.read_bytes()


def test_mistakes(tmp_path: Path):
    path = tmp_path / "log"
    with pytest.raises(ValueError, match=r"expected \[3, 1\]"):
        with recorder.Recorder(path) as log:
            log.write("m", trajectory(3, 0), np.zeros(2))
    assert not list(tmp_path.iterdir())
    with recorder.Recorder(path) as log:
        log.write("m", trajectory(3, 0), np.zeros(3))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BadMessage, match="ends in the middle"):
        list(recorder.read(path))
