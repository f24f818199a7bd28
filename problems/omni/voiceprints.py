"""Whose voice it is: the voice encoder of Resemblyzer 0.1.4, arXiv:1710.10467.

Its wheel carries the weights. It is fetched by pip, read as a zip and never installed:
its own code wants webrtcvad, which is built from source and imports pkg_resources, and
setuptools no longer has that. The network is computed here by numpy, from the same
spectra but without cutting pauses out, which synthetic speech has none of.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2t.media.messages import RATE
from t2t.media.speech import synthesise
from t2t.problems import wheels
from t2t.problems.omni import sentences, voices

WHEEL = wheels.Wheel(
    "resemblyzer==0.1.4",
    "Resemblyzer-0.1.4-py3-none-any.whl",
    "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
)
INSIDE = "resemblyzer/pretrained.pt"
WINDOW, HOP, BANDS = 400, 160, 40
PART, STEP = 160, 77  # frames that the network hears at once, and from one to the next
COVERED = 0.75  # of the last part, or it is left out
QUIETEST = -30.0  # dB; what is less loud is made as loud
LAYERS = 3
REFERENCES = 12  # sentences of a voice that it is known by


class Voiceprints:
    """How like each voice of the assistant a sound is.

    Args:
      tmp_dir: keeps the wheel.

    Raises:
      DataUnavailable: when the wheel cannot be had.
      SpeechError: without espeak-ng.
    """

    label = "resemblyzer"

    def __init__(self, tmp_dir: Path) -> None:
        with zipfile.ZipFile(wheels.fetch(WHEEL, tmp_dir)) as wheel:
            self._weights = weights(wheel.read(INSIDE))
        rng = np.random.default_rng(12)
        said = [sentences.spoken_sentence(rng) for _ in range(REFERENCES)]
        self.voices = tuple(voices.ASSISTANTS)
        asked = [voices.say(t, v) for v in self.voices for t in said]
        prints = embed(self._weights, [s.samples for s in synthesise(asked)])
        prints = prints.reshape(len(self.voices), len(said), -1)
        self._known = _unit(prints.mean(axis=1))

    def __call__(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Cosines [N, voices] of float32 sounds at 16 kHz; 0 of one without samples."""
        return embed(self._weights, sounds) @ self._known.T


def equal_error_rate(alike: np.ndarray, right: np.ndarray) -> float:
    """Where as many others' sounds pass as one's own fail.

    Args:
      alike: [N, V], how like each voice each sound is.
      right: int [N], the voice that it is in.
    """
    own = right[:, None] == np.arange(alike.shape[1])
    marks = np.unique(alike)
    passed = (alike[~own] >= marks[:, None]).mean(axis=1)
    failed = (alike[own] < marks[:, None]).mean(axis=1)
    at = int(np.abs(passed - failed).argmin())
    return float(passed[at] + failed[at]) / 2


# -- the network ---------------------------------------------------------------------


def embed(arrays: Mapping[str, np.ndarray], sounds: Sequence[np.ndarray]) -> np.ndarray:
    """A print [N, 256] of length 1 of each sound: the mean over its parts."""
    parts = [_parts(sound) for sound in sounds]
    found = iter(_encode(arrays, np.concatenate([p for p in parts if len(p)] or parts)))
    means = [sum((next(found) for _ in p), start=np.zeros(256)) for p in parts]
    return _unit(np.array(means))


def _encode(arrays: Mapping[str, np.ndarray], mels: np.ndarray) -> np.ndarray:
    """Mel spectra [B, T, 40] -> [B, 256] of length 1."""
    states = mels.swapaxes(0, 1)
    for layer in range(LAYERS):
        into, kept, one, two = (
            arrays[f"lstm.{name}_l{layer}"]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        states = _lstm(states, into, kept, one + two)
    raw = states[-1] @ arrays["linear.weight"].T + arrays["linear.bias"]
    return _unit(np.maximum(raw, 0.0))


def _lstm(
    inputs: np.ndarray, heard: np.ndarray, kept: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """A layer in PyTorch's order of gates: [T, B, D] -> [T, B, H]."""
    state = cell = np.zeros((inputs.shape[1], kept.shape[1]), np.float32)
    found = []
    for given in inputs @ heard.T + bias:
        into, forget, new, out = np.split(given + state @ kept.T, 4, axis=-1)
        cell = _sigmoid(forget) * cell + _sigmoid(into) * np.tanh(new)
        state = _sigmoid(out) * np.tanh(cell)
        found.append(state)
    return np.stack(found)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)


# -- what it hears -------------------------------------------------------------------


def _parts(sound: np.ndarray) -> np.ndarray:
    """Mel spectra [P, 160, 40] of overlapping parts of a sound; none of silence."""
    power = float(np.mean(np.square(sound))) if len(sound) else 0.0
    if power < 1e-10:
        return np.zeros((0, PART, BANDS), np.float32)
    loud = sound * max(1.0, 10 ** (QUIETEST / 20) / power**0.5)
    count = -(-(len(sound) + 1) // HOP)
    starts = list(range(0, max(1, count - PART + STEP + 1), STEP))
    if len(starts) > 1 and len(sound) - starts[-1] * HOP < COVERED * PART * HOP:
        starts.pop()
    # Half a window before and after, and nothing to the end of the last part.
    end = (starts[-1] + PART) * HOP
    padded = np.pad(loud, (WINDOW // 2, max(0, end - len(loud)) + WINDOW // 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
    mels = np.abs(np.fft.rfft(windows * hann)) ** 2 @ _mel_matrix()
    return np.stack([mels[s : s + PART] for s in starts]).astype(np.float32)


def _mel_matrix() -> np.ndarray:
    """librosa's triangles: Slaney's scale, equal in area, [201, 40]."""
    top = 15.0 + 27.0 * np.log(RATE / 2 / 1000.0) / np.log(6.4)  # in mels
    mels = np.linspace(0.0, top, BANDS + 2)
    # Linear to 1 000 Hz, which is 15 mels; then 27 mels are a factor of 6.4.
    hertz = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    at = np.linspace(0.0, RATE / 2, WINDOW // 2 + 1)[:, None]
    rise = (at - hertz[:-2]) / np.diff(hertz)[:-1]
    fall = (hertz[2:] - at) / np.diff(hertz)[1:]
    return np.maximum(0.0, np.minimum(rise, fall)) * 2 / (hertz[2:] - hertz[:-2])


# -- its file ------------------------------------------------------------------------


class _Pickle(pickle.Unpickler):
    """Reads what PyTorch wrote before 1.6, and makes nothing but dictionaries."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if global_name == "OrderedDict":
            return OrderedDict
        if global_name == "_rebuild_tensor_v2":
            return lambda storage, offset, size, *rest: (storage, offset, size)
        if module_name == "torch" and global_name.endswith("Storage"):
            return global_name
        raise pickle.UnpicklingError(f"unexpected {module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> Any:
        return pid[2]  # the key of a storage


def weights(content: bytes) -> dict[str, np.ndarray]:
    """The float32 arrays of 'model_state' by name, from the bytes of a .pt file.

    Raises:
      UnpicklingError: for a file with anything else in it.
    """
    stream = io.BytesIO(content)
    _, _, _, saved, keys = (_Pickle(stream).load() for _ in range(5))
    storages = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = np.frombuffer(stream.read(4 * count), "<f4")
    return {
        name: storages[key][offset : offset + int(np.prod(size))].reshape(size)
        for name, (key, offset, size) in saved["model_state"].items()
    }
