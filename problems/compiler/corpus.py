"""A corpus of modules: bitcode files, and a line of JSON about each.

    corpus.json     the compiler, and what it asks (its header)
    modules.jsonl   a line a module, in the order in which they were made
    bitcode/PACKAGE/MODULE.bc, and .npz beside it: LLVM's own decisions, what they made

Splits are by package: what a policy is judged on it has seen nothing of. Who reads a
corpus trusts nothing in it: paths stay inside of it and contents have their hashes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2t.bridge.specs import BadSpec, Header

VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9_+.-]+")
_DEV, _TEST = 10, 35  # of 100 packages: up to here dev, from there to here test


class BadCorpus(ValueError):
    """A corpus that is missing, or one that cannot be meant."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A file of bitcode.

    Args:
      package: it belongs to.
      name: of the file, without its ending and unique in its package.
      sha256: of the bitcode.
      licence: of the package, as it says itself.
      source: package and version it was fetched as, or the folder it was built in.
      decisions: inlining decisions that LLVM is asked for when it makes its own.
      text: bytes of code at -Oz.
      cpu: seconds that a compilation took.
    """

    package: str
    name: str
    sha256: str
    licence: str = "unknown"
    source: str = ""
    decisions: int = 0
    text: int = 0
    cpu: float = 0.0

    def __post_init__(self) -> None:
        for word in (self.package, self.name):
            if not _NAME.fullmatch(word) or word.startswith((".", "-")):
                raise BadCorpus(f"{word!r} is no name of a package or module")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise BadCorpus(f"{self.package}/{self.name}: no hash: {self.sha256!r}")

    @property
    def key(self) -> str:
        return f"{self.package}/{self.name}"

    @property
    def split(self) -> str:
        return split_of(self.package)


def split_of(package: str) -> str:
    """'train', 'dev' or 'test': by a hash of the name, so it is fixed beforehand."""
    place = int.from_bytes(hashlib.sha256(package.encode()).digest()[:4], "big") % 100
    if place < _DEV:
        return "dev"
    return "test" if place < _TEST else "train"


@dataclasses.dataclass(frozen=True)
class Defaults:
    """LLVM's own decisions on a module, and what came of them.

    Args:
      seen: float32 [T, D], all that was asked, in the header's order.
      advice: int8 [T], what was decided.
      pairs: (caller, callee) of each question; empty where the compiler told none.
      functions: bytes of each function of the object.
    """

    seen: np.ndarray
    advice: np.ndarray
    pairs: list[tuple[str, str]]
    functions: dict[str, int]

    def save(self, path: Path) -> None:
        """Writes the file, to a temporary name first."""
        told = json.dumps({"pairs": self.pairs, "functions": self.functions})
        temporary = path.with_name(f".{path.name}.tmp.npz")
        raw = np.frombuffer(told.encode(), np.uint8)
        np.savez_compressed(temporary, seen=self.seen, advice=self.advice, told=raw)
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> Defaults:
        """What `save` wrote; nothing in it is run.

        Raises:
          BadCorpus: for a file that is missing or another.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                told = json.loads(found["told"].tobytes())
                pairs = [(str(a), str(b)) for a, b in told["pairs"]]
                sizes = {str(n): int(v) for n, v in told["functions"].items()}
                seen = np.asarray(found["seen"], np.float32)
                return cls(seen, np.asarray(found["advice"], np.int8), pairs, sizes)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadCorpus(f"{path} holds no default decisions: {error}") from None


class Corpus:
    """The modules in a folder that `t2t-datagen --problem=compiler_inline` made.

    Raises:
      BadCorpus: in one line, when there is none or a line is not as it should be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        about = _json(self.folder / "corpus.json")
        if about.get("version") != VERSION:
            raise BadCorpus(
                f"{folder} is of version {about.get('version')!r}: expected {VERSION}"
            )
        try:
            self.header = Header.from_plain(about["header"])
            self.compiler = str(about["compiler"])
        except (BadSpec, KeyError) as error:
            raise BadCorpus(f"{folder}/corpus.json: {error}") from None
        self.modules = list(lines(self.folder / "modules.jsonl"))

    def bitcode(self, module: Module) -> Path:
        """Where the module is; inside of the corpus, whatever links there are.

        Raises:
          BadCorpus: when it is elsewhere, or has another hash.
        """
        path = place(self.folder, module)
        if not path.resolve().is_relative_to(self.folder):
            raise BadCorpus(f"{module.key} is outside of the corpus")
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise BadCorpus(f"{module.key}: {error}") from None
        if found != module.sha256:
            raise BadCorpus(f"{module.key} is not what was recorded: another hash")
        return path

    def defaults(self, module: Module) -> Defaults:
        return Defaults.load(place(self.folder, module).with_suffix(".npz"))

    def of(self, split: str) -> list[Module]:
        """The modules of a split at which anything is decided."""
        return [m for m in self.modules if m.split == split and m.decisions]


def nth(modules: Sequence[Module], number: int, seed: int) -> Module:
    """Module `number` of an endless sequence: all of them in ever another order."""
    turn, place = divmod(number, len(modules))
    return modules[np.random.default_rng([seed, turn]).permutation(len(modules))[place]]


def place(folder: Path, module: Module) -> Path:
    return folder / "bitcode" / module.package / f"{module.name}.bc"


def lines(path: Path) -> Iterator[Module]:
    """The modules of a manifest; a last line cut short by a kill is left out.

    Raises:
      BadCorpus: for a line that cannot be meant.
    """
    seen: set[str] = set()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadCorpus(f"no manifest {path}: {error}") from None
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            module = Module(**json.loads(line))
        except (TypeError, ValueError) as error:
            raise BadCorpus(f"{path}:{number}: {error}") from None
        if module.key in seen:
            raise BadCorpus(f"{path}:{number}: {module.key} a second time")
        seen.add(module.key)
        yield module


def write_about(folder: Path, compiler: str, header: Header) -> None:
    """Begins a corpus."""
    about = {"version": VERSION, "compiler": compiler, "header": header.plain()}
    temporary = folder / ".corpus.json.tmp"
    temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / "corpus.json")


def write_header(path: Path, header: Header) -> None:
    path.write_text(json.dumps(header.plain()) + "\n", encoding="utf-8")


def read_header(path: Path) -> Header:
    """What `write_header` wrote.

    Raises:
      BadCorpus: for what is none.
    """
    try:
        return Header.from_plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadCorpus(f"{path} holds no header: {error}") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCorpus(
            f"no corpus at {path.parent} ({error}): t2t-datagen "
            "--problem=compiler_inline --data_dir=FOLDER, then --corpus=FOLDER"
        ) from None
    if not isinstance(found, dict):
        raise BadCorpus(f"{path}: an object was expected")
    return found
