"""Runs in other forms: they answer as the run does, in a process that knows no t2t."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import call

SMALL = "--decode_hparams=beam_size=2,extra_length=4 --max_length=16"


def _export(run: Path, folder: Path, flags: str = "") -> str:
    answer = call(
        f"t2t-exporter --output_dir={run} --export_dir={folder} {SMALL} {flags}"
    )
    assert answer.status == 0, answer.err
    card = (folder / "MODEL_CARD.md").read_text()
    assert "answers the same" in card and "licence" in card and "hidden_size" in card
    return answer.out


def _decoded(run: Path, lines: list[str]) -> list[str]:
    answer = call(
        f"t2t-decoder --output_dir={run} --decode_hparams=beam_size=2,extra_length=4",
        stdin="".join(f"{line}\n" for line in lines).encode(),
    )
    assert answer.status == 0, answer.err
    return answer.out.split("\n")[:-1]


def test_a_saved_model_takes_and_gives_strings(copy_run: Path, tmp_path: Path) -> None:
    lines = ["3 1 4", "", "2 7 1 8 2 8 1 8 2 8 4 5 9 0"]
    said = _export(copy_run, tmp_path / "served")
    assert "100 of 100 answers the same" in said
    code = (
        "import sys, tensorflow as tf\n"
        f"serving = tf.saved_model.load('{tmp_path}/served').signatures\n"
        f"found = serving['serving_default'](inputs=tf.constant({lines!r}))\n"
        "print('\\n'.join(text.decode() for text in found['outputs'].numpy()))\n"
        "assert 't2t' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env={"TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == _decoded(copy_run, lines)


@pytest.mark.parametrize(
    "form, weights",
    [
        # tf2onnx takes half a minute for the smallest search.
        pytest.param("onnx", "float32", marks=pytest.mark.slow),
        ("litert", "float32"),
        ("litert", "int8"),
    ],
)
def test_a_client_answers_lines(
    form: str, weights: str, files_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / form
    _export(files_run, folder, f"--format={form} --weights={weights}")
    done = subprocess.run(
        [sys.executable, "client.py"], cwd=folder, input="ask big cat\nfar hat ask\n",
        capture_output=True, text=True, env={"TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    if weights == "float32":
        wanted = _decoded(files_run, ["ask big cat", "far hat ask"])
        assert done.stdout.split("\n")[:-1] == wanted


def test_int8_arrays_are_small_and_near(files_run: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    sizes = {}
    for weights in ("float32", "int8"):
        folder = tmp_path / weights
        _export(files_run, folder, f"--format=safetensors --weights={weights}")
        sizes[weights] = load_file(str(folder / "model.safetensors"))
    whole, light = sizes["float32"], sizes["int8"]
    table = next(name for name in whole if name.endswith("embedding/table"))
    assert light[table].dtype == np.int8
    near = light[table] * light[f"{table}.scale"]
    assert np.abs(near - whole[table]).max() <= np.abs(whole[table]).max() / 250


def test_what_answers_otherwise_is_refused(files_run: Path, tmp_path: Path) -> None:
    from t2t.export.formats import ExportRefused
    from t2t.export.run import _believe, agreement

    found = agreement(["a", "b"], [("x", 0.0), ("y", 0.0)], [("x", 0.0), ("z", 0.0)])
    with pytest.raises(ExportRefused, match="to 'b' the run says 'y', the export 'z'"):
        _believe(found, 0.99, int8=False)
    far = agreement(["a"], [("x", 0.0)], [("x", 0.5)])
    with pytest.raises(ExportRefused, match="within 5.0e-01"):
        _believe(far, 0.99, int8=False)
    _believe(far, 0.9, int8=True)
