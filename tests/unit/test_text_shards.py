"""Shards as Tensor2Tensor's t2t-datagen writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from t2t.features import EOS
from t2t.problems import made_up
from t2t.problems.lines import UnreadableFile
from t2t.problems.problem import DEV, TEST, TRAIN
from t2t.problems.text_shards import TextToTextShards
from t2t.text import Subwords

Pairs = list[tuple[str, str]]


def _example(**ids: list[int]) -> bytes:
    lists = {n: tf.train.Int64List(value=v) for n, v in ids.items()}
    features = {n: tf.train.Feature(int64_list=v) for n, v in lists.items()}
    made = tf.train.Example(features=tf.train.Features(feature=features))
    return made.SerializeToString()


def _write(folder: Path, split: str, pairs: Pairs, vocabulary: Subwords) -> None:
    for shard in range(2):
        path = folder / f"toy-{split}-{shard:05d}-of-00002"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for source, target in pairs[shard::2]:
                ids = {
                    "inputs": [*vocabulary.encode(source), EOS],
                    "targets": [*vocabulary.encode(target), EOS],
                }
                writer.write(_example(**ids))


@pytest.fixture
def vocabulary(tmp_path: Path) -> Subwords:
    """In a file named as Tensor2Tensor names it."""
    found = Subwords("toy", 300)
    found.build(text for pair in made_up.pairs(TRAIN) for text in pair)
    found.save(tmp_path).rename(tmp_path / "vocab.toy.300.subwords")
    return found


def _problem(folder: Path) -> TextToTextShards:
    return TextToTextShards(
        inputs=str(folder / "toy-train-*"),
        vocabulary=str(folder / "vocab.toy.300.subwords"),
    )


def _read(problem: TextToTextShards, split: str) -> Pairs:
    found = problem.examples(split, Path())
    return [(e["inputs"], e["targets"]) for e in found]


def test_texts_and_ids_are_theirs(tmp_path: Path, vocabulary: Subwords) -> None:
    pairs = {split: list(made_up.pairs(split)) for split in (TRAIN, DEV)}
    for split, some in pairs.items():
        _write(tmp_path, split, some, vocabulary)
    problem = _problem(tmp_path)
    assert sorted(_read(problem, DEV)) == sorted(pairs[DEV])
    train, test = _read(problem, TRAIN), _read(problem, TEST)
    assert sorted(train + test) == sorted(pairs[TRAIN])
    encoded = problem.encode({"inputs": train[0][0], "targets": train[0][1]})
    assert encoded["inputs"].tolist() == [*vocabulary.encode(train[0][0]), EOS]


def test_what_is_no_such_shard_is_named(tmp_path: Path, vocabulary: Subwords) -> None:
    with pytest.raises(UnreadableFile, match="vocabulary"):
        _read(TextToTextShards(inputs="toy-train-*"), TRAIN)
    path = tmp_path / "toy-train-00000-of-00001"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(
            _example(inputs=[5, 1], targets=[5, 1], inputs_segmentation=[1, 1])
        )
    with pytest.raises(UnreadableFile, match="packed"):
        _read(_problem(tmp_path), TRAIN)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(_example(inputs=[5, 1], targets=[99_999, 1]))
    with pytest.raises(UnreadableFile, match="ids below"):
        _read(_problem(tmp_path), TRAIN)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UnreadableFile, match="damaged"):
        _read(_problem(tmp_path), TRAIN)
