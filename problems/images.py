"""Images that come with a package: nothing to download."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t2t import registry
from t2t.problems import holdout
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable, Example
from t2t.problems.tasks import ImageClass

BRIGHTNESS = 15  # the scans count 0 to 16 dark pixels of a 4 x 4 block


@registry.problem
class ImageDigits(ImageClass):
    """Real handwritten digits, 1 797 of 8 x 8 pixels, from scikit-learn.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits,
    UCI Machine Learning Repository, 1998 (its test part). The split hashes the
    pixels, so equal scans stay together.
    """

    SHAPE = (8, 8, 1)
    LABELS = tuple("0123456789")
    SPLITS = {TRAIN: 1, DEV: 1, TEST: 1}
    licence = "CC-BY-4.0"

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise DataUnavailable(
                "image_digits needs scikit-learn: pip install -e '.[images]'"
            ) from None
        scans, labels = load_digits(return_X_y=True)
        pictures = (scans.reshape(-1, *self.SHAPE) * BRIGHTNESS).astype(np.uint8)
        for picture, label in zip(pictures, labels, strict=True):
            place = holdout.share(picture.tobytes().hex())
            if split == (TEST if place < 0.1 else DEV if place < 0.2 else TRAIN):
                yield {"image": picture, "label": self.LABELS[label]}
