"""Runs as a user makes them: trained, stopped, gone on with, evaluated."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import FILE_KNOBS, KNOBS, TINY, call, process, start, trained


def losses(run: Path) -> dict[int, float]:
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {r["step"]: r["loss"] for r in records if r["split"] == "train"}


def test_sigterm_saves_and_the_run_ends_as_if_undisturbed(tmp_path: Path) -> None:
    line = f"t2t-trainer {TINY} {KNOBS},save_frequency=1000 --schedule=train "
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert call(f"{line} --train_steps=400 --output_dir={whole}").status == 0
    # It cannot end before the signal comes; the steps of a run may be changed.
    stopped = start(f"{line} --train_steps=1000000 --output_dir={run}")
    assert stopped.stderr is not None
    for said in stopped.stderr:
        if said.startswith("step 5/"):
            break
    stopped.send_signal(signal.SIGTERM)
    _, rest = stopped.communicate()
    assert stopped.returncode == 0
    assert "SIGTERM at step" in rest
    (saved,) = (run / "checkpoints").iterdir()
    step = int(saved.stem[-8:])
    assert 5 <= step < 400
    resumed = call(f"{line} --train_steps=400 --output_dir={run}")
    assert resumed.status == 0
    assert f"going on from step {step}" in resumed.err
    assert losses(run) == losses(whole)
    assert_same_arrays(run, whole, "checkpoints/checkpoint-00000400.npz")


def assert_same_arrays(run: Path, other: Path, name: str) -> None:
    with np.load(run / name) as first, np.load(other / name) as second:
        assert set(first) == set(second)
        assert all(np.array_equal(first[n], second[n]) for n in first if n != "meta")


def test_a_finished_run_has_nothing_to_do(copy_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(copy_run, tmp_path / "run")
    answer = call(f"t2t-trainer --output_dir={run}")
    assert answer.status == 0
    assert "nothing to do" in answer.err
    assert losses(run) == losses(copy_run)


def test_a_run_that_stopped_early_stays_stopped(tmp_path: Path) -> None:
    line = (
        f"t2t-trainer {TINY} --hparams={KNOBS},learning_rate_constant=0.0 "
        f"--train_steps=40 --local_eval_frequency=4 --eval_early_stopping_steps=8 "
        f"--output_dir={tmp_path / 'run'}"
    )
    assert "stopped early at step 12" in call(line).err
    assert "nothing to do: stopped early at step 12" in call(line).err


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """Workers are spawned once TensorFlow is there; they must not run it again."""
    words = [" ".join("abcdefghij"[int(d)] for d in str(n)) for n in range(10, 200)]
    (tmp_path / "a").write_text("\n".join(words))
    script = """
import tensorflow
from t2t import config
from t2t.data.generate import generate
from t2t.run.problems import make_problem
settings = config.load(problem="text2text_files", hparams_set="transformer_test")
for name, value in [("inputs", "a"), ("targets", "a"), ("vocabulary", "bytes")]:
    settings.bindings["text2text_files", name] = value
problem = make_problem(settings)
print(sorted(generate(problem, "data", "tmp", processes=2).splits))
"""
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "['dev', 'test', 'train']\n", done.stderr


def test_what_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    answer = call(
        f"t2t-trainer {TINY} {KNOBS},optimizer=sgd,learning_rate_constant=1e38,"
        "learning_rate_schedule=constant "
        f"--train_steps=20 --schedule=train --output_dir={tmp_path / 'run'}"
    )
    assert answer.status == 2
    last = answer.err.splitlines()[-1]
    assert last.startswith("t2t-trainer: step ")
    assert "is not finite: the " in last
    assert "learning_rate_constant" in last
    assert "Traceback" not in answer.err


def test_a_warm_start_says_what_it_took(copy_run: Path, tmp_path: Path) -> None:
    knobs = KNOBS.replace("--hparams=", "--hparams=num_layers=1,filter_size=48,")
    answer = call(
        f"t2t-trainer {TINY} {knobs} --train_steps=1 --schedule=train "
        f"--warm_start_from={copy_run} --output_dir={tmp_path / 'run'}"
    )
    assert answer.status == 0, answer.err
    lines = answer.err.splitlines()
    (at,) = [i for i, x in enumerate(lines) if x.startswith("warm start from")]
    loaded, left, unused = (int(word) for word in lines[at].split() if word.isdigit())
    assert loaded > left > 0 < unused
    assert "feed_forward" in lines[at + 1] and "there" in lines[at + 1]


def test_continuous_eval_ends_with_the_runs_last_step(copy_run: Path) -> None:
    answer = call(f"t2t-trainer --output_dir={copy_run} --schedule=continuous_eval")
    assert answer.status == 0, answer.err
    assert [x for x in answer.lines if x.startswith("dev at step 4: loss ")]


def test_evaluation_prints_one_json_object(copy_run: Path) -> None:
    answer = call(
        f"t2t-eval --output_dir={copy_run} --eval_use_test_set --json "
        "--eval_steps=1 --decode_examples=2"
    )
    assert answer.status == 0, answer.err
    found = json.loads(answer.out)
    assert found["split"] == "test"
    assert found["loss"] > 0
    assert 0 <= found["sequence_accuracy"] <= 1


# -- the user's own files and code --------------------------------------------------


def test_four_flags_train_on_two_files(
    pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    answer = call(
        f"t2t-trainer --problem=text2text_files --inputs={pairs[0]} "
        f"--targets={pairs[1]} --output_dir={run} --train_steps=1 --schedule=train"
    )
    trained(answer, run)
    assert "transformer on text2text_files" in answer.err


def test_a_language_model_of_ones_own_text(
    pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    answer = call(
        f"t2t-trainer --problem=language_model_files --inputs={pairs[0]} "
        f"--model=transformer_lm --hparams_set=transformer_test {FILE_KNOBS} "
        "--gin_param=language_model_files.vocabulary_size=300 "
        f"--gin_param=language_model_files.longest=40 --output_dir={run}"
    )
    trained(answer, run)
    assert "bits_per_byte" in answer.err
    decoded = call(f"t2t-decoder --output_dir={run}", stdin=b"cat dog\n\nask big\n")
    assert decoded.status == 0, decoded.err
    assert [bool(x) for x in decoded.out.splitlines()] == [True, False, True]


def test_a_classifier_of_ones_own_text(
    pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    labels, run = tmp_path / "labels", tmp_path / "run"
    words = pairs[0].read_text().splitlines()
    labels.write_text("".join("pet\n" if "cat" in x else "no\n" for x in words))
    answer = call(
        f"t2t-trainer --problem=text_class_files --inputs={pairs[0]} "
        f"--labels={labels} --model=transformer_encoder "
        f"--hparams_set=transformer_test {FILE_KNOBS} "
        f"--gin_param=text_class_files.vocabulary_size=300 --output_dir={run}"
    )
    trained(answer, run)
    decoded = call(f"t2t-decoder --output_dir={run}", stdin=b"cat\n\nask big cat\n")
    assert decoded.status == 0, decoded.err
    first, second, third = decoded.out.splitlines()
    assert {first, third} <= {"pet", "no"}
    assert second == ""


def test_digits_and_a_resnet(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    run = tmp_path / "run"
    answer = call(
        "t2t-trainer --problem=image_digits --hparams_set=resnet_small --train_steps=3 "
        "--strategy=none --eval_steps=2 "
        f"--hparams=examples_per_batch=16,blocks_per_stage=1 --output_dir={run}"
    )
    trained(answer, run)
    assert "accuracy" in answer.err
    decoded = call(f"t2t-decoder --output_dir={run}", stdin=b"7\n")
    assert decoded.status == 2
    assert "takes no text" in decoded.err


def test_a_plug_in_trains_and_decodes_by_its_run_alone(tmp_path: Path) -> None:
    folder, run = tmp_path / "mine", tmp_path / "run"
    folder.mkdir()
    (folder / "doubling.py").write_text(
        "from t2t import registry\n"
        "from t2t.problems.algorithmic import Algorithmic\n\n\n"
        "@registry.problem\n"
        "class PlugInDoubling(Algorithmic):\n"
        '    """Each digit twice."""\n\n'
        "    def answer(self, digits):\n"
        "        return [d for d in digits for _ in range(2)]\n"
    )
    line = f"t2t-trainer {TINY} {KNOBS} --problem=plug_in_doubling --train_steps=2"
    answer = call(f"{line} --t2t_usr_dir={folder} --output_dir={run}")
    trained(answer, run)
    # In another process, where nothing has been imported yet.
    decoded = process(f"t2t-decoder --output_dir={run}", cwd=tmp_path, stdin="1 2\n")
    assert decoded.status == 0, decoded.err
    assert len(decoded.out.splitlines()) == 1
