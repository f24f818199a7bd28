"""`t2t-datagen`: a problem's raw examples become shards on disk.

The same problem, seed and knobs give byte-identical files, whatever the number of
processes, and however often a run was killed and begun again: a finished split is
in the manifest and is skipped, an unfinished one is made anew.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from t2t import registry
from t2t.data.shards import FORMAT, GROUP_SIZE, Manifest, ShardWriter, sha256
from t2t.data.workers import Encoders
from t2t.features import Vocabulary

if TYPE_CHECKING:
    from t2t.problems.problem import Problem

CHUNK = 256  # examples sent to a worker at a time
# A vocabulary is built from a fair sample of the training examples of this size.
VOCABULARY_BYTES = 32 << 20

RawExamples = Callable[[str], Iterable[dict[str, Any]]]


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
    one data set. Of a generated problem only the vocabularies are built.

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
      ValueError: when a vocabulary file of this name holds another vocabulary.
    """
    folder = Path(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    Path(tmp_dir).mkdir(parents=True, exist_ok=True)
    examples = examples or _examples_of(problem, Path(tmp_dir), seed)
    manifest = _new_manifest(problem, seed)
    manifest.vocabularies = _vocabularies(problem, folder, examples, seed=seed)
    manifest.splits = _finished(manifest, folder)
    if not problem.generated:
        missing = [s for s in problem.SPLITS if s not in manifest.splits]
        _write_splits(
            problem, folder, manifest, missing, examples, processes, bar=progress
        )
    # The order in which splits were finished must not show.
    manifest.write(folder)
    return manifest


def _write_splits(
    problem: Problem,
    folder: Path,
    manifest: Manifest,
    splits: list[str],
    examples: RawExamples,
    processes: int | None,
    *,
    bar: bool,
) -> None:
    if not splits:
        return
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    encoders = Encoders(
        problem, processes=cores or 1 if processes is None else processes
    )
    try:
        for split in splits:
            manifest.splits[split] = _write_split(
                problem, folder, split, examples(split), encoders, bar=bar
            )
            manifest.write(folder)
    finally:
        encoders.close()


def _write_split(
    problem: Problem,
    folder: Path,
    split: str,
    examples: Iterable[dict[str, Any]],
    encoders: Encoders,
    *,
    bar: bool,
) -> dict[str, Any]:
    """Writes the shards of one split; its entry for the manifest."""
    from tqdm import tqdm

    name = _base(problem)
    large = any(f.kind in ("image", "real") for f in problem.features.values())
    writer = ShardWriter(
        folder,
        name,
        split=split,
        count=problem.SPLITS[split],
        group_size=1 if large else GROUP_SIZE,
    )
    tokens: dict[str, int] = {}
    total = len(examples) if hasattr(examples, "__len__") else None  # type: ignore
    shown = tqdm(
        total=total,
        desc=f"{name} {split}",
        unit=" examples",
        disable=None if bar else True,
    )
    try:
        with shown:
            for made, counted in encoders.encode(_chunks(examples)):
                for record in made:
                    writer.write(record)
                for feature, n in counted.items():
                    tokens[feature] = tokens.get(feature, 0) + n
                shown.update(len(made))
        shards = writer.finish()
    finally:
        writer.close()
    return {"examples": writer.examples, "tokens": tokens, "shards": shards}


def _chunks(examples: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(examples)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk


# -- what was there before --------------------------------------------------------


def _base(problem: Problem) -> str:
    return registry.split_suffixes(problem.name)[0]


def _new_manifest(problem: Problem, seed: int) -> Manifest:
    version = f"{FORMAT}.{getattr(problem, 'VERSION', 1)}"
    return Manifest(_base(problem), version, seed, knobs=knobs_of(problem))


def knobs_of(problem: Problem) -> dict[str, Any]:
    """The plain public attributes of a problem object, by which its data may differ."""
    return {
        name: value
        for name, value in sorted(vars(problem).items())
        if isinstance(value, str | int | float | bool | None)
        and not name.startswith("_")
        and name not in ("name", "suffixes")
    }


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


# -- vocabularies -----------------------------------------------------------------


def _examples_of(problem: Problem, tmp_dir: Path, seed: int) -> RawExamples:
    if not problem.generated:
        return lambda split: problem.examples(split, tmp_dir)

    def made(split: str) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng([seed, *split.encode()])
        for _ in range(10_000):
            yield problem.example(split, rng)

    return made


def _vocabularies(
    problem: Problem, folder: Path, examples: RawExamples, *, seed: int
) -> dict[str, str]:
    """Loads or builds every vocabulary; {file name: SHA-256}."""
    unbuilt = []
    for vocabulary in problem.vocabularies.values():
        if not vocabulary.built:
            if (folder / (vocabulary.name + vocabulary.suffix)).is_file():
                vocabulary.load(folder)
            else:
                unbuilt.append(vocabulary)
    if unbuilt:
        kept = _sample(examples("train"), VOCABULARY_BYTES, seed)
        for vocabulary in unbuilt:
            vocabulary.build(problem.text_for_vocabulary(vocabulary, kept))
    return dict(
        _settle(vocabulary, folder) for vocabulary in problem.vocabularies.values()
    )


def _settle(vocabulary: Vocabulary, folder: Path) -> tuple[str, str]:
    """Writes a vocabulary file, never over another one; its name and SHA-256."""
    with tempfile.TemporaryDirectory() as beside:
        made = vocabulary.save(Path(beside))
        digest, path = sha256(made), folder / made.name
    if not path.is_file():
        vocabulary.save(folder)
    elif sha256(path) != digest:
        raise ValueError(
            f"{path} is another vocabulary of the same name, which other data may "
            "need: use another --data_dir, or delete it"
        )
    return path.name, digest


def _sample(
    examples: Iterable[dict[str, Any]], limit: int, seed: int
) -> list[dict[str, Any]]:
    """A fair sample of at most `limit` bytes of memory, in corpus order.

    Every example draws a number; those with the smallest numbers are kept.
    """
    rng = np.random.default_rng(seed)
    kept: list[tuple[float, int, int, dict[str, Any]]] = []
    held = 0
    for index, example in enumerate(examples):
        # 300 bytes: what a dict of two strings weighs besides its text.
        size = 300 + sum(len(v) for v in example.values() if isinstance(v, str))
        heapq.heappush(kept, (-rng.random(), index, size, example))
        held += size
        while held > limit and len(kept) > 1:
            held -= heapq.heappop(kept)[2]
    return [example for *_, example in sorted(kept, key=lambda entry: entry[1])]
