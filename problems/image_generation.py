"""Pictures to be drawn value by value, from the pictures of the classification
problems: their labels are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from t2t import features as features_lib
from t2t import registry
from t2t.features import Feature
from t2t.problems.images import ImageDigits
from t2t.problems.problem import DEV, TEST, TRAIN, Example, Problem
from t2t.problems.tasks import ImageClass
from t2t.problems.tfds import TfdsProblem
from t2t.problems.tfds_images import ImageCifar10, ImageMnist
from t2t.text import Pixels


class ImageGeneration(Problem):
    """Pictures without a question; a subclass says whose with `OF`.

    Judged by its loss, in bits a dimension: a value of a channel of a pixel.
    """

    FEATURES = {"targets": "pixels"}
    SUGGESTED = ("image_transformer_tiny", "image_transformer")
    METRICS = ()
    OF: type[ImageClass]

    def __init__(self) -> None:
        self.of = self.OF()
        self.of.name = registry.snake_case(self.OF.__name__)
        if isinstance(self.of, TfdsProblem):
            self.of.SUBSTITUTE = "image_digits_gen"
        self.licence = self.of.licence
        self.pixels = Pixels(self.OF.SHAPE)

    @property
    def features(self) -> dict[str, Feature]:
        return {"targets": features_lib.pixels(self.pixels)}

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        for example in self.of.examples(split, tmp_dir):
            yield {"targets": self.pixels.text(example["image"])}

    def fake(self, split: str) -> Iterator[Example]:
        for example in self.of.fake(split):
            yield {"targets": self.pixels.text(example["image"])}


@registry.problem
class ImageDigitsGen(ImageGeneration):
    """Real handwritten digits to be drawn, 8 x 8 values, from scikit-learn."""

    OF = ImageDigits
    SPLITS = {TRAIN: 1, DEV: 1, TEST: 1}


@registry.problem
class ImageMnistGen(ImageGeneration):
    """Handwritten digits to be drawn, MNIST, 28 x 28 values, by TFDS."""

    OF = ImageMnist


@registry.problem("image_cifar10_gen")
class ImageCifar10Gen(ImageGeneration):
    """Small photographs to be drawn, CIFAR-10, 32 x 32 x 3 values, by TFDS."""

    OF = ImageCifar10
