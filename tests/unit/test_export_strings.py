"""Vocabularies as graphs give the ids and the texts of those in Python."""

from __future__ import annotations

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.export.strings import strings
from t2t.text import Bytes, ClassLabels, SentencePiece, Subwords, Symbols

TEXTS = [
    "Hi, you two", " led by a space", "two  spaces ", "x_y a\\b \\_", "42 3.5…",
    "Straße – 日本 ünï", "a\nb\tc", "\\92; \\u \\\\u", "_", " ", "\U0001f600 é",
]  # fmt: skip


def _subwords() -> Subwords:
    made = Subwords("some", 300)
    made.build([*TEXTS[:4], "the quick brown fox", "Hi you", "Hi two"] * 20)
    return made


VOCABULARIES = {"bytes": Bytes(), "subwords": _subwords()}


@pytest.mark.parametrize("kind", VOCABULARIES)
def test_the_same_both_ways(kind: str) -> None:
    vocabulary = VOCABULARIES[kind]
    graph = strings(vocabulary)
    assert graph is not None
    encode = tf.function(graph.encode, input_signature=[tf.TensorSpec([], tf.string)])
    decode = tf.function(
        graph.decode, input_signature=[tf.TensorSpec([None], tf.int32)]
    )

    def check(text: str) -> None:
        ids = encode(tf.constant(text)).numpy().tolist()
        assert ids == vocabulary.encode(text), text
        written = decode(tf.constant([0, *ids, 1, 5], tf.int32)).numpy().decode()
        assert written == vocabulary.decode(ids), text

    for text in TEXTS:
        check(text)

    some = st.text(st.sampled_from("aé日 _\\u;0129,-\n\U0001f600"), min_size=1)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(some)
    def property(text: str) -> None:
        check(text)

    property()


def test_any_ids_are_told_as_in_python() -> None:
    vocabulary = VOCABULARIES["subwords"]
    graph = strings(vocabulary)
    assert graph is not None

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(st.integers(2, vocabulary.size - 1), min_size=1))
    def property(ids: list[int]) -> None:
        written = graph.decode(tf.constant(ids, tf.int32)).numpy().decode()
        assert written == vocabulary.decode(ids)

    property()


def test_symbols_labels_and_what_has_no_graph() -> None:
    graph = strings(Symbols("digits", "0123456789"))
    assert graph is not None
    assert graph.encode(tf.constant("3 1 4")).numpy().tolist() == [5, 3, 6]
    assert graph.decode(tf.constant([5, 3, 1, 6])).numpy() == b"3 1"
    with pytest.raises(tf.errors.InvalidArgumentError, match="not of the list"):
        graph.encode(tf.constant("3 x"))
    labels = strings(ClassLabels("kinds", ("cat", "dog")))
    assert labels is not None and labels.decode(tf.constant([1])).numpy() == b"dog"
    assert strings(SentencePiece("pieces")) is None
