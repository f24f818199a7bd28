"""The user's own pictures, without code: a folder for each label.

    --problem=image_class_files --inputs=pets        (pets/cat/1.png, pets/dog/2.jpg, …)

With folders `train`, `dev` and `test` of such folders these are the splits; else a
tenth of the pictures each is held out for dev and test, equal files together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t2t import registry
from t2t.media.limits import MediaError
from t2t.media.pictures import read_picture
from t2t.problems import holdout
from t2t.problems.lines import UnreadableFile
from t2t.problems.problem import DEV, TEST, TRAIN, Example
from t2t.problems.tasks import ImageClass

ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".gif"}
HELD_OUT = 0.1


@registry.problem("image_class_files")
class ImageClassFiles(ImageClass):
    """Your own labelled pictures: a folder with a folder of files for each label.

    Args:
      inputs: the folder.
      height, width: pixels that pictures are brought to.
      channels: 3, or 1 for grey.
      fit: how they get there, see `t2t.media.pictures.resized`.
    """

    SPLITS = {TRAIN: 1, DEV: 1, TEST: 1}
    licence = "the user's own"

    def __init__(
        self,
        *,
        inputs: str = "",
        height: int = 32,
        width: int = 32,
        channels: int = 3,
        fit: str = "crop",
    ) -> None:
        if channels not in (1, 3):
            raise ValueError(f"channels is 1 or 3, not {channels!r}")
        self.folder, self.fit = inputs, fit
        self.SHAPE = (height, width, channels)

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        own, whole = self._split_folder(split)
        found = [
            (path, label.name)
            for label in sorted(own.iterdir())
            if label.is_dir()
            for path in sorted(label.rglob("*"))
            if path.suffix.lower() in ENDINGS
        ]
        if not found:
            raise UnreadableFile(
                f"{own} has no pictures in folders: expected such as {own}/cat/1.png"
            )
        for path, label in found:
            data = path.read_bytes()
            place = holdout.share(data.hex())
            held = TEST if place < HELD_OUT else DEV if place < 2 * HELD_OUT else TRAIN
            if whole or held == split:
                yield {"image": self._read(path, data), "label": label}

    def _split_folder(self, split: str) -> tuple[Path, bool]:
        """Where a split's labels are, and whether all of it is the split's."""
        if not self.folder:
            raise UnreadableFile(
                f"{self.name or 'image_class_files'} needs --inputs=FOLDER, with a "
                "folder of pictures for each label"
            )
        root = Path(self.folder).expanduser()
        if not root.is_dir():
            raise UnreadableFile(f"{root}: there is no such folder")
        if not (root / TRAIN).is_dir():
            return root, False
        if not (root / split).is_dir():
            raise UnreadableFile(f"{root} has a folder {TRAIN}, but none named {split}")
        return root / split, True

    def _read(self, path: Path, data: bytes) -> np.ndarray:
        try:
            picture = read_picture(data, size=self.SHAPE[:2], fit=self.fit)
        except MediaError as error:
            raise UnreadableFile(f"{path}: {error}") from error
        if self.SHAPE[2] == 1:
            return np.round(picture.mean(axis=-1, keepdims=True)).astype(np.uint8)
        return picture

    def fake(self, split: str) -> Iterator[Example]:
        rng = np.random.default_rng([len(split), *split.encode()])
        for i in range(200):
            picture = rng.integers(0, 100, self.SHAPE).astype(np.uint8)
            half = self.SHAPE[1] // 2
            picture[:, half * (i % 2) : half * (1 + i % 2)] += 120
            yield {"image": picture, "label": ("left", "right")[i % 2]}
