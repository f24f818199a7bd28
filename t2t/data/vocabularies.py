"""The vocabularies of a data set: loaded where they are, else built and written.

A vocabulary is built from a fair sample of the training examples that holds at
most `SAMPLE_BYTES` of memory, however large the corpus.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from t2t.data.shards import sha256
from t2t.features import Vocabulary

if TYPE_CHECKING:
    from t2t.problems.problem import Problem

SAMPLE_BYTES = 32 << 20


def settle(
    problem: Problem,
    folder: Path,
    examples: Iterable[dict[str, Any]],
    *,
    seed: int,
    anew: bool = False,
) -> dict[str, str]:
    """Makes every vocabulary of `problem` built and on disk; {file name: SHA-256}.

    `examples`, of training, are gone through only when one has to be built. `anew`
    says that the files are of other data: they are neither loaded nor spared.

    Raises:
      ValueError: when a file of this name holds another vocabulary.
    """
    unbuilt = []
    for vocabulary in problem.vocabularies.values():
        if not vocabulary.built:
            path = folder / (vocabulary.name + vocabulary.suffix)
            if path.is_file() and not anew:
                vocabulary.load(folder)
            else:
                unbuilt.append(vocabulary)
    if unbuilt:
        kept = sample(examples, SAMPLE_BYTES, seed=seed)
        for vocabulary in unbuilt:
            vocabulary.build(problem.text_for_vocabulary(vocabulary, kept))
    return dict(
        _write(vocabulary, folder, over=anew)
        for vocabulary in problem.vocabularies.values()
    )


def _write(vocabulary: Vocabulary, folder: Path, *, over: bool) -> tuple[str, str]:
    """Writes a vocabulary file, `over` another one or not; its name and SHA-256."""
    with tempfile.TemporaryDirectory() as beside:
        made = vocabulary.save(Path(beside))
        digest, path = sha256(made), folder / made.name
    if over or not path.is_file():
        vocabulary.save(folder)
    elif sha256(path) != digest:
        raise ValueError(
            f"{path} is another vocabulary of the same name, which other data may "
            "need: use another --data_dir, or delete it"
        )
    return path.name, digest


def sample(
    examples: Iterable[dict[str, Any]], limit: int, *, seed: int
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
