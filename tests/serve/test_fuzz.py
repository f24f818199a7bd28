"""`scripts/fuzz_serve`, of few cases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_server_takes_no_harm(tmp_path: Path) -> None:
    pytest.importorskip(
        "schemathesis", reason="no schemathesis: it is in the extra test"
    )
    found = tmp_path / "failures.json"
    words = [sys.executable, str(ROOT / "scripts" / "fuzz_serve"), "--cases=80"]
    done = subprocess.run([*words, f"--json={found}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(found.read_text()) == []
    assert done.stdout.count("holds") == 7
