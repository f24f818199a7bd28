"""Runs that decide for a compiler: trained, told, exported, and equal in every form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import compiler_toys as toys
import numpy as np
import pytest

from t2t.bridge import flat, llvm
from t2t.bridge.episodes import echo
from t2t.bridge.specs import matrix
from t2t.export.advice import FILE, export_advice, policy_of
from t2t.problems.compiler import weigh
from t2t.problems.compiler.corpus import Corpus
from t2t.problems.compiler.weigh import Weight
from t2t.rl.acting import Policy

TINY = (
    "train_steps=12,local_eval_frequency=12,save_frequency=12,environments=2,"
    "sequence_length=8,max_size=4,min_size=2,examples_per_batch=2,eval_episodes=3"
)


def _run(*words: object) -> str:
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packages = ("zlib", "box2d", "bzip2")
    return toys.corpus(tmp_path_factory.mktemp("corpus"), packages)


@pytest.fixture(scope="module")
def clone(corpus: Path) -> Path:
    """A clone of LLVM's own decisions."""
    output = corpus.parent / "clone"
    _run(
        "t2t.bin.trainer", "--problem=compiler_inline", "--hparams_set=inline_clone",
        f"--corpus={corpus}", f"--output_dir={output}",
        "--hparams=" + TINY.replace("train_steps=12", "train_steps=150,smoothing=0.0"),
    )  # fmt: skip
    return output


def test_a_clone_makes_the_same_code(clone: Path, corpus: Path) -> None:
    """On packages that it has not seen; in a table, by the command."""
    (corpus / "modules.txt").write_text("bzip2/bzip20.c\nbzip2/bzip21.c\n")
    told = _run(
        "t2t.bin.decoder", "--problem=compiler_inline", f"--output_dir={clone}",
        f"--decode_from_file={corpus / 'modules.txt'}",
        f"--report={corpus / 'page.html'}",
    )  # fmt: skip
    assert "bzip2" in (corpus / "page.html").read_text()
    rows = [line.split() for line in told.splitlines()]
    known = {m.key: m for m in Corpus(corpus).modules}
    for row in rows[1:3]:
        module = known[row[0]]
        size, learned, change, changed, _, decisions = row[1:]
        assert int(size) == int(learned) == module.text
        assert (change, changed, int(decisions)) == ("0.00%", "0", module.decisions)
    assert rows[-2][0] == "all" and "+0.00%" in told.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("inline_ppo", "num_layers=2"),
        ("inline_es", "sigma=0.5"),
        ("inline_bandit", "epsilon=0.5"),
    ],
)
def test_those_that_begin_from_it(
    clone: Path, corpus: Path, name: str, more: str
) -> None:
    output = corpus.parent / name
    _run(
        "t2t.bin.trainer", "--problem=compiler_inline", f"--hparams_set={name}",
        f"--corpus={corpus}", f"--output_dir={output}", f"--hparams={TINY},{more}",
        f"--warm_start_from={clone}",
    )  # fmt: skip
    assert "episode_return" in (output / "metrics.jsonl").read_text()


def test_every_form_decides_the_same(clone: Path, tmp_path: Path) -> None:
    problem, policy = policy_of(clone)
    folder = export_advice(clone, tmp_path / "forms")
    assert {"policy.h", FILE} <= {path.name for path in folder.iterdir()}
    again = flat.load(folder / FILE)
    header = problem.header
    rng = np.random.default_rng(0)
    records = np.zeros(10_000, header.record)
    for name in header.names:
        records[name] = rng.normal(0, 300, (10_000, 1)).astype(np.int64)
    features = matrix(records, header.names[:-1])
    decided = policy.decide(features, None)
    np.testing.assert_array_equal(again.decide(features, None), decided)
    assert 0 < decided.sum() < len(decided)
    model = _model(clone)
    default = np.zeros(len(features), np.int32)
    seen = {"observation": features, "default": default}
    acted, _, _ = Policy(model, seed=0)(seen, (), turn=0, explore=0.0)
    # A value that rounding moves over 0 may be decided either way.
    assert (acted != decided).mean() <= 1e-3


def _model(run: Path) -> Any:
    from t2t.decode.decoder import load_model
    from t2t.run import checkpoints
    from t2t.run.folder import open_run

    folder, config = open_run(run)
    return load_model(folder, config, checkpoints.resolve(folder.path))[1]


def test_a_policy_of_other_features_is_refused(clone: Path, tmp_path: Path) -> None:
    _, policy = policy_of(clone)
    header = llvm.probe(toys.clang()).header
    fewer = type(header)(header.features[3:], header.advice)
    with pytest.raises(flat.BadPolicy, match="sroa_savings"):
        policy.check(fewer)


def test_echoed_weights_are_the_default(corpus: Path) -> None:
    known = Corpus(corpus)
    modules = [(m.key, m.package, known.bitcode(m)) for m in known.modules]
    found = list(weigh.weigh(toys.clang(), echo, modules, parallel=1))
    assert {w.name: (w.default, w.learned, w.changed) for w in found} == {
        m.key: (m.text, m.text, 0) for m in known.modules
    }


def test_tables_are_right() -> None:
    weights = [
        Weight("a/x", "a", 100, 90, 10, 3),
        Weight("a/y", "a", 200, 220, 5, 1),
        Weight("b/z", "b", 50, 50, 1, 0),
        Weight("b/w", "b", failure="died"),
    ]
    lines = list(weigh.table(weights))
    everything = next(line.split() for line in lines if line.startswith("all"))
    assert everything[1:4] == ["350", "360", "2.86%"]
    assert weigh.geometric_mean(weights) == pytest.approx((0.9 * 1.1) ** (1 / 3))
    assert "1 modules are larger" in lines[-1]
