"""Records: what is written is what TensorFlow reads, and what we read back."""

from __future__ import annotations

import numpy as np
import pytest

from t2t.data import records
from t2t.features import Feature

FEATURES = {
    "inputs": Feature("text", (None,), "int32", "T"),
    "label": Feature("label", (), "int32", ""),
    "image": Feature("image", (2, 3, 1), "uint8", "HWC"),
    "sound": Feature("real", (None, None), "float32", "TC"),
}
EXAMPLE = {
    "inputs": np.array([5, 70_000, 1], np.int32),
    "label": np.array(3, np.int32),
    "image": np.arange(6, dtype=np.uint8).reshape(2, 3, 1),
    "sound": np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2),
}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a
    )


def test_round_trip():
    assert same(records.decode(records.encode(EXAMPLE, FEATURES), FEATURES), EXAMPLE)
    empty = {**EXAMPLE, "inputs": np.array([], np.int32)}
    assert same(records.decode(records.encode(empty, FEATURES), FEATURES), empty)


def test_tensorflow_reads_it():
    import tensorflow as tf

    record = records.encode(EXAMPLE, FEATURES)
    feature = tf.train.Example.FromString(record).features.feature
    assert list(feature["inputs"].int64_list.value) == [5, 70_000, 1]
    assert feature["image"].bytes_list.value[0] == bytes(range(6))
    assert list(feature["sound/shape"].int64_list.value) == [4, 2]
    parsed = tf.io.parse_single_example(
        record,
        {
            "inputs": tf.io.RaggedFeature(tf.int64),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "sound": tf.io.FixedLenFeature([4, 2], tf.float32),
        },
    )
    assert parsed["label"] == 3
    np.testing.assert_array_equal(parsed["sound"], EXAMPLE["sound"])
    theirs = tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=[4, 2]))
                for name in ("inputs", "other")
            }
        )
    ).SerializeToString()
    read = records.decode(theirs, {"inputs": FEATURES["inputs"]})
    assert read["inputs"].tolist() == [4, 2]


@pytest.mark.parametrize(
    "wrong",
    [np.array([1.5]), np.array(3, np.int32), np.array([1], np.int64)],
)
def test_an_array_that_is_not_as_declared(wrong):
    with pytest.raises(ValueError, match=r"'inputs' is declared int32 \[None\]"):
        records.encode({**EXAMPLE, "inputs": wrong}, FEATURES)


def test_a_record_without_the_feature():
    record = records.encode(EXAMPLE, FEATURES)
    with pytest.raises(ValueError, match="no feature 'targets', only image, inputs"):
        records.decode(record, {"targets": FEATURES["inputs"]})
