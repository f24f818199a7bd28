"""Reading the user's text files line by line, with errors that name the line."""

from __future__ import annotations

import glob
import gzip
import json
import zlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, cast

BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class UnreadableFile(ValueError):
    """A file of the user's that is missing or not as expected; one line."""


def matching(pattern: str) -> list[Path]:
    """The files of a pattern with * and ?, sorted; a plain name is one file."""
    expanded = str(Path(pattern).expanduser())
    if Path(expanded).is_file():
        return [Path(expanded)]
    found = [Path(p) for p in sorted(glob.glob(expanded)) if Path(p).is_file()]
    if not found:
        raise UnreadableFile(f"{pattern}: there is no such file")
    return found


def check_pair(problem: str, inputs: str, second: str, side: str) -> None:
    """Refuses file names that cannot hold both sides, before anything is read."""
    flag = "targets" if side == "targets" else "labels"
    if not inputs:
        raise UnreadableFile(
            f"{problem} needs --inputs=FILE and --{flag}=FILE, or --inputs=FILE.tsv "
            "or .jsonl with both"
        )
    if not second and _format(inputs) == ".txt":
        raise UnreadableFile(
            f"--inputs={inputs} holds one side only: expected --{flag}=FILE beside it, "
            "or a .tsv or .jsonl file with both"
        )
    for path in filter(None, (inputs, second)):
        if not Path(path).expanduser().is_file():
            raise UnreadableFile(f"{path}: there is no such file")
    if second and (given := count(inputs)) != (other := count(second)):
        raise UnreadableFile(
            f"{inputs} has {given} lines and {second} has {other}: expected as many"
        )


def pairs(inputs: str, second: str, side: str) -> Iterator[tuple[str, str]]:
    """(input, target or label) of each line.

    Raises:
      UnreadableFile: at a line with other columns or keys, naming it.
    """
    path = Path(inputs).expanduser()
    if second:
        other = read(Path(second).expanduser())
        yield from zip_longest(read(path), other, fillvalue="")
    elif _format(inputs) == ".tsv":
        yield from _tsv(path, side)
    else:
        yield from _jsonl(path, side)


def _tsv(path: Path, side: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read(path), 1):
        columns = line.split("\t")
        if len(columns) != 2:
            if not line:
                continue
            raise UnreadableFile(
                f"{path} line {number} has {len(columns)} columns: expected 2, "
                f"inputs and {side}, with a tab between"
            )
        yield columns[0], columns[1]


def _jsonl(path: Path, side: str) -> Iterator[tuple[str, str]]:
    expected = f'expected {{"inputs": "…", "{side}": "…"}}'
    for number, line in enumerate(read(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UnreadableFile(
                f"{path} line {number} is not JSON ({error.msg}): {expected}"
            ) from None
        source, other = (
            row.get(key) if isinstance(row, dict) else None for key in ("inputs", side)
        )
        if not isinstance(source, str) or not isinstance(other, str):
            keys = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise UnreadableFile(f"{path} line {number} has {keys}: {expected}")
        yield source, other


def read(path: Path) -> Iterator[str]:
    """The lines of a text file or gz, without line ends; only '\\n' ends a line.

    Raises:
      UnreadableFile: when the file is missing, damaged, or not UTF-8 somewhere.
    """
    with _open(path) as file:
        try:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(_BOM)
                yield _decoded(line.rstrip(b"\r\n"), path, number)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableFile(f"{path} is a damaged gz file: {error}") from None


def count(path: str | Path) -> int:
    """Number of lines; a last line without line end counts."""
    total, last = 0, b"\n"
    with _open(Path(path).expanduser()) as file:
        try:
            while block := file.read(BLOCK):
                total += block.count(b"\n")
                last = block[-1:]
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableFile(f"{path} is a damaged gz file: {error}") from None
    return total + (last != b"\n")


def _open(path: Path) -> BinaryIO:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from None


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            f"{path} line {number} is not UTF-8 (byte {line[error.start]:#04x}): "
            "convert it, for example with iconv -f latin1 -t utf-8"
        ) from None


def _format(name: str) -> str:
    """'.tsv', '.jsonl', or '.txt' for lines of one side."""
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    return suffix if suffix in (".tsv", ".jsonl") else ".txt"
