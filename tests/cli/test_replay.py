"""t2t-replay as a user calls it: a server, a look at it, its end and its return."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from t2t.bin.replay import command
from t2t.bin.replay import main as replay_main  # noqa: F401  the console script's
from t2t.replay.client import wait_for
from t2t.replay.writer import Writer

TABLES = """
store.tables = [@replay/table(), @recent/table()]
store.chunk_steps = 8
replay/table.name = 'replay'
replay/table.window = 4
replay/table.max_size = 500
replay/table.sampler = 'prioritized'
replay/table.limits = @ratio()
ratio.samples_per_insert = 8.0
ratio.min_size = 10
ratio.error_buffer = 1000.0
recent/table.name = 'recent'
recent/table.max_size = 50
"""


def _replay(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "t2t.bin.replay", *words],
        capture_output=True,
        text=True,
        timeout=60,
    )


def _serve(folder: Path, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "t2t.bin.replay", "serve",
            f"--config={folder / 'tables.gin'}", f"--listen={folder / 'r.sock'}",
            f"--checkpoint_dir={folder / 'kept'}", *flags,
        ],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_serve_look_stop_and_serve_again(tmp_path: Path) -> None:
    (tmp_path / "tables.gin").write_text(TABLES)
    address = str(tmp_path / "r.sock")
    server = _serve(tmp_path)
    client = wait_for(address)
    with Writer(client, "replay") as writer:
        for i in range(60):
            image = np.full((8, 8, 1), i, np.uint8)
            writer.append({"image": image, "reward": np.float32(i)})
            if i >= 3:
                writer.create_item("replay", length=4, priority=float(i))
                writer.create_item("recent")
    client.sample("replay", 32)

    shown = _replay("info", address).stdout
    assert "replay: 57 of 500 items" in shown and "32 samples" in shown
    assert "priorities 3 " in shown and "recent: 50 of 50 items" in shown
    page = tmp_path / "page.html"
    info = json.loads(_replay("info", address, "--json", f"--html={page}").stdout)
    assert "replay: 57 of 500 items" in page.read_text(encoding="utf-8")
    assert info["tables"]["replay"]["size"] == 57
    browsed = _replay(
        "browse", address, "replay", "--order=highest", "--items=1",
        f"--pictures={tmp_path / 'pictures'}",
    ).stdout  # fmt: skip
    assert "priority 59" in browsed and "float32[4] [56., 57., 58., 59.]" in browsed
    (picture,) = (tmp_path / "pictures").glob("*.png")
    from PIL import Image

    assert Image.open(picture).size == (4 * 128, 128)
    assert _replay("checkpoint", address).stdout == "checkpoint 1\n"
    assert client.info()["tables"]["replay"]["samples"] == 32  # looking is no sampling

    expected = client.look("replay", 57)
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == 0
    again = _serve(tmp_path, "--restore")
    found = wait_for(address).look("replay", 57)
    for name in expected.data:
        np.testing.assert_array_equal(found.data[name], expected.data[name])
    again.terminate()
    assert again.wait(30) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["brows"], "there is no action 'brows'. Did you mean 'browse'?"),
        (["browse", "/x"], "browse takes ADDRESS TABLE, not /x"),
        (["info", "/nowhere/x"], "no replay server at /nowhere/x"),
        (["info", "nowhere"], "expected /path/of/socket or HOST:PORT"),
        (["serve", "--listen=:0"], "serve needs --config=tables.gin"),
        (["serve", "--config=/x", "--listen=:0"], "--config: there is no file '/x'"),
        (["serve", "--config=README.md"], "serve needs --listen"),
        (["serve", "--config=README.md", "--listen=:0"], "README.md: "),
        (["serve", "--restore", "--config=x", "--listen=:0"], "give --checkpoint_dir"),
        (["info", "/x", "--secret_file=/y"], "--secret_file: there is no file '/y'"),
        (["info", "/x", "--wach"], "there is no flag --wach. Did you mean 'watch'?"),
    ],
)
def test_mistakes(words: list[str], said: str, capfd: pytest.CaptureFixture) -> None:
    from t2t.bin.replay import _main

    assert command.call(_main, words) == 2
    error = capfd.readouterr().err
    assert said in error and len(error.splitlines()) == 1
