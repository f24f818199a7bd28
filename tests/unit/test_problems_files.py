"""The user's own files: formats, splits, and errors that name the line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from t2t.data.generate import generate
from t2t.problems import holdout, lines
from t2t.problems.problem import DEV, TEST, TRAIN
from t2t.problems.text_files import (
    LanguageModelFiles,
    TextClassFiles,
    TextToTextFiles,
)

SPLITS = (TRAIN, DEV, TEST)
WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
PAIRS = [(f"say {w} to {v}", f"sag {v} {w}") for w in WORDS for v in WORDS[:4]]


def _write(path: Path, texts: list[str]) -> str:
    content = "".join(f"{text}\n" for text in texts).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


def _forms(folder: Path) -> dict[str, dict[str, str]]:
    sources, targets = map(list, zip(*PAIRS, strict=True))
    rows = [json.dumps({"inputs": s, "targets": t}) for s, t in PAIRS]
    table = ["\t".join(pair) for pair in PAIRS]
    return {
        "two files": {
            "inputs": _write(folder / "a.en", sources),
            "targets": _write(folder / "a.de.gz", targets),
        },
        "tsv": {"inputs": _write(folder / "a.tsv", table)},
        "tsv.gz": {"inputs": _write(folder / "b.tsv.gz", table)},
        "jsonl": {"inputs": _write(folder / "a.jsonl", rows)},
    }


@pytest.mark.parametrize("form", ["two files", "tsv", "tsv.gz", "jsonl"])
def test_all_forms_give_the_same_splits(form: str, tmp_path: Path) -> None:
    problem = TextToTextFiles(**_forms(tmp_path)[form])
    found = {
        split: [(e["inputs"], e["targets"]) for e in problem.examples(split, tmp_path)]
        for split in SPLITS
    }
    together = [pair for split in SPLITS for pair in found[split]]
    assert sorted(together) == sorted(PAIRS)
    assert 20 < len(found[DEV]) < 120 and 20 < len(found[TEST]) < 120


def test_near_copies_leave_dev_and_test(tmp_path: Path) -> None:
    sources = [f"Say {w}{end}" for w in WORDS for end in ("", "!", " 1")]
    targets = [f"sag {w}{end}" for w in WORDS for end in ("", "?", " 2")]
    problem = TextToTextFiles(
        inputs=_write(tmp_path / "a", sources), targets=_write(tmp_path / "b", targets)
    )
    found = {
        split: [
            holdout.Pair(e["inputs"], e["targets"], "")
            for e in problem.examples(split, tmp_path)
        ]
        for split in SPLITS
    }
    assert found[TEST] and not holdout.leaks(found[TRAIN], found[DEV] + found[TEST])
    assert not holdout.leaks(found[TEST], found[DEV])


def test_given_dev_and_test_are_taken_as_they_are(tmp_path: Path) -> None:
    table = _write(tmp_path / "a.tsv", ["\t".join(pair) for pair in PAIRS])
    dev = _write(tmp_path / "dev.tsv", ["\t".join(PAIRS[0])] * 3)
    problem = TextToTextFiles(inputs=table, dev_inputs=dev)
    assert len(list(problem.examples(DEV, tmp_path))) == 3
    test = list(problem.examples(TEST, tmp_path))
    train = list(problem.examples(TRAIN, tmp_path))
    assert len(test) + len(train) == len(PAIRS)


def test_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo\u2028x\x85\n\nlast".encode())
    assert list(lines.read(path)) == ["one", "two\u2028x\x85", "", "last"]
    assert lines.count(path) == 4


def test_empty_sides_are_passed_over(tmp_path: Path) -> None:
    problem = TextToTextFiles(
        inputs=_write(tmp_path / "a", ["one", "", "three"]),
        targets=_write(tmp_path / "b", ["eins", "zwei", " "]),
    )
    found = [e for split in SPLITS for e in problem.examples(split, tmp_path)]
    assert found == [{"inputs": "one", "targets": "eins"}]


def test_too_few_lines_are_told_with_a_remedy(tmp_path: Path) -> None:
    alike = _write(tmp_path / "alike", ["same 1", "same 2"])
    problem = TextToTextFiles(inputs=alike, targets=alike, vocabulary="bytes")
    problem.name = "text2text_files"
    with pytest.raises(ValueError, match="alike has too few .*dev_inputs='FILE'"):
        generate(problem, tmp_path / "data", tmp_path / "tmp", processes=1)


def test_running_text(tmp_path: Path) -> None:
    texts = [f"The {w} is here.\nIt is {w}.\n" for w in WORDS]
    _write(tmp_path / "one.txt", texts[:80])
    _write(tmp_path / "two.txt.gz", texts[80:])
    problem = LanguageModelFiles(inputs=str(tmp_path / "*.txt*"), longest=60)
    found = {
        split: [e["targets"] for e in problem.examples(split, tmp_path)]
        for split in SPLITS
    }
    together = "\n".join(text for split in SPLITS for text in found[split])
    assert all(f"It is {w}." in together for w in WORDS)
    assert all(len(t) <= 60 for split in SPLITS for t in found[split])
    assert min(map(len, found.values())) > 0


def test_labelled_text(tmp_path: Path) -> None:
    table = [f"I like {w}\tgood" for w in WORDS] + [f"I hate {w}\tbad" for w in WORDS]
    problem = TextClassFiles(inputs=_write(tmp_path / "a.tsv", table))
    found = [e for split in SPLITS for e in problem.examples(split, tmp_path)]
    assert len(found) == len(table)
    problem.labels.build(problem.text_for_vocabulary(problem.labels, found))
    assert problem.labels.labels == ("bad", "good")
    assert problem.features["label"].size == 2


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"a\tb\nc\n", ".tsv", "line 2 has 1 columns: expected 2"),
        (b"a\tb\tc\n", ".tsv", "line 1 has 3 columns: expected 2"),
        (b'{"inputs": "a"}\n', ".jsonl", 'line 1 has inputs: expected {"inputs"'),
        (b"\n[1]\n", ".jsonl", "line 2 has list: expected"),
        (b"{\n", ".jsonl", "line 1 is not JSON"),
        (b"a\tb\nc\t\xff\n", ".tsv", "line 2 is not UTF-8 (byte 0xff)"),
        (b"\x1f\x8bno", ".tsv.gz", "is a damaged gz file"),
        (b"a\n", ".en", "one side only: expected --targets=FILE"),
    ],
)
def test_broken_files(
    content: bytes, suffix: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    problem = TextToTextFiles(inputs=str(path))
    with pytest.raises(lines.UnreadableFile) as error:
        list(problem.examples(TRAIN, tmp_path))
    assert message in str(error.value) and path.name in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_and_unequal_files(tmp_path: Path) -> None:
    one, two = _write(tmp_path / "a", ["x"]), _write(tmp_path / "b", ["y", "z"])
    with pytest.raises(lines.UnreadableFile, match="1 lines and .* has 2: expected"):
        list(TextToTextFiles(inputs=one, targets=two).examples(TRAIN, tmp_path))
    with pytest.raises(lines.UnreadableFile, match="nowhere: there is no such file"):
        list(TextToTextFiles(inputs=one, targets="nowhere").examples(DEV, tmp_path))
    with pytest.raises(lines.UnreadableFile, match="needs --inputs=FILE and --targets"):
        list(TextToTextFiles().examples(TRAIN, tmp_path))
    with pytest.raises(lines.UnreadableFile, match="needs --inputs=FILE and --labels"):
        list(TextClassFiles().examples(TRAIN, tmp_path))
    with pytest.raises(lines.UnreadableFile, match="needs --inputs=FILE of text"):
        list(LanguageModelFiles().examples(TRAIN, tmp_path))
    with pytest.raises(lines.UnreadableFile, match="no such file"):
        list(LanguageModelFiles(inputs="no*thing").examples(TRAIN, tmp_path))
