"""The pictures of the omni problems alone, for a tokenizer of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t2t import features as features_lib
from t2t import registry
from t2t.features import Feature
from t2t.problems.omni import pictures, tasks
from t2t.problems.problem import DEV, TEST, TRAIN, Example, Problem


@registry.problem
class OmniPictures(Problem):
    """Real handwritten digits and coloured shapes in 24 x 24 pixels.

    Up to four in a picture; a quarter are frames of films of them.

    Args:
      count: of training pictures; dev and test have a twentieth each.
    """

    FEATURES = {"image": "image"}
    TARGET = "image"
    SPLITS = {TRAIN: 2, DEV: 1, TEST: 1}
    VERSION = 2
    SUGGESTED = ("image_tokenizer_tiny", "image_tokenizer")
    licence = "digits CC-BY-SA-3.0 (MNIST)"

    def __init__(self, *, count: int = 10_000) -> None:
        self.count = count

    @property
    def features(self) -> dict[str, Feature]:
        return {"image": features_lib.image(pictures.SIDE, pictures.SIDE, 3)}

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        rng = np.random.default_rng([6, *split.encode()])
        world = tasks.World(rng, pictures.Digits(tmp_dir), split)
        count = self.count if split == TRAIN else max(1, self.count // 20)
        for _ in range(count):
            yield {"image": _picture(world)}

    def example(self, split: str, rng: np.random.Generator) -> Example:
        """Shapes only, which need no download: for `fake`."""
        things = [tasks.choose(rng, pictures.SHAPES) for _ in range(4)]
        colours = [tasks.choose(rng, list(pictures.COLOURS)) for _ in range(4)]
        cells = [
            pictures.paint(pictures.shape(thing), colour)
            for thing, colour in zip(things, colours, strict=True)
        ]
        return {"image": pictures.grid(cells)}


def _picture(world: tasks.World) -> np.ndarray:
    """A number, a grid of things or a frame of a film."""
    draw = world.rng.random()
    if draw < 0.5:
        return world.number_picture(world.number(), world.colour()).pixels
    if draw < 0.75:
        cells = [world.thing()[1] for _ in range(int(world.rng.integers(1, 5)))]
        return pictures.grid(cells)
    film, _ = tasks.draw_film(world)
    return film.frames[int(world.rng.integers(pictures.FRAMES))]
