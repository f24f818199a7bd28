"""The subword vocabulary follows Tensor2Tensor's rules, and its files load."""

from __future__ import annotations

import string
from collections import Counter
from pathlib import Path

import pytest

from t2t.text import subwords
from t2t.text.subwords import Subwords

SENTENCE = "This is a coded sentence encoded by the SubwordTextEncoder."
CORPUS = (
    "This is a corpus of text that provides a bunch of tokens from which to build a "
    "vocabulary. It will be used when strings are encoded with a TextEncoder subclass. "
    "The encoder was coded by a coder."
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("Hi, you two", ["Hi", ", ", "you", "two"]),
        ("a b", ["a", "b"]),
        ("a  b", ["a", "  ", "b"]),
        (" a ", [" ", "a", " "]),
        (" ", [" "]),
        ("x2 ½日_?", ["x2", "½日", "_?"]),
        ("Dude - that's so cool.", "Dude| - |that|'|s|so|cool|.".split("|")),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert subwords.split_tokens(text) == tokens
    assert subwords.join_tokens(tokens) == text


def test_escaping() -> None:
    alphabet = set("abcdefghijklmnopqrstuvwxyz .\n\\_;0123456789")
    token = "Foo! Bar.\nunder_score back\\slash"
    escaped = r"\70;oo\33; \66;ar.\10;under\uscore back\\slash_"
    assert subwords.escape(token, alphabet) == escaped
    assert subwords.unescape(escaped) == token
    assert subwords.unescape(r"\99999999999;_") == "\u3013"


def test_learns_frequent_parts() -> None:
    vocabulary = Subwords("x", 100)
    vocabulary.build([CORPUS, SENTENCE])
    used = {vocabulary.subtokens[i] for i in vocabulary.encode(SENTENCE)}
    assert {"coded_", "encoded_"} & used
    assert set(CORPUS) - {" "} <= set(vocabulary.subtokens)
    assert vocabulary.subtokens[:2] == ["<pad>", "<EOS>"]
    assert max(Counter(vocabulary.subtokens).values()) == 1


def test_size_is_bisected() -> None:
    texts = [f"{word}s {word}ed un{word}" for word in CORPUS.lower().split()] * 3
    small, large = Subwords("s", 80), Subwords("l", 200)
    small.build(texts)
    large.build(texts)
    assert abs(small.size - 80) < 30 < abs(small.size - large.size)
    assert sum(map(len, map(large.encode, texts))) < sum(
        map(len, map(small.encode, texts))
    )


def test_long_runs_stay_cheap() -> None:
    vocabulary = Subwords("x", 100)
    vocabulary.build(["-" * 20_000 + " end"])
    assert vocabulary.decode(vocabulary.encode("-" * 999)) == "-" * 999


FILE = """'<pad>_'
'<EOS>_'
'the_'
', _'
'Hel'
'lo_'
""" + "".join(f"'{c}'\n" for c in "\\_;0123456789, '\"<>" + string.ascii_letters)


@pytest.mark.parametrize("change", [str, lambda f: f.replace("'the_'", "the_")])
def test_a_vocabulary_file_of_tensor2tensor(change, tmp_path: Path) -> None:
    path = tmp_path / "vocab.subwords"
    path.write_text(change(FILE), encoding="utf-8")
    vocabulary = Subwords("vocab")
    vocabulary.load(tmp_path)
    assert vocabulary.encode("Hello, the") == [4, 5, 3, 2]
    assert vocabulary.decode([4, 5, 3, 2, 1, 4]) == "Hello, the"
    assert vocabulary.decode(vocabulary.encode("<pad> héé 'x'")) == "<pad> héé 'x'"
    vocabulary.save(tmp_path)
    assert path.read_text(encoding="utf-8") == FILE


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vocab.subwords").write_text("'<pad>'\n'<EOS>'\n'the_'\n")
    vocabulary = Subwords("vocab")
    vocabulary.load(tmp_path)
    with pytest.raises(ValueError, match=r"lacks .* the file is damaged"):
        vocabulary.encode("other")


def test_no_texts() -> None:
    with pytest.raises(ValueError, match="no texts to learn"):
        Subwords("x").build([""])
