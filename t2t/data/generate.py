"""`t2t-datagen`: a problem's raw examples become shards on disk.

The same problem, seed and knobs give byte-identical files, whatever the number of
processes, and however often a run was killed and begun again: a finished split is
in the manifest and is skipped, an unfinished one is made anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.random  # noqa: F401  numpy's own late import would swallow a Ctrl-C

from t2t import registry
from t2t.data import vocabularies
from t2t.data.shards import FORMAT, GROUP_SIZE, Manifest, ShardWriter, sha256
from t2t.data.workers import Encoders

if TYPE_CHECKING:
    from t2t.problems.problem import Problem

CHUNK = 256  # examples sent to a worker at a time
GENERATED_SAMPLE = 10_000  # examples that a generated problem's vocabulary sees

Raw = dict[str, Any]
RawExamples = Callable[[str], Iterable[Raw]]


def generate(
    problem: Problem,
    data_dir: str | Path,
    tmp_dir: str | Path,
    *,
    processes: int | None = None,
    seed: int = 0,
    examples: RawExamples | None = None,
    progress: bool = True,
) -> Manifest:
    """Builds what is missing of a problem's data set and returns its manifest.

    Suffixes of the problem's name play no part here: `NAME` and `NAME_rev` share
    one data set. Of a generated problem only the vocabularies are built. A second
    run on the same data waits for the first. Memory: about 16 MB a shard of a
    split and a few chunks of 256 examples, however long the split.

    Args:
      data_dir: where shards, vocabularies and the manifest go.
      tmp_dir: where the problem may keep downloads.
      processes: workers that encode; None takes one a core, 1 none.
      seed: of the vocabulary's sample.
      examples: split -> raw examples, in place of `problem.examples`.
      progress: show a bar with the time left, when stderr is a terminal.

    Raises:
      WorkerFailed: with the example that could not be encoded.
      DataUnavailable: by the problem, when its data cannot be had here.
      ValueError: when a vocabulary file of this name holds another vocabulary, or
        a split has no examples.
    """
    folder, tmp = Path(data_dir).expanduser(), Path(tmp_dir).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    tmp.mkdir(parents=True, exist_ok=True)
    examples = examples or _examples_of(problem, tmp, seed)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    run = _Run(problem, folder, examples, seed, processes or cores or 1, progress)
    with _alone(folder, run.name):
        return run.go()


@dataclasses.dataclass
class _Run:
    """One call of `generate`."""

    problem: Problem
    folder: Path
    examples: RawExamples
    seed: int
    processes: int
    progress: bool
    totals: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        return registry.split_suffixes(self.problem.name)[0]

    def go(self) -> Manifest:
        version = f"{FORMAT}.{getattr(self.problem, 'VERSION', 1)}"
        manifest = Manifest(self.name, version, self.seed, knobs=knobs_of(self.problem))
        found = Manifest.read(self.folder, self.name)
        stale = found is not None and not _same_settings(found, manifest)
        if found is None:
            # Said beforehand: the next run must know whose vocabulary it finds.
            manifest.write(self.folder)
        manifest.vocabularies = self._vocabularies(anew=stale)
        manifest.splits = _finished(manifest, self.folder)
        missing = [s for s in self.problem.SPLITS if s not in manifest.splits]
        if missing and not self.problem.generated:
            encoders = Encoders(self.problem, processes=self.processes)
            with contextlib.closing(encoders):
                for split in missing:
                    manifest.splits[split] = self._write(split, encoders)
                    manifest.write(self.folder)
        manifest.write(self.folder)
        return manifest

    def _vocabularies(self, *, anew: bool) -> dict[str, str]:
        first = next(iter(self.problem.SPLITS), "train")

        def counted() -> Iterator[Raw]:
            with self._bar("vocabulary") as bar:
                for example in self.examples(first):
                    yield example
                    bar.update()
                self.totals[first] = int(bar.n)

        return vocabularies.settle(
            self.problem, self.folder, counted(), seed=self.seed, anew=anew
        )

    def _write(self, split: str, encoders: Encoders) -> dict[str, Any]:
        """Writes the shards of one split; its entry for the manifest."""
        kinds = {feature.kind for feature in self.problem.features.values()}
        writer = ShardWriter(
            self.folder,
            self.name,
            split=split,
            count=self.problem.SPLITS[split],
            group_size=1 if kinds & {"image", "real", "audio"} else GROUP_SIZE,
        )
        tokens: dict[str, int] = {}
        with contextlib.closing(writer), self._bar(split) as bar:
            for made, counted in encoders.encode(_chunks(self.examples(split))):
                for record in made:
                    writer.write(record)
                for feature, n in counted.items():
                    tokens[feature] = tokens.get(feature, 0) + n
                bar.update(len(made))
            if not writer.examples:
                raise ValueError(self.problem.without_examples(split))
            shards = writer.finish()
        return {"examples": writer.examples, "tokens": tokens, "shards": shards}

    def _bar(self, what: str) -> Any:
        from tqdm import tqdm

        class Bar(tqdm):
            monitor_interval = 0  # no thread: a process with threads must not fork

        return Bar(
            total=self.totals.get(what),
            desc=f"{self.name} {what}",
            unit=" examples",
            disable=None if self.progress else True,
        )


def _chunks(examples: Iterable[Raw]) -> Iterator[list[Raw]]:
    iterator = iter(examples)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk


def _examples_of(problem: Problem, tmp_dir: Path, seed: int) -> RawExamples:
    if not problem.generated:
        return lambda split: problem.examples(split, tmp_dir)

    def made(split: str) -> Iterator[Raw]:
        rng = np.random.default_rng([seed, *split.encode()])
        for _ in range(GENERATED_SAMPLE):
            yield problem.example(split, rng)

    return made


# -- what was there before --------------------------------------------------------


def knobs_of(problem: Problem) -> dict[str, Any]:
    """The plain public attributes of a problem object, by which its data may differ.

    Of those that name files or patterns of files, the SHA-256 of each file stands
    under 'files', so that changed files are read again.
    """
    knobs = {}
    for name, value in sorted(vars(problem).items()):
        with contextlib.suppress(TypeError):
            if not name.startswith("_") and name not in ("name", "suffixes"):
                knobs[name] = _plain(value)
    files = sorted({file for value in knobs.values() for file in _files(value)})
    return {"attributes": knobs, "files": {f: sha256(Path(f)) for f in files}}


def _plain(value: Any) -> Any:
    """The value as JSON gives it back; TypeError where it is more than plain."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if not isinstance(value, str | int | float | None):
        raise TypeError(type(value))
    return value


def _files(value: Any) -> Iterator[str]:
    """The files that the strings within a plain value name."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _files(inner)
    elif isinstance(value, str) and "\0" not in value:
        for name in glob.glob(os.path.expanduser(value)):
            if os.path.isfile(name):
                yield name


def _same_settings(one: Manifest, other: Manifest) -> bool:
    bare = {"vocabularies": {}, "splits": {}}
    return dataclasses.replace(one, **bare) == dataclasses.replace(other, **bare)


def _finished(wanted: Manifest, folder: Path) -> dict[str, dict[str, Any]]:
    """The splits on disk that a run with these settings would only make again."""
    found = Manifest.read(folder, wanted.problem)
    if found is None or dataclasses.replace(found, splits={}) != wanted:
        return {}
    return {
        split: entry
        for split, entry in found.splits.items()
        if all(_whole(folder / s["file"], s["bytes"]) for s in entry["shards"])
    }


def _whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


@contextlib.contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Waits until no other run writes this data set; a killed one holds nothing."""
    import fcntl

    with open(folder / f".{name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting: another run writes {name} in {folder}", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
