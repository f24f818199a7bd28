"""Published tokenizers: the ids of the libraries they are made for, in our order."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

tokenizers = pytest.importorskip("tokenizers")

from t2t.text import vocabulary  # noqa: E402
from t2t.text.published import Published, found_in, written  # noqa: E402

LINES = ["the quick brown fox", "jumps over the lazy dog", "a fox, a dog: two!"] * 20
TEXTS = ["the lazy fox", "a dog jumps, quick!"]


def _pieces(path: Path, size: int = 40) -> sentencepiece.SentencePieceProcessor:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=model, vocab_size=size,
        hard_vocab_limit=False, minloglevel=2, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def _facts(folder: Path, **ids: Any) -> dict[str, Any]:
    return {**found_in(folder), "before": [], **ids}


def _round(facts: dict[str, Any], folder: Path) -> Published:
    """Saved and loaded again, as a run does; its files are those it came from."""
    path = Published("some", facts).save(folder / "kept")
    for name, content in written(facts):
        assert name == "tokenizer.json" or (folder / name).read_bytes() == content
    made = vocabulary(str(path), "another")
    assert isinstance(made, Published) and made.built
    return made


def test_bytes_by_merges(tmp_path: Path) -> None:
    library = tokenizers.ByteLevelBPETokenizer()
    library.train_from_iterator(LINES, vocab_size=300, special_tokens=["<|end|>"])
    library.save_model(str(tmp_path))
    size = library.get_vocab_size()
    made = _round(_facts(tmp_path, size=size, start=0, end=0), tmp_path)
    # The end of a text stands before the first token, too: it has two ids here.
    assert made.size == size + 1 and made.theirs[:3] == [0, 0, 1]
    for text in [*TEXTS, "ünï \U0001f600"]:
        ids = made.encode(text)
        assert [made.theirs[i] for i in ids] == library.encode(text).ids
        assert made.decode([*ids, 1, 7]) == text


def test_pieces_of_words(tmp_path: Path) -> None:
    library = tokenizers.BertWordPieceTokenizer()
    library.train_from_iterator(LINES, vocab_size=80)
    library.save_model(str(tmp_path))
    library = tokenizers.BertWordPieceTokenizer(str(tmp_path / "vocab.txt"))
    marks = {m: library.token_to_id(m) for m in ("[PAD]", "[CLS]", "[SEP]")}
    facts = _facts(
        tmp_path,
        size=library.get_vocab_size(),
        start=marks["[PAD]"],
        end=marks["[SEP]"],
    )
    made = _round({**facts, "before": [marks["[CLS]"]]}, tmp_path)
    for text in TEXTS:
        theirs = [made.theirs[i] for i in [*made.encode(text), 1]]
        assert theirs == library.encode(text).ids
        assert made.decode(made.encode(text)) == library.decode(theirs)


def test_one_model_of_pieces(tmp_path: Path) -> None:
    library = _pieces(tmp_path / "spiece.model")
    size = library.vocab_size()
    made = _round(_facts(tmp_path, size=size + 8, start=0, end=1), tmp_path)
    assert made.theirs == list(range(size + 8))
    for text in TEXTS:
        assert made.encode(text) == library.encode(text)
        assert made.decode([*made.encode(text), size + 3]) == text


def test_two_models_and_one_list(tmp_path: Path) -> None:
    """Marian: each side is cut by its own model, ids are of a list of all pieces."""
    source = _pieces(tmp_path / "source.spm")
    target = _pieces(tmp_path / "target.spm", size=36)
    pieces = {m.id_to_piece(i) for m in (source, target) for i in range(m.vocab_size())}
    listed = ["</s>", "<unk>", ">>de<<", *sorted(pieces - {"</s>", "<unk>", "<pad>"})]
    ids = {piece: i for i, piece in enumerate([*listed, "<pad>"])}
    (tmp_path / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False))
    facts = _facts(tmp_path, size=len(ids), start=ids["<pad>"], end=0)
    made = _round(facts, tmp_path)
    assert made.theirs[:3] == [ids["<pad>"], 0, 1] and made.size == len(ids)
    for text in TEXTS:
        for side, model in ((made, source), (made.for_targets, target)):
            theirs = [side.theirs[i] for i in side.encode(text)]
            assert theirs == [ids[p] for p in model.encode(text, out_type=str)]
            assert side.decode(side.encode(text)) == text
    asked = made.encode(">>de<< the fox")
    assert made.theirs[asked[0]] == ids[">>de<<"]
    assert asked[1:] == made.encode("the fox")


def test_it_is_not_built() -> None:
    with pytest.raises(ValueError, match="t2t-zoo import"):
        Published("some").build(["a"])
    with pytest.raises(ValueError, match="neither built nor loaded"):
        Published("some").encode("a")
