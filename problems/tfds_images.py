"""Image classification from tensorflow-datasets."""

from __future__ import annotations

from typing import Any

import numpy as np

from t2t import registry
from t2t.problems.problem import DEV, TEST, TRAIN, Example
from t2t.problems.tasks import ImageClass
from t2t.problems.tfds import TfdsProblem


class TfdsImageClass(ImageClass, TfdsProblem):
    """A picture and its class; dev is every twelfth picture of the training set."""

    SOURCES = {TRAIN: "train", DEV: "train", TEST: "test"}
    DEV_EVERY = 12
    SUBSTITUTE = "image_digits"

    def convert(self, row: dict[str, Any]) -> Example:
        return {"image": row["image"], "label": self.LABELS[int(row["label"])]}


@registry.problem
class ImageMnist(TfdsImageClass):
    """Handwritten digits, MNIST, 28 x 28 pixels, by TFDS."""

    BUILDER = "mnist"
    SHAPE = (28, 28, 1)
    LABELS = tuple("0123456789")


@registry.problem("image_cifar10")
class ImageCifar10(TfdsImageClass):
    """Small photographs of ten classes, CIFAR-10, 32 x 32 pixels, by TFDS."""

    BUILDER = "cifar10"
    SHAPE = (32, 32, 3)
    LABELS = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )


@registry.problem
class ImageFashionMnist(TfdsImageClass):
    """Pictures of clothes in ten classes, Fashion-MNIST, 28 x 28 pixels, by TFDS."""

    BUILDER = "fashion_mnist"
    SHAPE = (28, 28, 1)
    LABELS = (
        *("t-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )


@registry.problem("image_cifar100")
class ImageCifar100(TfdsImageClass):
    """Small photographs of 100 classes, CIFAR-100, 32 x 32 pixels, by TFDS.

    Labels are the numbers of the classes in TFDS's order.
    """

    BUILDER = "cifar100"
    SHAPE = (32, 32, 3)
    LABELS = tuple(str(number) for number in range(100))


@registry.problem
class ImageImagenet(TfdsImageClass):
    """Photographs of 1 000 classes, ImageNet 2012, 224 x 224 pixels, by TFDS.

    The shorter side is scaled to 256 pixels and the middle is cut out. Labels are
    the numbers of the classes in TFDS's order; test is the public validation set.
    """

    BUILDER = "imagenet2012"
    SHAPE = (224, 224, 3)
    LABELS = tuple(str(number) for number in range(1000))
    SOURCES = {TRAIN: "train", DEV: "train", TEST: "validation"}
    DEV_EVERY = 100
    SPLITS = {TRAIN: 1000, DEV: 10, TEST: 40}

    def convert(self, row: dict[str, Any]) -> Example:
        return super().convert({**row, "image": middle(row["image"], 256, 224)})


def middle(picture: np.ndarray, scaled: int, cut: int) -> np.ndarray:
    """The middle of a uint8 [H, W, C] picture, whose shorter side is scaled first.

    Returns uint8 [cut, cut, C].
    """
    import tensorflow as tf

    height, width = picture.shape[:2]
    factor = scaled / min(height, width)
    size = (max(scaled, round(height * factor)), max(scaled, round(width * factor)))
    resized = tf.image.resize(picture, size, antialias=True).numpy()
    top, left = (size[0] - cut) // 2, (size[1] - cut) // 2
    resized = resized[top : top + cut, left : left + cut]
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)
