"""Makes a corpus: bitcode, and each module compiled once as LLVM itself decides.

Can be stopped and called again: what stands in the manifest is not made a second time,
and neither is what did not compile.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from t2t.bridge import llvm
from t2t.bridge.episodes import Episode, Failure, Job
from t2t.bridge.host import Host
from t2t.bridge.specs import matrix
from t2t.problems.compiler import corpus, measure
from t2t.problems.compiler.corpus import Corpus, Defaults, Module
from t2t.problems.compiler.elf import NotAnObject
from t2t.problems.compiler.sources import Unit

# The bitcode that MLGO trains on: as -Oz begins with it.
_BITCODE = ("-emit-llvm", "-Xclang", "-disable-llvm-passes", "-w")
_NOTED_EVERY = 10.0  # seconds
_CPU = 60  # seconds that a module may take; larger ones are left out

log = logging.getLogger(__name__)


class Gatherer:
    """Adds to the corpus in a folder.

    Args:
      folder: made when it is not there.
      compiler: that has to be the corpus's own.
      parallel: compilers at the same time.

    Raises:
      BadCorpus: when the folder holds another compiler's corpus.
    """

    def __init__(
        self, folder: Path, compiler: llvm.Compiler, *, parallel: int | None = None
    ) -> None:
        self.folder, self.compiler, self.parallel = folder, compiler, parallel
        folder.mkdir(parents=True, exist_ok=True)
        header = llvm.probe(compiler).header
        if (folder / "corpus.json").exists():
            _trim(folder / "modules.jsonl")
            there = Corpus(folder)
            if (there.compiler, there.header) != (compiler.name, header):
                raise corpus.BadCorpus(
                    f"{folder} was made by {there.compiler}: it cannot be gone on with "
                    f"by {compiler.name}"
                )
            self.done = {module.key for module in there.modules}
        else:
            corpus.write_about(folder, compiler.name, header)
            (folder / "modules.jsonl").touch()
            self.done = set()
        self.failed = folder / "failed.txt"
        if self.failed.exists():
            self.done |= set(self.failed.read_text(encoding="utf-8").split("\n"))

    def add(self, units: Iterable[Unit], *, title: str = "") -> int:
        """Makes the modules of these files; returns how many were made."""
        todo = {f"{u.package}/{u.name}": u for u in units}
        todo = {key: unit for key, unit in todo.items() if key not in self.done}
        made, begun, noted = 0, time.monotonic(), time.monotonic()
        with (
            Host(llvm.default_policy(self.compiler), parallel=self.parallel) as host,
            (self.folder / "modules.jsonl").open("a", encoding="utf-8") as manifest,
        ):
            for count, (key, result) in enumerate(self._bitcode(host, todo), 1):
                # One after the other: `host` runs one list of jobs at a time.
                module = self._module(todo[key], result)
                if module is None:
                    self._fail(key)
                else:
                    made += 1
                    _append(manifest, module)
                self.done.add(key)
                if time.monotonic() - noted > _NOTED_EVERY:
                    noted = time.monotonic()
                    left = (noted - begun) / count * (len(todo) - count)
                    log.info("%s: %d of %d files, %d modules, %.0f s left",
                             title, count, len(todo), made, left)  # fmt: skip
        return made

    def _bitcode(
        self, host: Host, todo: dict[str, Unit]
    ) -> Iterator[tuple[str, Episode | Failure]]:
        """Compiles to bitcode, then asks for the default's decisions on it."""
        keys = iter(todo)
        while chunk := [key for key, _ in zip(keys, range(32), strict=False)]:
            good = []
            for result in host.run([self._to_bitcode(todo[key], key) for key in chunk]):
                if isinstance(result, Episode):
                    good.append(result.job.tag)
                else:
                    yield result.job.tag, result
            for result in host.run([self._to_object(todo[key], key) for key in good]):
                yield result.job.tag, result

    def _to_bitcode(self, unit: Unit, key: str) -> Job:
        path = self._place(unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        words = self.compiler.command(unit.path, path, flags=(*_BITCODE, *unit.flags))
        return Job(words, cwd=unit.cwd, tag=key, cpu=_CPU)

    def _to_object(self, unit: Unit, key: str) -> Job:
        path = self._place(unit)
        job = measure.job(self.compiler, path, path.with_suffix(".o"))
        return Job(job.argv, tag=key, cpu=_CPU)

    def _place(self, unit: Unit) -> Path:
        return self.folder / "bitcode" / unit.package / f"{unit.name}.bc"

    def _module(self, unit: Unit, result: Episode | Failure) -> Module | None:
        """A module with its default's decisions beside it; None for what failed."""
        path = self._place(unit)
        try:
            if not isinstance(result, Episode):
                return None
            found = measure.outcome(result, path.with_suffix(".o"))
            self._keep(path, result, found)
        except (NotAnObject, OSError) as error:
            log.warning("%s left out: %s", unit.path, error)
            return None
        finally:
            if not path.with_suffix(".npz").exists():
                path.unlink(missing_ok=True)
        return Module(
            unit.package,
            unit.name,
            hashlib.sha256(path.read_bytes()).hexdigest(),
            unit.licence,
            unit.origin,
            result.decisions,
            found.text,
            round(result.cpu, 3),
        )

    def _keep(self, path: Path, episode: Episode, found: measure.Outcome) -> None:
        kept = [t for t in episode.trajectories if len(t)]
        header = llvm.probe(self.compiler).header
        records = kept[0].observations if kept else np.zeros(0, header.record)
        advice = kept[0].advice.ravel() if kept else np.zeros(0)
        seen = matrix(records, header.names)
        defaults = Defaults(seen, advice.astype(np.int8), found.pairs, found.functions)
        defaults.save(path.with_suffix(".npz"))

    def _fail(self, key: str) -> None:
        with self.failed.open("a", encoding="utf-8") as file:
            file.write(f"{key}\n")


def _trim(manifest: Path) -> None:
    """Removes a last line that a kill cut short."""
    raw = manifest.read_bytes()
    if not raw.endswith(b"\n") and raw:
        temporary = manifest.with_name(f".{manifest.name}.tmp")
        temporary.write_bytes(raw[: raw.rfind(b"\n") + 1])
        temporary.replace(manifest)


def _append(file: IO[str], module: Module) -> None:
    file.write(json.dumps(module.__dict__) + "\n")
    file.flush()
    with contextlib.suppress(OSError):
        os.fsync(file.fileno())
