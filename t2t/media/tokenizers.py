"""Trained tokenizers of sound and pictures, as vocabulary files.

A tokenizer is a model of the zoo, frozen: `t2t-exporter` writes its arguments and its
weights into one npz file without pickles, and a problem loads that file from its data
folder as it loads any vocabulary. Runs copy it, so a run holds all that decoding needs.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import threading
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2t import registry
from t2t.features import Feature
from t2t.text import files

DESCRIPTION = "description"  # the entry that is no array of weights
ROWS = 16  # sounds or pictures that go through a tokenizer together


def freeze(model: Any, features: dict[str, Feature]) -> bytes:
    """A model and what it was built from, as the content of a file.

    Args:
      model: has `arguments`, the plain keyword arguments that it was made with.
    """
    description = {
        "model": model.name,
        "arguments": model.arguments,
        "features": {n: dataclasses.asdict(f.bare) for n, f in features.items()},
    }
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    arrays = {v.path: np.array(v) for v in model.variables}
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **{DESCRIPTION: text, **arrays})
    return stream.getvalue()


def plain(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor, of its `locals()`: what `freeze` keeps."""
    outside = ("self", "features", "__class__")
    return {name: value for name, value in given.items() if name not in outside}


def describe(content: bytes) -> dict[str, Any]:
    """{'model', 'arguments', 'features'} of a frozen file, without its weights.

    Raises:
      ValueError: when it is none.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return json.loads(arrays[DESCRIPTION].tobytes())
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise ValueError("the file is no tokenizer written by t2t-exporter") from None


def thaw(content: bytes) -> Any:
    """The model of a frozen file.

    Raises:
      ValueError: when the file holds no such model.
    """
    description = describe(content)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        stored = {name: arrays[name] for name in arrays.files if name != DESCRIPTION}
    features = {
        name: Feature(**{**made, "shape": tuple(made["shape"])})
        for name, made in description["features"].items()
    }
    made = registry.current().load("model", description["model"])
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in description["arguments"].items()
    }
    model = made(features, **arguments)
    model(
        {
            name: np.zeros((1, *(size or 1 for size in f.shape)), f.dtype)
            for name, f in features.items()
        }
    )
    wanted = {v.path: v for v in model.variables}
    if set(wanted) != set(stored):
        odd = sorted(set(wanted) ^ set(stored))[0]
        raise ValueError(f"the tokenizer's file does not fit its model: {odd}")
    for path, variable in wanted.items():
        variable.assign(stored[path])
    return model


class Tokenizer:
    """What is loaded like a vocabulary but is no text's; see the subclasses.

    Args:
      name: of the file and of the model.
      problem: that its model is trained on, for the error that asks for it.
    """

    suffix = ".npz"
    size = 0  # it adds no ids to a text

    def __init__(self, name: str, *, problem: str) -> None:
        self.name, self.problem = name, problem
        self.arguments: dict[str, Any] = {}  # of the model, once it is loaded
        self._content: bytes | None = None
        self._model: Any = None
        self._lock = threading.Lock()

    @property
    def built(self) -> bool:
        return self._content is not None

    @property
    def model(self) -> Any:
        """The model, made when it is first needed."""
        if self._content is None:
            raise files.not_built(self.name)
        with self._lock:
            if self._model is None:
                self._model = thaw(self._content)
        return self._model

    def build(self, texts: Iterable[str]) -> None:
        """It cannot be: it is trained."""
        raise FileNotFoundError(self.missing)

    @property
    def missing(self) -> str:
        return (
            f"no {self.name}{self.suffix} in the data folder: train one (t2t-trainer "
            f"--problem={self.problem} --output_dir=RUN), then t2t-exporter "
            "--output_dir=RUN --export_dir=DATA_DIR"
        )

    def save(self, folder: Path) -> Path:
        if self._content is None:
            raise files.not_built(self.name)
        return files.write(folder, self.name + self.suffix, self._content)

    def load(self, folder: Path) -> None:
        path = folder / (self.name + self.suffix)
        if not path.is_file():
            raise FileNotFoundError(self.missing)
        content = path.read_bytes()
        try:
            self.arguments = describe(content)["arguments"]
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        self._content, self._model = content, None

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which a worker makes again if it needs it."""
        return {**self.__dict__, "_model": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


class SoundTokenizer(Tokenizer):
    """float32 samples [N] at 16 kHz to codes int [T, K] and back."""

    def __init__(self) -> None:
        super().__init__("speech_codec", problem="speech_clips")

    @property
    def books(self) -> int:
        """K."""
        return self.arguments.get("books", 4)

    @property
    def book_size(self) -> int:
        """Codes of a book."""
        return math.prod(self.arguments.get("levels", (8, 6, 5)))

    @property
    def levels(self) -> tuple[int, ...]:
        """As `Feature` has them; none where a book is learned."""
        if self.arguments.get("quantiser") == "residual":
            return ()
        return tuple(self.arguments.get("levels", (8, 6, 5)))

    @property
    def frame(self) -> int:
        """Samples of a frame."""
        return self.model.frame

    def encode(self, sounds: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Codes of each sound; the last frame is filled up with silence."""
        order = sorted(range(len(sounds)), key=lambda i: len(sounds[i]))
        found: list[np.ndarray] = [np.zeros((0, 0), np.int32)] * len(sounds)
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            counts = [-(-len(sounds[i]) // self.frame) for i in rows]
            padded = np.zeros((len(rows), max(counts) * self.frame), np.float32)
            for row, i in enumerate(rows):
                padded[row, : len(sounds[i])] = sounds[i]
            codes = np.asarray(self.model.encode(padded)[0])
            for row, (i, count) in enumerate(zip(rows, counts, strict=True)):
                found[i] = codes[row, :count]
        return found

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 [T·frame] within ±1, of codes [T, K]."""
        if not len(codes):
            return np.zeros(0, np.float32)
        samples, past = self.model.decode(codes[None].astype(np.int32))
        tail = np.asarray(past["tail"])[0]
        whole = np.concatenate([np.asarray(samples)[0], tail])
        return np.clip(whole[len(tail) :], -1.0, 1.0)

    def echo(self, sounds: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What is left of sounds of one length, whole frames, after coding."""
        found: list[np.ndarray] = []
        for start in range(0, len(sounds), ROWS):
            part = np.stack(sounds[start : start + ROWS]).astype(np.float32)
            samples, past = self.model.decode(self.model.encode(part)[0])
            late = past["tail"].shape[1]
            whole = np.concatenate([np.asarray(samples), np.asarray(past["tail"])], 1)
            found.extend(np.clip(whole[:, late:], -1.0, 1.0))
        return found


class PictureTokenizer(Tokenizer):
    """uint8 pictures [H, W, 3] to codes int [h, w] and back."""

    def __init__(self) -> None:
        super().__init__("image_tokenizer", problem="omni_pictures")

    @property
    def book_size(self) -> int:
        """Number of codes."""
        return math.prod(self.levels)

    @property
    def levels(self) -> tuple[int, ...]:
        """As `Feature` has them."""
        return tuple(self.arguments.get("levels", (8, 5, 5, 5)))

    @property
    def patch(self) -> int:
        """Pixels of a side that a code stands for."""
        return 2 ** len(self.arguments.get("channels", (0, 0, 0)))

    def encode(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Codes of each picture; all have one size."""
        found: list[np.ndarray] = []
        for start in range(0, len(pictures), 4 * ROWS):
            part = np.stack(pictures[start : start + 4 * ROWS])
            found.extend(np.asarray(self.model.encode(part)))
        return found

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] of codes [h, w]."""
        return np.asarray(self.model.decode(codes[None].astype(np.int32)))[0]
