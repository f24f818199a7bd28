"""Checkpoints: everything is there, or the reason why not; N kept and the best."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import keras
import numpy as np
import pytest

from t2t.run import checkpoints
from t2t.run.checkpoints import CheckpointError, Checkpoints


def _variables(**shapes: tuple[int, ...]) -> dict[str, keras.Variable]:
    shapes = shapes or {"a": (2, 3), "b": ()}
    return {
        f"model/{name}": keras.Variable(np.full(shape, i + 1.5, "float32"))
        for i, (name, shape) in enumerate(shapes.items())
    }


def _saved(folder: Path, *steps: int, keep: int = 5) -> Checkpoints:
    store = Checkpoints(folder, keep=keep)
    for step in steps:
        store.save(step, _variables(), {"source": {"step": step}}, block=True)
    return store


def test_round_trip(tmp_path: Path) -> None:
    store = _saved(tmp_path, 3, 7)
    fresh = _variables()
    for variable in fresh.values():
        variable.assign(np.zeros(variable.shape))
    assert store.restore(fresh) == (7, {"source": {"step": 7}})
    for name, variable in _variables().items():
        np.testing.assert_array_equal(fresh[name], variable)
    assert Checkpoints(tmp_path / "empty").restore(fresh) is None


def test_any_numpy_reads_it_without_pickle(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    with np.load(checkpoints.path_of(tmp_path, 1), allow_pickle=False) as archive:
        assert set(archive.files) == {"model/a", "model/b", "meta"}
        assert json.loads(archive["meta"].tobytes())["count"] == 2
    evil = tmp_path / "checkpoint-00000002.npz"
    with open(evil, "wb") as file:
        np.savez(file, meta=np.array([{"x": pickle.dumps(1)}], object))
    with pytest.raises(CheckpointError, match="no checkpoint of t2t"):
        checkpoints.read(evil)


def test_a_save_is_of_its_moment(tmp_path: Path) -> None:
    store, variables = Checkpoints(tmp_path), _variables()
    store.save(1, variables, {})
    variables["model/b"].assign(99.0)
    store.wait()
    arrays, _ = checkpoints.read(checkpoints.path_of(tmp_path, 1))
    assert arrays["model/b"] == 2.5


@pytest.mark.parametrize(
    "shapes, words",
    [
        ({"a": (2, 3)}, "holds 1 arrays.*no place for.*'model/b'"),
        ({"a": (2, 3), "b": (), "c": (1,)}, "no array for 'model/c'.*another model"),
        ({"a": (2, 4), "b": ()}, r"shape \(2, 4\), but \(2, 3\) in the checkpoint"),
    ],
)
def test_what_does_not_fit_one_to_one(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], words: str
) -> None:
    store, variables = _saved(tmp_path, 1), _variables(**shapes)
    for variable in variables.values():
        variable.assign(np.zeros(variable.shape))
    with pytest.raises(CheckpointError, match=words):
        store.restore(variables)
    assert not any(np.any(v) for v in variables.values()), "nothing was assigned"


def test_the_count_is_asserted(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    path = checkpoints.path_of(tmp_path, 1)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "model/b"}
    with open(path, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="1 arrays, expected version 1 and 2"):
        checkpoints.read(path)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    _saved(tmp_path, 1)
    path = checkpoints.path_of(tmp_path, 1)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        place = bytes(data).index(np.float32(1.5).tobytes())
        data[place] ^= 0xFF
    path.write_bytes(
        {"cut": data[:-30], "flip": data, "empty": b"", "text": b"x"}[damage]
    )
    with pytest.raises(CheckpointError, match=f"{path.name} is no checkpoint"):
        checkpoints.read(path)


def test_the_last_n_are_kept_and_the_best(tmp_path: Path) -> None:
    store = _saved(tmp_path, 1, 2, keep=2)
    store.mark_best(2, "loss", 0.5)
    for step in (3, 4, 5):
        store.save(step, _variables(), {}, block=True)
    assert checkpoints.steps_in(tmp_path) == [2, 4, 5]
    assert checkpoints.resolve(tmp_path) == checkpoints.path_of(tmp_path, 2)
    assert store.restore(_variables()) == (5, {}), "training goes on from the newest"
    checkpoints.path_of(tmp_path, 2).unlink()
    assert checkpoints.resolve(tmp_path) == checkpoints.path_of(tmp_path, 5)


def test_half_written_files_are_ignored_and_removed(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    half = tmp_path / "checkpoint-00000002.npz.tmp"
    half.write_bytes(b"half")
    (tmp_path / "best.json").write_text('{"st')
    assert checkpoints.steps_in(tmp_path) == [1]
    assert checkpoints.resolve(tmp_path).name == "checkpoint-00000001.npz"
    assert Checkpoints(tmp_path).restore(_variables()) is not None
    assert not half.exists()


def test_a_failed_write_is_raised(tmp_path: Path) -> None:
    folder = tmp_path / "a file"
    store = Checkpoints(folder)
    folder.write_text("in the folder's place")
    with pytest.raises(OSError):
        store.save(1, _variables(), {}, block=True)
    store.wait()  # and once only


def test_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint in"):
        checkpoints.resolve(tmp_path)


def test_warm_start_takes_what_fits(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    variables = _variables(a=(2, 3), b=(7,), c=())
    for variable in variables.values():
        variable.assign(np.zeros(variable.shape))
    found = checkpoints.warm_start(variables, tmp_path)
    assert found.loaded == ["a"] and found.unused == []
    assert found.left["b"] == "() there, (7,) here"
    assert found.left["c"].startswith("it has none")
    assert "1 arrays loaded, 2 not" in found.lines(tmp_path)[0]
    assert np.all(np.asarray(variables["model/a"]) == 1.5)
    with pytest.raises(CheckpointError, match="nothing in .* fits"):
        checkpoints.warm_start(_variables(z=(9,)), tmp_path)
