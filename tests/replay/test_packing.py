"""Packed columns: what goes in comes out, in less room."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from t2t.replay.chunks import ChunkStore
from t2t.replay.columns import Column
from t2t.replay.packing import PACKINGS, PackedColumn, Packing


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "bool"])
def test_round_trip(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape in ((7,), (7, 5), (1, 3, 2), (7, 0)):
        values = (rng.normal(size=shape) * 100).astype(dtype)
        packing = Packing(name)
        found = packing.unpack(packing.pack(values), values)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)


def test_frames_that_are_alike_take_less_room() -> None:
    frames = np.zeros((32, 84, 84), np.uint8)
    frames[:] = np.random.default_rng(0).integers(0, 256, (84, 84))
    frames[np.arange(32), np.arange(32)] += 1
    sizes = {name: len(Packing(name).pack(frames)) for name in PACKINGS}
    assert sizes["delta+lz4"] < 0.1 * frames.nbytes
    assert sizes["delta+zstd"] < 0.1 * frames.nbytes


def test_auto_takes_what_saves_most() -> None:
    rng = np.random.default_rng(0)
    alike = (
        np.full((32, 8, 8), 7, np.uint8) + np.arange(32, dtype=np.uint8)[:, None, None]
    )
    noise = rng.integers(0, 256, (32, 8, 8), np.uint8)
    for values, expected in ((alike, "delta+"), (noise, "plain")):
        column = PackedColumn("auto", 4, 32, (8, 8), "uint8")
        assert column.packing == "auto"
        column.put(2, values)
        assert column.packing.startswith(expected)
        column.put(3, noise)
        for slot, kept in ((2, values), (3, noise)):
            np.testing.assert_array_equal(column.get(slot), kept)


def test_what_cannot_be_packed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="there is no packing 'gzip': lz4, zstd"):
        Packing("gzip")
    with pytest.raises(ValueError, match="packing names 'y', but a step has x"):
        signature = {"x": Column((), "int32")}
        ChunkStore(signature, slots=1, steps=1, packing={"y": "lz4"})
    monkeypatch.setitem(sys.modules, "lz4", None)
    with pytest.raises(ImportError, match=r"pip install -e '.\[replay\]'"):
        Packing("lz4")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ImportError, match=r"pip install -e '.\[replay\]'"):
        PackedColumn("auto", 1, 1, (), "uint8")
