"""`scripts/fuzz_serve`, of few cases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import t2t

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["omni", "texts"])
def test_a_server_takes_no_harm(kind: str, tmp_path: Path) -> None:
    pytest.importorskip(
        "schemathesis", reason="no schemathesis: it is in the extra test"
    )
    found = tmp_path / "failures.json"
    words = [sys.executable, str(ROOT / "scripts" / "fuzz_serve"), "--cases=80"]
    if kind == "texts":
        run = t2t.train(
            problem="algorithmic_copy", hparams_set="transformer_test", train_steps=1,
            output_dir=tmp_path / "run", eval_steps=1, decode_examples=0,
        )  # fmt: skip
        words += [str(run), "--parts=schema"]
    done = subprocess.run([*words, f"--json={found}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(found.read_text()) == []
    assert done.stdout.count("holds") == 7
