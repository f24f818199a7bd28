"""Judges of what is said and drawn: never the model itself, and trained on raw data
that no model of the house has seen. Each says how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from t2t.media.tokenizers import Tokenizer
from t2t.problems.omni import pictures
from t2t.problems.omni.sentences import COLOURS, DIGITS, SHAPES
from t2t.problems.problem import DEV, DataUnavailable
from t2t.text.symbols import Symbols

INK = 40  # brightest pixel of a cell below which it is empty
COPIES = 10  # of each scan, turned and moved a little


class SpeechJudge(Tokenizer):
    """What a sound says, in the words of a closed vocabulary.

    A recogniser of our own, trained on raw synthetic speech (`speech_words`).
    """

    label = "own recogniser"

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__("speech_recogniser", problem="speech_words")
        self.words = Symbols("english_words", words)

    def __call__(self, sounds: Sequence[np.ndarray], task: str = "") -> list[str]:
        """The words of float32 sounds at 16 kHz, whatever the task."""
        found = []
        for sound in sounds:
            frame = self.model.frame
            # In steps of half a second, and some silence after.
            count = -(-(len(sound) + 4000) // (12 * frame)) * 12 * frame
            padded = np.pad(sound, (0, count - len(sound)))[None].astype(np.float32)
            (ids,) = self.model.transcribe(padded)
            found.append(self.words.decode(ids))
        return found


class Classifier:
    """What the inks of cells are: digits and shapes.

    A support vector machine on the brightness of 12 x 12 pixels, of handwriting that
    models are not trained on, and of shapes.
    """

    label = "own classifier"

    def __init__(self, digits: pictures.Digits) -> None:
        try:
            from sklearn.svm import SVC
        except ImportError:
            raise DataUnavailable(
                "judges need scikit-learn: pip install -e '.[omni]'"
            ) from None
        inks, names = [], []
        rng = np.random.default_rng(0)
        for digit, name in enumerate(DIGITS["en"]):
            for split in (pictures.JUDGE, DEV):
                for scan in digits.scans[split, digit]:
                    copies = [scan, *(pictures.moved(scan, rng) for _ in range(COPIES))]
                    inks += copies
                    names += [name] * len(copies)
        for name in SHAPES:
            shape = pictures.shape(name)
            inks += [shape, *(pictures.moved(shape, rng) for _ in range(200))]
            names += [name] * 201
        self._machine = SVC(C=10.0, gamma=4.0).fit(_unit(inks), names)

    def __call__(self, inks: Sequence[np.ndarray]) -> list[str]:
        """'seven' of each ink, uint8 [12, 12]."""
        return list(self._machine.predict(_unit(inks)))


def things(picture: np.ndarray, read: Callable[[Sequence[np.ndarray]], Any]) -> str:
    """'red seven and blue star': the cells of uint8 [24, 24, 3] that are not empty.

    Args:
      read: names inks. The colour is the nearest of the six.
    """
    cells = [c for c in _cells(picture) if c.max() > INK]
    if not cells:
        return ""
    names = read([c.max(axis=-1) for c in cells])
    return " and ".join(
        f"{_colour(cell)} {name}" for cell, name in zip(cells, names, strict=True)
    )


def _cells(picture: np.ndarray) -> list[np.ndarray]:
    size = pictures.CELL
    return [picture[r : r + size, c : c + size] for r in (0, size) for c in (0, size)]


def _colour(cell: np.ndarray) -> str:
    """The nearest in direction, by the brighter pixels; white is no direction's."""
    bright = cell[cell.max(axis=-1) >= 0.6 * cell.max()].astype(np.float64)
    mean = bright.mean(axis=0)
    mean = mean / mean.max()

    def distance(name: str) -> float:
        colour = np.array(COLOURS[name], np.float64)
        return float(np.abs(colour / colour.max() - mean).sum())

    return min(COLOURS, key=distance)


def _unit(inks: Sequence[Any]) -> np.ndarray:
    flat = np.asarray(inks, np.float32).reshape(len(inks), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)
