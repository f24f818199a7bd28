"""Every vocabulary keeps the contract, and any Unicode string the round trip."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from t2t import text
from t2t.features import EOS, PAD, Vocabulary

CORPUS = [
    f"The {thing} in room {number} reports {{name}}: {number * 7} °C, größer als %s."
    for thing in ("lamp", "door", "sensor", "window")
    for number in range(40)
]


def _built(kind: str, size: int) -> Vocabulary:
    vocabulary = text.vocabulary(kind, "corpus", size=size)
    vocabulary.build(CORPUS)
    return vocabulary


BUILT = {
    "bytes": _built("bytes", 0),
    "unigram": _built("unigram", 330),
    "bpe": _built("bpe", 400),
    "subwords": _built("subwords", 200),
}
INVERTIBLE = pytest.mark.parametrize("kind", BUILT)

# Surrogates too: a string that Python can hold is a string.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
TRICKY = st.text(st.sampled_from(" \n\t\r\0_\\;u019▁\x1a<>{}\ud800é日🎉a"), max_size=30)


@INVERTIBLE
@given(written=st.one_of(ANY_TEXT, TRICKY))
@example(written=" a  b ")
@example(written="\n\n x\t\0")
@example(written="▁a▁ \x1a2581;")
@example(written="\ud800\udfff")
@example(written="<0x0A></s><pad><unk> ⁇ <EOS>_")
@example(written="\\65; \\u _\\_ \\\\")
@example(written="\u3000\xa0\u2028\x85\ufeff\ufffd\u3013")
def test_round_trip(kind: str, written: str) -> None:
    vocabulary = BUILT[kind]
    ids = vocabulary.encode(written)
    assert vocabulary.decode(ids) == written
    assert all(EOS < i < vocabulary.size for i in ids)


@INVERTIBLE
@given(ids=st.lists(st.integers(0, 500), max_size=20))
def test_any_ids_decode(kind: str, ids: list[int]) -> None:
    assert isinstance(BUILT[kind].decode(ids), str)


@INVERTIBLE
def test_decode_stops_at_the_end_and_skips_padding(kind: str) -> None:
    vocabulary = BUILT[kind]
    ids = vocabulary.encode("The lamp")
    assert vocabulary.decode([PAD, *ids, EOS, *ids, PAD]) == "The lamp"


@INVERTIBLE
def test_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    saved = BUILT[kind]
    path = saved.save(tmp_path)
    assert path.name == saved.name + saved.suffix
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    size = 0 if kind == "bytes" else int(saved.name.split(".")[1])
    loaded = text.vocabulary(kind, "corpus", size=size)
    loaded.load(tmp_path)
    assert loaded.built and loaded.size == saved.size
    for sentence in (*CORPUS[:5], "Ünknown \0 wörds _"):
        assert loaded.encode(sentence) == saved.encode(sentence)


@pytest.mark.parametrize(
    "vocabulary",
    [
        text.SentencePiece("none"),
        text.Subwords("none"),
        text.ClassLabels("none"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_not_built_yet(vocabulary: Vocabulary, tmp_path: Path) -> None:
    assert not vocabulary.built
    with pytest.raises(FileNotFoundError, match=r"none\.\w+: run t2t-datagen"):
        vocabulary.load(tmp_path)
    with pytest.raises(ValueError, match="neither built nor loaded"):
        _ = vocabulary.size
    with pytest.raises(ValueError, match="neither built nor loaded"):
        vocabulary.encode("a")


def test_unknown_kind_names_what_is_close() -> None:
    with pytest.raises(ValueError, match="Did you mean 'subwords'"):
        text.vocabulary("subword", "x")


# -- SentencePiece --------------------------------------------------------------


def test_sentence_piece_learns_the_same_twice() -> None:
    again = _built("unigram", 330)
    assert isinstance(again, text.SentencePiece)
    first = BUILT["unigram"]
    assert isinstance(first, text.SentencePiece)
    model = first.processor.serialized_model_proto()
    assert again.processor.serialized_model_proto() == model


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_sentence_piece_shrinks_to_a_small_corpus(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    vocabulary = text.vocabulary(kind, "small", size=9000)
    vocabulary.build(CORPUS)
    assert vocabulary.size < 9000
    assert "instead of 9000: the corpus gives no more" in caplog.text


def test_sentence_piece_says_what_size_it_needs() -> None:
    with pytest.raises(ValueError, match=r"size 100 .* needs at least \d+ ids"):
        text.vocabulary("unigram", "tiny", size=100).build(CORPUS)
    with pytest.raises(ValueError, match="no texts to learn"):
        text.vocabulary("unigram", "empty").build([])
    with pytest.raises(ValueError, match="model_type is 'word'"):
        text.SentencePiece("x", model_type="word")


def test_sentence_piece_keeps_no_unknown() -> None:
    assert 2 not in BUILT["unigram"].encode("日本 🎉 Ω")


# -- symbols and labels ---------------------------------------------------------


def test_symbols(tmp_path: Path) -> None:
    digits = text.Symbols("digits", "0123456789")
    assert digits.built and digits.size == 12
    assert digits.encode("3 1 2") == [5, 3, 4]
    assert digits.decode([5, PAD, 3, 4, EOS, 7]) == "3 1 2"
    assert digits.decode([99]) == "?"
    assert digits.save(tmp_path).read_text().split() == list("0123456789")
    with pytest.raises(ValueError, match="'x' is not among the 10 entries"):
        digits.encode("3 x")
    with pytest.raises(ValueError, match="twice"):
        text.Symbols("twice", "aa")
    with pytest.raises(ValueError, match="empty or has space"):
        text.Symbols("space", ["a b"])


def test_class_labels(tmp_path: Path) -> None:
    animals = text.ClassLabels("animals")
    animals.build(["dog", "cat", "dog", "a\\n\nb"])
    assert animals.labels == ("a\\n\nb", "cat", "dog") and animals.size == 3
    assert animals.encode("cat") == [1] and animals.decode([2]) == "dog"
    with pytest.raises(ValueError, match="Did you mean 'cat'"):
        animals.encode("cats")
    animals.save(tmp_path)
    loaded = text.ClassLabels("animals")
    loaded.load(tmp_path)
    assert loaded.labels == animals.labels
    given_labels = text.ClassLabels("given", ["b", "a"])
    given_labels.build(["c"])
    assert given_labels.labels == ("b", "a")
