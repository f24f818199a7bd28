"""Wheel, sdist, editable install and bare checkout, each run from another folder.

The environments made here see the packages of the one that runs the tests, and t2t
is installed without its dependencies: nothing is downloaded. Installing everything
into an empty environment is what scripts/test does before it comes here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from commands import KNOBS, REPOSITORY, TINY, environment

TREE = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
ROOMS = ("t2t", "models", "problems", "hparams")
ZOO = ("models", "problems", "hparams")
PACKED = (".py", ".gin", ".typed", ".html", ".css", ".js", ".h", ".c", ".cc")


def run(*words: str | Path, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess:
    """A process that knows this checkout by no variable; it must succeed."""
    variables = environment()
    del variables["PYTHONPATH"]
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=variables,
        input=stdin,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean export of the working tree, links and all."""
    tree = tmp_path_factory.mktemp("export") / "tree"
    tree.mkdir()
    for name in TREE:
        shutil.copy(REPOSITORY / name, tree)
    for name in ROOMS:
        shutil.copytree(
            REPOSITORY / name,
            tree / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__", ".*"),
        )
    return tree


@pytest.fixture(scope="module")
def built(tree: Path) -> tuple[Path, Path]:
    """(sdist, wheel); the wheel is built from what is in the sdist."""
    run(sys.executable, "-m", "build", "--no-isolation", cwd=tree)
    (sdist,), (wheel,) = (tree / "dist").glob("*.tar.gz"), (tree / "dist").glob("*.whl")
    return sdist, wheel


def make_environment(folder: Path, *what: str | Path) -> Path:
    """The bin folder of an environment into which `what` is installed."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    (site,) = (folder / "lib").glob("*/site-packages")
    (site / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "bin" / "python"
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
    pip = [sys.executable, "-m", "pip", "--python", python, "install"]
    # What the parent has of t2t is not looked at.
    run(*pip, *options, "--ignore-installed", *what, cwd=folder.parent)
    return folder / "bin"


@pytest.fixture(scope="module")
def bin_folder(
    built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return make_environment(tmp_path_factory.mktemp("wheel") / "venv", built[1])


def source_files(tree: Path) -> set[str]:
    """What a wheel must hold of the tree, by its name there."""
    found = set()
    for room in ROOMS:
        for path in (tree / room).rglob("*"):
            inside = path.relative_to(tree)
            through_link = room == "t2t" and inside.parts[1] in ZOO
            if path.suffix in PACKED and not through_link:
                found.add(str(inside if room == "t2t" else Path("t2t") / inside))
    return found


def test_the_wheel_holds_each_file_once_and_nothing_else(
    tree: Path, built: tuple[Path, Path]
) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = wheel.namelist()
    assert len(names) == len(set(names))
    packed = {name for name in names if ".dist-info/" not in name}
    assert packed == source_files(tree)
    assert {"t2t/py.typed", "t2t/models/transformer.py"} <= packed
    assert "t2t/hparams/transformer_base.gin" in packed


def test_the_sdist_holds_what_the_wheel_is_made_of(
    tree: Path, built: tuple[Path, Path]
) -> None:
    with tarfile.open(built[0]) as sdist:
        files = [m.name.split("/", 1)[1] for m in sdist.getmembers() if m.isfile()]
    assert len(files) == len(set(files))
    wanted = {
        name.removeprefix("t2t/") if name.split("/")[1] in ZOO else name
        for name in source_files(tree)
    }
    assert wanted <= set(files)
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE"} <= set(files)
    assert not [f for f in files if f.startswith(tuple(f"t2t/{z}/" for z in ZOO))]


def test_the_installed_commands_train_decode_and_evaluate(
    bin_folder: Path, tmp_path: Path
) -> None:
    listed = run(bin_folder / "t2t-zoo", "list", cwd=tmp_path).stdout
    assert "algorithmic_copy" in listed
    assert "transformer_test" in listed
    knobs = (TINY + " " + KNOBS).split()
    trained = run(
        bin_folder / "t2t-trainer", *knobs, "--train_steps=12", "--output_dir=run",
        cwd=tmp_path,
    )  # fmt: skip
    lines = (trained.stdout + trained.stderr).splitlines()
    assert "done at step 12" in lines[-1]
    assert len(lines) < 30
    decoded = run(
        bin_folder / "t2t-decoder", "--output_dir=run", cwd=tmp_path, stdin="1 2\n\n3\n"
    )
    assert decoded.stderr == ""
    assert [bool(line) for line in decoded.stdout.splitlines()] == [True, False, True]
    evaluated = run(
        bin_folder / "t2t-eval", "--output_dir=run", "--eval_steps=1",
        "--decode_examples=2", cwd=tmp_path,
    )  # fmt: skip
    assert evaluated.stdout.startswith("loss ")
    assert "sequence_accuracy" in evaluated.stdout


def test_the_installed_package_is_the_wheels(bin_folder: Path, tmp_path: Path) -> None:
    shown = run(bin_folder / "t2t-zoo", "show", "transformer", cwd=tmp_path).stdout
    assert f"{bin_folder.parent}/lib" in shown


def test_an_editable_install_runs_from_another_folder(
    tree: Path, tmp_path: Path
) -> None:
    commands = make_environment(tmp_path / "venv", "-e", tree)
    shown = run(commands / "t2t-zoo", "show", "transformer", cwd=tmp_path).stdout
    assert str(tree) in shown
    imports = "import t2t.problems.algorithmic as m; print(m.__file__)"
    file = run(commands / "python", "-c", imports, cwd=tmp_path).stdout.strip()
    assert Path(os.path.realpath(file)) == tree / "problems" / "algorithmic.py"


def test_a_bare_checkout_runs(tree: Path) -> None:
    shown = run(sys.executable, "-m", "t2t.bin.zoo", "show", "transformer", cwd=tree)
    assert str(tree) in shown.stdout


def test_a_second_copy_is_refused(tree: Path) -> None:
    code = (
        "from t2t.registry import DuplicateName\n"
        "try:\n    import models.mlp\n"
        "except DuplicateName as error:\n    print(error)\n"
    )
    said = run(sys.executable, "-c", code, cwd=tree).stdout
    assert said == "MLP was imported as models.mlp: import t2t.models.mlp instead\n"
