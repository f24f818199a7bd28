"""The user's own pictures: splits, sizes, and errors that name the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from t2t.media.pictures import write_png
from t2t.problems.image_files import ImageClassFiles
from t2t.problems.lines import UnreadableFile
from t2t.problems.problem import DEV, TEST, TRAIN


def _pictures(folder: Path, label: str, count: int, value: int) -> None:
    (folder / label).mkdir(parents=True)
    rng = np.random.default_rng(value)
    for i in range(count):
        pixels = np.full((6, 9, 3), value, np.uint8)
        pixels[0, 0] = rng.integers(0, 256, 3)
        write_png(folder / label / f"{i}.png", pixels)


def test_a_folder_for_each_label(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    _pictures(tmp_path / "pets", "dog", 12, 200)
    _pictures(tmp_path / "pets", "cat", 12, 40)
    problem = ImageClassFiles(
        inputs=str(tmp_path / "pets"), height=4, width=4, channels=1
    )
    split = {s: list(problem.examples(s, tmp_path)) for s in (TRAIN, DEV, TEST)}
    assert sum(map(len, split.values())) == 24
    assert len(split[TRAIN]) >= 14
    for example in split[TRAIN]:
        assert example["image"].shape == (4, 4, 1)
        near = {"dog": 200, "cat": 40}[example["label"]]
        assert abs(int(example["image"][3, 3, 0]) - near) < 8
    problem.labels.build(example["label"] for example in split[TRAIN])
    assert problem.labels.labels == ("cat", "dog")


def test_folders_of_splits(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    _pictures(tmp_path / TRAIN, "dog", 3, 200)
    _pictures(tmp_path / DEV, "dog", 1, 100)
    problem = ImageClassFiles(inputs=str(tmp_path))
    assert len(list(problem.examples(TRAIN, tmp_path))) == 3
    assert len(list(problem.examples(DEV, tmp_path))) == 1
    with pytest.raises(UnreadableFile, match="none named test"):
        next(problem.examples(TEST, tmp_path))


def test_mistakes(tmp_path: Path) -> None:
    for given, told in (
        ("", "--inputs=FOLDER"),
        (str(tmp_path / "none"), "no such folder"),
        (str(tmp_path), "no pictures in folders"),
    ):
        with pytest.raises(UnreadableFile, match=told):
            next(ImageClassFiles(inputs=given).examples(TRAIN, tmp_path))
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"no picture")
    with pytest.raises(UnreadableFile, match="1.png"):
        for split in (TRAIN, DEV, TEST):
            list(ImageClassFiles(inputs=str(tmp_path)).examples(split, tmp_path))
    with pytest.raises(ValueError, match="channels is 1 or 3, not 4"):
        ImageClassFiles(channels=4)
