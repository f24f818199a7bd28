"""A reader of digits that others made: PP-OCRv4 (arXiv:2109.03144), whose ONNX file the
wheel of rapidocr-onnxruntime (Apache-2.0) carries.

The wheel is fetched by pip, read as a zip and never installed: of its 15 MB the
recogniser alone is needed. It reads lines of print in 6 000 characters, so it is asked
for digits only, and shown each three times in a row: 97 % of handwritten ones are read
so, of ones that stand alone 89 %.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2t.problems import wheels
from t2t.problems.omni import pictures
from t2t.problems.omni.sentences import DIGITS
from t2t.problems.problem import DataUnavailable

WHEEL = wheels.Wheel(
    "rapidocr-onnxruntime==1.4.4",
    "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
    "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
)
INSIDE = "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"
HEIGHT = 48  # pixels of a line, as the network wants them
IN_A_ROW = 3


class Ocr:
    """Digits of cells.

    Args:
      tmp_dir: keeps the wheel.

    Raises:
      DataUnavailable: when the wheel cannot be had, or ONNX Runtime is not installed.
    """

    label = "PP-OCRv4"

    def __init__(self, tmp_dir: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise DataUnavailable(
                f"{self.label}, a judge of pictures: pip install -e '.[judges]'"
            ) from None
        with zipfile.ZipFile(wheels.fetch(WHEEL, tmp_dir)) as wheel:
            self._network = onnxruntime.InferenceSession(wheel.read(INSIDE))
        characters = self._network.get_modelmeta().custom_metadata_map["character"]
        # The first class is CTC's blank.
        read = {c: n for n, c in enumerate(characters.split("\n"), start=1)}
        self._classes = [read[str(digit)] for digit in range(10)]
        (given,) = self._network.get_inputs()
        self._input = given.name

    def __call__(self, inks: Sequence[np.ndarray]) -> list[str]:
        """'seven' of each ink, uint8 [12, 12]: the likeliest digit anywhere in it."""
        names = DIGITS["en"]
        return [names[int(self._likeliest(ink))] for ink in inks]

    def _likeliest(self, ink: np.ndarray) -> Any:
        (chances,) = self._network.run(None, {self._input: line(ink)})
        return chances[0][:, self._classes].max(axis=0).argmax()


def line(ink: np.ndarray) -> np.ndarray:
    """Ink as a line of print, black on white: float32 [1, 3, 48, W] within ±1."""
    image = pictures.pillow()
    row = np.tile(np.pad(ink, 1), IN_A_ROW)
    wide = row.shape[1] * HEIGHT // row.shape[0]
    drawn = image.fromarray(row).resize((wide, HEIGHT), image.Resampling.BICUBIC)
    values = 1.0 - np.asarray(drawn, np.float32) / 127.5
    return np.broadcast_to(values, (1, 3, *values.shape)).copy()
