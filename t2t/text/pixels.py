"""Pictures as sequences: one id for each channel of each pixel, row by row.

The text form is plain PNM on one line: 'P2 WIDTH HEIGHT 255 values' for grey, 'P3' for
colours, which picture viewers open. A picture may have fewer rows than a whole one:
it is then a prompt, the rows above what is to be drawn, or an answer to one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import numpy as np

from t2t.features import EOS, PAD
from t2t.text import files

RESERVED = 2  # padding and end of sequence
MAGIC = {1: "P2", 3: "P3"}


class Pixels:
    """Values 0 to 255 after the two reserved ids; needs no corpus.

    Args:
      shape: (height, width, channels) of a whole picture; 1 or 3 channels.
    """

    suffix = ".pixels"
    size = RESERVED + 256
    built = True

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.name = "x".join(map(str, shape))
        if shape[2] not in MAGIC:
            raise ValueError(f"pictures have 1 or 3 channels, not {shape[2]}")

    def build(self, texts: Iterable[str]) -> None:
        """Nothing to learn."""

    def text(self, picture: np.ndarray) -> str:
        """The text form of uint8 [rows, W, C]."""
        rows, width, channels = picture.shape
        values = " ".join(map(str, picture.reshape(-1).tolist()))
        return f"{MAGIC[channels]} {width} {rows} 255 {values}".strip()

    def picture(self, text: str, *, cut: bool = False) -> np.ndarray:
        """The picture uint8 [rows, W, C] of a text form.

        Args:
          cut: rows that are too many are left out.

        Raises:
          ValueError: saying what is wrong with it.
        """
        height, width, channels = self.shape
        magic, *numbers = text.split() or [""]
        wanted = f"'{MAGIC[channels]} {width} ROWS 255 values'"
        if magic != MAGIC[channels] or not all(n.isdecimal() for n in numbers):
            raise ValueError(f"a picture is {wanted}, not {text[:40]!r}")
        if len(numbers) < 3 or int(numbers[0]) != width or int(numbers[2]) != 255:
            raise ValueError(f"a picture is {wanted}, not {text[:40]!r}")
        values = np.array(numbers[3:], np.int64)
        values = values[: height * width * channels] if cut else values
        if len(values) % (width * channels) or len(values) > height * width * channels:
            raise ValueError(
                f"{len(values)} values are no whole rows of {width * channels}, at "
                f"most {height} of them"
            )
        if len(values) and values.max() > 255:
            raise ValueError(f"values are from 0 to 255, not {values.max()}")
        return values.astype(np.uint8).reshape(-1, width, channels)

    def encode(self, text: str) -> list[int]:
        """Ids of a picture's values; the number of rows that it names is not read."""
        return (self.picture(text).reshape(-1).astype(int) + RESERVED).tolist()

    def decode(self, ids: Iterable[int]) -> str:
        """A picture as high as there are values; the last row is filled up with 0."""
        values = [i - RESERVED for i in takewhile(lambda i: i != EOS, ids) if i != PAD]
        width, channels = self.shape[1:]
        rows = -(-len(values) // (width * channels))
        picture = np.zeros(rows * width * channels, np.uint8)
        picture[: len(values)] = np.clip(values, 0, 255)
        return self.text(picture.reshape(rows, width, channels))

    def save(self, folder: Path) -> Path:
        """Writes a one-line file, so that a run folder names all it needs."""
        content = f"pictures of {self.name}, values from id 2\n"
        return files.write(folder, self.name + self.suffix, content.encode())

    def load(self, folder: Path) -> None:
        """Nothing to load."""
