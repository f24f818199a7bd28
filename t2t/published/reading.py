"""Published arrays on disk: safetensors, whole or in shards; TensorFlow 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


class WeightsError(ValueError):
    """Published weights that are missing, damaged or of another model."""


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json says.

    Raises:
      WeightsError: without one, or when it is no JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        here = (
            "there is no such folder" if not folder.is_dir() else "no config.json in it"
        )
        raise WeightsError(
            f"{folder} holds no published model: {here}. Expected a folder with "
            "config.json and model.safetensors, or a Tensor2Tensor checkpoint"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path} holds no configuration")
    return found


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """All arrays by name, float32.

    Raises:
      WeightsError: naming the file that is missing or damaged.
      ImportError: without safetensors, with how to install it.
    """
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(shards.values()))
    found: dict[str, np.ndarray] = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            pickled = sorted(p.name for p in folder.glob("*.bin"))
            hint = (
                f"; {pickled[0]} is a pickle, which may run code when it is read: "
                "`transformers` turns it into safetensors by save_pretrained"
                if pickled
                else ""
            )
            raise WeightsError(f"there is no {path}{hint}")
        try:
            found.update(safetensors().load_file(str(path)))
        except _errors() as error:
            raise WeightsError(f"{path} is damaged: {error}") from error
    return {
        name: a.astype(np.float32)
        if a.dtype.kind == "f" or a.dtype.itemsize == 2
        else a
        for name, a in found.items()
    }


def is_tensor2tensor(place: Path) -> bool:
    """Whether this is a TensorFlow checkpoint, or a folder of some."""
    return bool(_checkpoint(place))


def read_tensor2tensor(place: Path) -> dict[str, np.ndarray]:
    """The Transformer's arrays of a checkpoint, without its optimizer's.

    Raises:
      WeightsError: when it is damaged or holds no Transformer of Tensor2Tensor.
    """
    import tensorflow as tf

    path = _checkpoint(place)
    try:
        reader = tf.train.load_checkpoint(path)
        names = [n for n in reader.get_variable_to_shape_map() if _wanted(n)]
        found = {name: np.asarray(reader.get_tensor(name)) for name in names}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is damaged: {str(error).splitlines()[0]}"
        ) from error
    if not any(name.startswith("transformer/body/") for name in found):
        raise WeightsError(f"{path} holds no Transformer of Tensor2Tensor")
    return _joined(found)


def _checkpoint(place: Path) -> str:
    """The newest checkpoint's path without its endings; '' for none."""
    if place.is_dir():
        found = sorted(place.glob("*.index"), key=_step)
        return str(found[-1]).removesuffix(".index") if found else ""
    if place.with_name(f"{place.name}.index").is_file():
        return str(place)
    return str(place).removesuffix(".index") if place.suffix == ".index" else ""


def _step(path: Path) -> int:
    digits = path.stem.rsplit("-", 1)[-1]
    return int(digits) if digits.isdigit() else -1


def _wanted(name: str) -> bool:
    return name.startswith("transformer/") and "/Adam" not in name


def _joined(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tables are kept in 16 shards of rows, weights_0 and on: put together."""
    found, shards = {}, {}
    for name, array in arrays.items():
        stem, _, number = name.rpartition("/weights_")
        if stem and number.isdigit():
            shards.setdefault(f"{stem}/weights", {})[int(number)] = array
        else:
            found[name] = array
    for name, parts in shards.items():
        found[name] = np.concatenate([parts[i] for i in sorted(parts)])
    return found


def safetensors() -> Any:
    """The library's functions for numpy.

    Raises:
      ImportError: without it, with how to install it.
    """
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "safetensors is missing: pip install -e '.[weights]'"
        ) from error
    return safetensors.numpy


def _errors() -> tuple[type[BaseException], ...]:
    import safetensors

    return (safetensors.SafetensorError, OSError, ValueError)
