"""What README.md prints works as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fences = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
    return [text for name, text in fences if name == language]


def test_the_problem_of_fifteen_lines_trains(tmp_path: Path) -> None:
    code = next(b for b in blocks("python") if "SpellBackwards" in b)
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 15
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "spell.py").write_text(code, encoding="utf-8")
    command = next(line for line in README.splitlines() if "spell_backwards" in line)
    words = command.replace("--t2t_usr_dir=mine", f"--t2t_usr_dir={mine}").split()
    words[-1] = f"--output_dir={tmp_path / 'run'}"
    done = subprocess.run(
        [sys.executable, "-m", "t2t.bin.trainer", *words[1:], "--train_steps=3",
         "--hparams=tokens_per_batch=512,decode_examples=4", "--eval_steps=1"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").is_file()


def test_the_environment_trains_and_plays(tmp_path: Path) -> None:
    code = next(b for b in blocks("python") if "CartPoleOnIce" in b)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    mine, run = tmp_path / "mine", tmp_path / "run"
    mine.mkdir()
    (mine / "ice.py").write_text(code, encoding="utf-8")
    command = next(line for line in README.splitlines() if "cart_pole_on_ice" in line)
    words = command.replace("--t2t_usr_dir=mine", f"--t2t_usr_dir={mine}").split()
    words[-1] = f"--output_dir={run}"
    done = subprocess.run(
        [sys.executable, "-m", "t2t.bin.trainer", *words[1:], "--train_steps=160"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    played = subprocess.run(
        [sys.executable, "-m", "t2t.bin.decoder", f"--output_dir={run}",
         "--episodes=3", f"--video={tmp_path / 'ice.gif'}"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert played.returncode == 0 and (tmp_path / "ice.gif").is_file(), played.stderr
    total = float(re.findall(r"episode_return\t([0-9.]+)", played.stdout)[0])
    assert total > 25  # what a pole without a policy stands for


def test_the_tree_names_what_is_there() -> None:
    tree = next(b for b in blocks("") if "the house" in b)
    for line in tree.splitlines():
        for word in line.split("  ")[0 if not line.startswith(" ") else 1].split():
            if "." in word or word.endswith("/"):
                folder = ROOT / "t2t" if line.startswith(" ") else ROOT
                assert (folder / word).exists(), word


def test_every_command_named_is_installed_by_setup() -> None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    for name in set(re.findall(r"\bt2t(?:-[a-z]+)+", README)):
        assert f'"{name} = ' in setup, name


def test_every_name_of_the_zoo_exists() -> None:
    from t2t import registry

    zoo = registry.Registry()
    for kind, flag in (("problem", "problem"), ("hparams_set", "hparams_set")):
        for name in re.findall(rf"--{flag}=([a-z0-9_]+)", README):
            if name not in ("spell_backwards", "my_set", "cart_pole_on_ice"):
                zoo.declaration(kind, name)


def test_every_test_that_is_named_exists() -> None:
    told = (ROOT / "tests" / "README.md").read_text()
    named = re.findall(r"`(\w+/test_\w+\.py)(?:::(\w+))?`", told)
    assert len(named) > 20
    for file, function in named:
        content = (ROOT / "tests" / file).read_text()
        assert f"def {function}" in content, (file, function)


def test_every_flag_that_is_kept_exists() -> None:
    """Of the rows of MIGRATING.md that say 'the same'."""
    told = (ROOT / "MIGRATING.md").read_text()
    kept = [row for row in told.splitlines() if re.search(r"\| the same", row)]
    known = "".join(path.read_text() for path in (ROOT / "t2t" / "bin").glob("*.py"))
    flags = [f for row in kept for f in re.findall(r"--(\w+)", row.split("|")[1])]
    assert len(flags) > 25
    for flag in flags:
        assert f'"{flag}"' in known, flag
