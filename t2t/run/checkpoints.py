"""Checkpoints: one file a step, an explicit map of arrays and the state beside it.

`checkpoint-00001000.npz` holds every variable by name as a plain array (any numpy
reads it, no framework, no pickle) and, as JSON in the entry `meta`, the step, the
source's state and the number of arrays, which is asserted.

The surprise: never `tf.train.Checkpoint(model=…)`. For Keras 3 models it silently
leaves out layers held in lists.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from t2t import registry

if TYPE_CHECKING:
    import keras

VERSION = 1
PATTERN = re.compile(r"checkpoint-(\d{8})\.npz$")


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of another model."""


def path_of(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step:08d}.npz"


def step_of(path: Path) -> int | None:
    """The step that a checkpoint's name tells, if it does."""
    found = PATTERN.match(path.name)
    return int(found.group(1)) if found else None


def steps_in(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, ascending."""
    if not folder.is_dir():
        return []
    found = (PATTERN.match(p.name) for p in folder.iterdir())
    return sorted(int(m.group(1)) for m in found if m)


def resolve(place: str | Path) -> Path:
    """A checkpoint file, or the best or else the newest in a run folder.

    Raises:
      CheckpointError: when there is none; a run without a checkpoint is an error.
    """
    path = Path(place)
    if path.is_file():
        return path
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    steps = steps_in(folder)
    if not steps:
        raise CheckpointError(
            f"there is no checkpoint in {place}: train first, or give "
            "--checkpoint_path=FILE"
        )
    best = best_step(folder)
    return path_of(folder, best if best in steps else steps[-1])


def best_step(folder: Path) -> int | None:
    """The step that `Checkpoints.mark_best` named, if any."""
    found = best(folder)
    return None if found is None else found[0]


def best(folder: Path) -> tuple[int, str, float] | None:
    """(step, metric, value) that `Checkpoints.mark_best` was given last, if any."""
    try:
        found = json.loads((folder / "best.json").read_text())
        return int(found["step"]), found["metric"], float(found["value"])
    except (OSError, ValueError, KeyError):
        return None


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """All arrays by name, and the meta data.

    A checkpoint of adapters names the one that they stand on: what that one holds of
    the model is among the arrays.

    Raises:
      CheckpointError: when the file is damaged or of a later version.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = json.loads(arrays.pop("meta").tobytes())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is no checkpoint of t2t: {error}") from error
    if meta["version"] > VERSION or meta["count"] != len(arrays):
        raise CheckpointError(
            f"{path} has version {meta['version']} and {len(arrays)} arrays, expected "
            f"version {VERSION} and {meta['count']}"
        )
    if base := meta.get("base"):
        arrays = {**_base(path, base), **arrays}
    return arrays, meta


def _base(path: Path, base: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The model's arrays that adapters stand on."""
    place = Path(base["path"])
    if not place.is_file():
        raise CheckpointError(
            f"{path} holds adapters of {place}, which is not there any more"
        )
    if digest(place) != base["sha256"]:
        raise CheckpointError(f"{path} holds adapters of {place}, which has changed")
    return {f"model/{name}": array for name, array in model_arrays(place).items()}


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def assign(
    variables: Mapping[str, keras.Variable], arrays: Mapping[str, np.ndarray]
) -> None:
    """Gives every variable its array.

    Raises:
      CheckpointError: naming the first variable that lacks an array of its shape.
    """
    for name, variable in variables.items():
        if name not in arrays:
            hint = registry.close_to(name, arrays)
            raise CheckpointError(
                f"the checkpoint has no array for {name!r}: is it of another model "
                f"or set?{hint}"
            )
        if tuple(arrays[name].shape) != tuple(variable.shape):
            raise CheckpointError(
                f"{name!r} has shape {tuple(variable.shape)}, but "
                f"{tuple(arrays[name].shape)} in the checkpoint: is it of another set?"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


class Checkpoints:
    """The checkpoints of one run: written behind training's back, the last N kept.

    Args:
      folder: made with the first checkpoint.
      keep: how many to keep, besides the best one.
      write: whether this process writes; of several workers one does.
      base: the checkpoint that adapters stand on: what it holds of the model stays
        there, and only what learns is written.
      scale: of the adapters' products.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int = 5,
        write: bool = True,
        base: Path | None = None,
        scale: float = 1.0,
    ) -> None:
        self.folder, self.keep, self.write = folder, max(keep, 1), write
        self._base: dict[str, Any] | None = None
        if base is not None:
            path = base.resolve()
            self._base = {"path": str(path), "sha256": digest(path), "scale": scale}
        for leftover in folder.glob("*.tmp"):
            leftover.unlink()
        self._writer: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(
        self,
        step: int,
        variables: Mapping[str, keras.Variable | np.ndarray],
        state: dict[str, Any],
        *,
        block: bool = False,
    ) -> None:
        """Copies the variables now and writes them in a thread.

        Args:
          state: JSON values to come back from `restore`.
          block: wait until the file is in its place.
        """
        self.wait()
        if not self.write:
            return
        arrays = {n: np.array(v) for n, v in variables.items() if self._writes(n, v)}
        meta = {"version": VERSION, "step": step, "count": len(arrays), "state": state}
        if self._base is not None:
            meta["base"] = self._base
        encoded = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        self._writer = threading.Thread(
            target=self._write, args=(step, {**arrays, "meta": encoded})
        )
        self._writer.start()
        if block:
            self.wait()

    def _writes(self, name: str, variable: keras.Variable | np.ndarray) -> bool:
        """Whether it is written: all but what stays in the base."""
        learns = getattr(variable, "trainable", True)
        return self._base is None or learns or not name.startswith("model/")

    def wait(self) -> None:
        """Returns when nothing is being written; raises what went wrong."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def restore(
        self, variables: Mapping[str, keras.Variable]
    ) -> tuple[int, dict[str, Any]] | None:
        """Loads the newest checkpoint; None when there is none.

        Raises:
          CheckpointError: when it does not fit the variables one to one.
        """
        steps = steps_in(self.folder)
        if not steps:
            return None
        path = path_of(self.folder, steps[-1])
        arrays, meta = read(path)
        own = [
            all(n.startswith("model/") for n in some) for some in (arrays, variables)
        ]
        if own == [True, False]:
            raise CheckpointError(
                f"{path} holds weights alone, which no training goes on from: give "
                f"another --output_dir and --warm_start_from={self.folder.parent}"
            )
        extra = sorted(set(arrays) - set(variables))
        if extra:
            raise CheckpointError(
                f"{path} holds {len(extra)} arrays that this run has no place for, "
                f"such as {extra[0]!r}: was it another set? Use a new --output_dir"
            )
        assign(variables, arrays)
        return int(meta["step"]), meta["state"]

    def mark_best(self, step: int, metric: str, value: float) -> None:
        """Keeps the checkpoint of `step` beyond the last N, and decodes with it."""
        entry = {"step": step, "metric": metric, "value": value}
        path = self.folder / "best.json.tmp"
        path.write_text(json.dumps(entry))
        path.replace(self.folder / "best.json")

    def _write(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        path = path_of(self.folder, step)
        temporary = path.with_suffix(".npz.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                # np.savez types its keywords too narrowly for a dict of arrays.
                np.savez(file, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            self._delete_old()
        except BaseException as error:
            self._error = error

    def _delete_old(self) -> None:
        steps = steps_in(self.folder)
        best = best_step(self.folder)
        for step in steps[: -self.keep]:
            if step != best:
                path_of(self.folder, step).unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class WarmStart:
    """What became of a model's variables, by name without 'model/'.

    loaded: those that the checkpoint has. left: {those that stay: why}.
    unused: what the checkpoint has of a model and this one has not.
    """

    loaded: list[str]
    left: dict[str, str]
    unused: list[str]

    def lines(self, place: str | Path, *, most: int = 10) -> list[str]:
        """For people: what was loaded, what was not, and why."""
        found = [
            f"warm start from {place}: {len(self.loaded)} arrays loaded, "
            f"{len(self.left)} not, {len(self.unused)} of its own unused"
        ]
        told = [f"{name}: {why}" for name, why in self.left.items()]
        told += [f"{name}: this model has none" for name in self.unused]
        found += [f"  {line}" for line in told[:most]]
        return found + ([f"  and {len(told) - most} more"] if len(told) > most else [])


def warm_start(variables: Mapping[str, keras.Variable], place: str | Path) -> WarmStart:
    """Loads the model's variables that a checkpoint has in the same shape.

    Raises:
      CheckpointError: when nothing at all fits.
    """
    arrays = model_arrays(place)
    own = {n[6:]: v for n, v in variables.items() if n.startswith("model/")}
    loaded, left = [], {}
    for name, variable in own.items():
        found, shape = arrays.get(name), tuple(variable.shape)
        if found is None:
            left[name] = f"it has none{registry.close_to(name, arrays)}"
        elif tuple(found.shape) != shape:
            left[name] = f"{tuple(found.shape)} there, {shape} here"
        else:
            variable.assign(found)
            loaded.append(name)
    if not loaded:
        raise CheckpointError(f"nothing in {place} fits this model")
    return WarmStart(loaded, left, sorted(set(arrays) - set(own)))


def model_arrays(place: str | Path) -> dict[str, np.ndarray]:
    """The model's arrays of a run or checkpoint, by path; adapters in the kernels."""
    from t2t.layers.adapters import MARK  # here, since Keras takes seconds

    arrays, meta = read(resolve(place))
    found = {n[6:]: a for n, a in arrays.items() if n.startswith("model/")}
    if base := meta.get("base"):
        for name in [n for n in found if n.endswith(f"{MARK}a")]:
            stem = name.removesuffix(f"{MARK}a")
            first, second = (found.pop(f"{stem}{MARK}{part}") for part in "ab")
            kernel = found[f"{stem}/kernel"]
            found[f"{stem}/kernel"] = kernel + base["scale"] * first @ second
    return found
