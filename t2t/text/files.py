"""Vocabulary files: written whole or not at all, and missed with a remedy."""

from __future__ import annotations

import os
from pathlib import Path


def write(folder: Path, file_name: str, content: bytes) -> Path:
    """Writes `folder/file_name` under a temporary name, then renames it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name
    unfinished = folder / f".{file_name}.{os.getpid()}"
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
    return path


def read(folder: Path, file_name: str) -> bytes:
    """The content of `folder/file_name`.

    Raises:
      FileNotFoundError: naming the file and the command that makes it.
    """
    path = folder / file_name
    if not path.is_file():
        raise FileNotFoundError(f"no vocabulary at {path}: run t2t-datagen first")
    return path.read_bytes()


def not_built(name: str) -> ValueError:
    """The error of a vocabulary that is asked before it can answer."""
    return ValueError(f"vocabulary {name!r} is neither built nor loaded yet")
