"""The pictures of the omni problems alone, for a tokenizer of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from t2t import features as features_lib
from t2t import registry
from t2t.features import Feature
from t2t.problems.omni import pictures, tasks
from t2t.problems.omni.sentences import DIGITS, SHAPES
from t2t.problems.problem import DEV, TEST, TRAIN, Example, Problem

KINDS = (*DIGITS["en"], *SHAPES)


@registry.problem
class OmniPictures(Problem):
    """Real handwritten digits and coloured shapes in 24 x 24 pixels.

    Up to four in a picture; a quarter are frames of films of them. `kinds` says to what
    kind of thing a pixel belongs, whatever its colour: 0 for none.

    Args:
      count: of training pictures; dev and test have a twentieth each.
    """

    FEATURES = {"image": "image", "kinds": "label"}
    TARGET = "image"
    SPLITS = {TRAIN: 2, DEV: 1, TEST: 1}
    VERSION = 3
    SUGGESTED = ("image_tokenizer_tiny", "image_tokenizer")
    licence = "digits CC-BY-SA-3.0 (MNIST)"

    def __init__(self, *, count: int = 10_000) -> None:
        self.count = count

    @property
    def features(self) -> dict[str, Feature]:
        size = (pictures.SIDE, pictures.SIDE)
        kinds = Feature("label", size, "uint8", "HW", classes=1 + len(KINDS))
        return {"image": features_lib.image(*size, 3), "kinds": kinds}

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        rng = np.random.default_rng([6, *split.encode()])
        world = tasks.World(rng, pictures.Digits(tmp_dir), split)
        count = self.count if split == TRAIN else max(1, self.count // 20)
        for _ in range(count):
            yield _picture(world)

    def example(self, split: str, rng: np.random.Generator) -> Example:
        """Shapes only, which need no download: for `fake`."""
        things = [tasks.choose(rng, pictures.SHAPES) for _ in range(4)]
        colours = [tasks.choose(rng, list(pictures.COLOURS)) for _ in range(4)]
        return _both(
            pictures.grid,
            things,
            [
                pictures.paint(pictures.shape(thing), colour)
                for thing, colour in zip(things, colours, strict=True)
            ],
        )


def _picture(world: tasks.World) -> Example:
    """A number, a grid of things or a frame of a film."""
    draw = world.rng.random()
    if draw < 0.5:
        colour, number = world.colour(), world.number()
        cells = [pictures.paint(world.ink(digit), colour) for digit in number]
        return _both(pictures.grid, [DIGITS["en"][digit] for digit in number], cells)
    if draw < 0.75:
        things = [world.thing() for _ in range(int(world.rng.integers(1, 5)))]
        return _both(pictures.grid, *zip(*things, strict=True))
    things, moves = tasks.draw_moves(world)
    moment = int(world.rng.integers(pictures.FRAMES))
    return _both(lambda c: pictures.film(c, moves)[moment], *zip(*things, strict=True))


def _both(
    compose: Callable[[Sequence[np.ndarray]], np.ndarray],
    names: Sequence[str],
    cells: Sequence[np.ndarray],
) -> Example:
    """Cells put together, and in the same places what they are."""
    numbers = [1 + KINDS.index(name.split()[-1]) for name in names]
    alike = [np.full_like(c, n) for c, n in zip(cells, numbers, strict=True)]
    return {"image": compose(cells), "kinds": compose(alike)[..., 0]}
