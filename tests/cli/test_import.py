"""Published weights as a user meets them: in, decoded, taught further, out again."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import call, trained

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of two narrow layers with a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("published") / "gpt"
    library = tokenizers.ByteLevelBPETokenizer()
    lines = ["the quick brown fox", "jumps over the lazy dog"] * 20
    library.train_from_iterator(lines, vocab_size=300, special_tokens=["<|end|>"])
    config = transformers.GPT2Config(
        vocab_size=library.get_vocab_size(), n_positions=32, n_embd=16, n_layer=2,
        n_head=2, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    library.save_model(str(folder))
    return folder


def test_in_further_and_out(published: Path, tmp_path: Path) -> None:
    run, mine = tmp_path / "run", tmp_path / "mine"
    answer = call(f"t2t-zoo import {published} --output_dir={run}")
    assert answer.status == 0 and "arrays loaded" in answer.out, answer.err
    again = call(f"t2t-zoo import {published} --output_dir={run}")
    assert again.status == 2 and "is there" in again.err
    options = "--decode_hparams=beam_size=1,extra_length=3"
    answer = call(f"t2t-decoder --output_dir={run} {options}", stdin=b"the fox\n")
    assert answer.status == 0 and answer.out.count("\n") == 1, answer.err

    text = tmp_path / "mine.txt"
    words = ("ask", "big", "cat", "dog", "eat", "far", "get", "hat")
    lines = [f"the {a} {b} {c}\n\n" for a in words for b in words for c in words]
    text.write_text("".join(lines))
    answer = call(
        f"t2t-trainer --gin_file={run}/config.gin --inputs={text} --output_dir={mine} "
        f"--warm_start_from={run} --train_steps=2 --strategy=none --eval_steps=1 "
        "--hparams=tokens_per_batch=64,log_frequency=1 "
        "--gin_param=language_model_files.longest=40"
    )
    trained(answer, mine)
    assert "0 not" in answer.err, answer.err

    out = tmp_path / "out"
    answer = call(
        f"t2t-exporter --output_dir={mine} --export_dir={out} --format=transformers "
        f"{options}"
    )
    assert answer.status == 0, answer.err
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert model.config.n_embd == 16 and model.config.eos_token_id == 0
    assert (out / "tokenizer.json").is_file() and (out / "MODEL_CARD.md").is_file()


@pytest.mark.parametrize(
    "words, told",
    [
        ("{none} --output_dir={new}", ("none", "no such folder")),
        ("{published}", ("--output_dir",)),
        ("{published} --output_dir={new} --problem=catchh", ("catchh", "catch")),
        ("{published} --output_dir={new} --problem=image_digits", ("transformer_lm",)),
        ("{published}/config.json --output_dir={new}", ("config.json", "folder")),
    ],
)
def test_mistakes(
    words: str, told: tuple[str, ...], published: Path, tmp_path: Path
) -> None:
    places = {
        "none": tmp_path / "none",
        "new": tmp_path / "new",
        "published": published,
    }
    answer = call("t2t-zoo import " + words.format(**places))
    assert answer.status == 2 and len(answer.lines) <= 3, answer
    assert all(word in answer.err for word in told), answer.err
    assert not (tmp_path / "new").exists()
