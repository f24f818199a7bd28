"""Memory that several processes see: a file, mapped by each of them."""

from __future__ import annotations

import mmap
import os
from pathlib import Path


def create(path: Path, size: int) -> mmap.mmap:
    """A new file of `size` bytes, all zero, mapped.

    Its blocks are taken now: a disk that is full later would end the process by a
    signal.

    Raises:
      OSError: when there is no room.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(path, "w+b") as file:
        file.truncate(size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        return mmap.mmap(file.fileno(), size)


def attach(path: Path, size: int) -> mmap.mmap:
    """The same bytes, in another process than the one that created them.

    Raises:
      OSError, ValueError: when the file is not there, or smaller.
    """
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), size)
