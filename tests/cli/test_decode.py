"""Decoding as a user does it: files, lines, splits, pairs, and line N for line N."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from commands import call

import t2t


def test_line_n_of_the_output_answers_line_n(files_run: Path, tmp_path: Path) -> None:
    long = b"cat " * 40
    lines = [b"cat dog\r", b"", b"eat", long, b"   ", b"big \xff", b"cat dog", b"far"]
    source, to = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_bytes(b"\n".join(lines))  # the last line has no end
    answer = call(
        f"t2t-decoder --output_dir={files_run} --decode_from_file={source} "
        f"--decode_to_file={to}"
    )
    assert answer.status == 0, answer.err
    assert answer.out == ""
    outputs = to.read_bytes().decode().split("\n")
    assert outputs.pop() == ""
    assert len(outputs) == len(lines)
    assert (outputs[1], outputs[4]) == ("", "")
    assert outputs[0] == outputs[6]  # CRLF ends a line like LF
    not_text, cut = sorted(answer.err.splitlines(), reverse=True)
    assert "line 6 is no UTF-8" in not_text
    assert "line 4 has " in cut and " tokens: cut to 31" in cut
    # Each line alone is answered as among the others.
    decoder = t2t.load(files_run)
    for i in (1, 2, 5, 6, 7):
        (alone,) = decoder.decode([lines[i].decode("utf-8", "replace")])
        assert " ".join(alone.splitlines()) == outputs[i]


def test_pairs_for_a_student(copy_run: Path) -> None:
    """Sequence-level distillation (arXiv:1606.07947) learns what a teacher wrote."""
    lines = b"3 1  4\n\n1 5\n"
    plain = call(f"t2t-decoder --output_dir={copy_run}", stdin=lines).out.split("\n")
    pairs = call(f"t2t-decoder --output_dir={copy_run} --write_inputs", stdin=lines)
    wanted = [f"{i}\t{o}" for i, o in zip(["3 1 4", "", "1 5"], plain, strict=False)]
    assert pairs.out.split("\n")[:-1] == wanted


def test_n_best_with_scores(copy_run: Path) -> None:
    answer = call(
        f"t2t-decoder --output_dir={copy_run} --decode_hparams="
        "beam_size=3,return_beams=True,write_beam_scores=True,extra_length=4",
        stdin=b"1 2 3\n\n4 5\n",
    )
    assert answer.status == 0, answer.err
    first, empty, last = (line.split("\t") for line in answer.out.split("\n")[:3])
    for columns in (first, last):
        texts, scores = columns[::2], [float(x) for x in columns[1::2]]
        assert len(texts) == len(scores) == 3
        assert scores == sorted(scores, reverse=True)
    assert empty == ["", "0.000000"] * 3


def test_scores_do_not_depend_on_the_neighbours(copy_run: Path, tmp_path: Path) -> None:
    pairs = ["1 2\t1 2", "3 4 5 6 7 8 9 0 1\t3 4 5 6 7", "5\t5 5 5 5", "5\t"]
    line = f"t2t-decoder --output_dir={copy_run} --score_file="
    found = []
    for i, part in enumerate([pairs, *([pair] for pair in pairs)]):
        file = tmp_path / f"{i}.tsv"
        file.write_text("\n".join(part) + "\n")
        answer = call(line + str(file))
        assert answer.status == 0, answer.err
        found.append([float(x) for x in answer.out.splitlines()])
    together, *alone = found
    assert len(together) == 4
    assert all(score < 0 for score in together)
    np.testing.assert_allclose(together, [x[0] for x in alone], atol=1e-4)


def test_interactive_answers_each_line(copy_run: Path) -> None:
    line = f"t2t-decoder --output_dir={copy_run}"
    answer = call(f"{line} --decode_interactive", stdin=b"1 2\n3\n")
    assert answer.status == 0, answer.err
    assert answer.out == call(line, stdin=b"1 2\n3\n").out


def test_a_split_is_decoded(files_run: Path) -> None:
    manifest = json.loads(
        (files_run / "data/text2text_files.manifest.json").read_text()
    )
    answer = call(
        f"t2t-decoder --output_dir={files_run} --split=dev "
        "--decode_hparams=beam_size=1,extra_length=2"
    )
    assert answer.status == 0, answer.err
    assert answer.out.count("\n") == manifest["splits"]["dev"]["examples"]


def test_a_run_may_be_moved(files_run: Path, tmp_path: Path) -> None:
    line = "t2t-decoder --decode_hparams=extra_length=2 --output_dir="
    moved = shutil.copytree(files_run, tmp_path / "elsewhere")
    shutil.rmtree(moved / "data")
    before = call(line + str(files_run), stdin=b"big cat\n")
    after = call(line + str(moved), stdin=b"big cat\n")
    assert (before.status, after.status) == (0, 0), after.err
    assert before.out == after.out != ""
