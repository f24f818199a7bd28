"""Data sets of the `tensorflow-datasets` catalogue, prepared or to be prepared.

A problem names a builder and turns its rows into examples. Where the data are
prepared already they are read; else they are downloaded, after one quick look
whether there is a network at all; else one line tells the folder, the builder and
a problem that needs no network. Dev sets that a builder lacks are every N-th row
of its training set.
"""

from __future__ import annotations

import concurrent.futures
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable, Example, Problem

REACHED = "https://storage.googleapis.com/tfds-data"  # where TFDS keeps its own
PATIENCE = 5.0  # seconds


class TfdsProblem(Problem):
    """Rows of a builder as examples; to be mixed into a task of `tasks`.

    Class attributes:
      BUILDER: its name and configuration, such as 'glue/sst2'.
      SOURCES: {our split: the builder's split}.
      DEV_EVERY: when dev comes out of the training split, each how many rows.
      SUBSTITUTE: a problem of the same task that needs no network.
    """

    BUILDER = ""
    SOURCES = {TRAIN: "train", DEV: "validation", TEST: "test"}
    DEV_EVERY = 0
    SUBSTITUTE = ""
    licence = "see the data set's page in the TFDS catalogue"

    def convert(self, row: dict[str, Any]) -> Example:
        """One row, as numpy values and bytes, as a raw example."""
        raise NotImplementedError

    def converted(self, row: dict[str, Any]) -> Iterator[Example]:
        """All raw examples of one row; one, unless a problem says otherwise."""
        yield self.convert(row)

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        import tensorflow_datasets

        builder = prepared(self.BUILDER, self.SUBSTITUTE, tmp_dir)
        rows = builder.as_dataset(split=self.SOURCES[split], shuffle_files=False)
        shared = self.DEV_EVERY and self.SOURCES[split] == self.SOURCES[TRAIN]
        for number, row in enumerate(tensorflow_datasets.as_numpy(rows)):
            if shared and (number % self.DEV_EVERY == 0) != (split == DEV):
                continue
            yield from self.converted(row)


def decoded(value: bytes) -> str:
    """A text of a row; what is not UTF-8 in it becomes U+FFFD."""
    return value.decode("utf-8", "replace")


def prepared(name: str, substitute: str, tmp_dir: Path) -> Any:
    """The builder, its data on disk.

    Looked for in TFDS's own folder (or TFDS_DATA_DIR), then in `tmp_dir`.

    Raises:
      DataUnavailable: when they cannot be had, with folder, builder, substitute.
    """
    import tensorflow_datasets

    folder = tmp_dir / "tensorflow_datasets"
    for data_dir in (None, folder):
        builder = tensorflow_datasets.builder(name, data_dir=data_dir)
        if builder.is_prepared():
            return builder
    remedy = f"prepare {name} elsewhere and copy it there"
    if substitute:
        remedy += f", or try --problem={substitute}"
    if not reachable():
        raise DataUnavailable(
            f"{folder} has no {name} and there is no network: {remedy}"
        )
    try:
        builder.download_and_prepare()
    except Exception as error:
        # Each builder fails in its own way: a mirror is gone, a form must be signed.
        reason = str(error).strip().split("\n")[0][:200]
        raise DataUnavailable(
            f"{folder}: {name} cannot be prepared ({type(error).__name__}: {reason}): "
            f"{remedy}"
        ) from error
    return builder


def reachable() -> bool:
    """Whether TFDS's bucket answers within five seconds, through any proxy set."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        # A name look-up knows no timeout of its own, so it is waited for from here.
        return pool.submit(_answers).result(PATIENCE)
    except concurrent.futures.TimeoutError:
        return False
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _answers() -> bool:
    try:
        with urllib.request.urlopen(REACHED, timeout=PATIENCE):
            return True
    except urllib.error.HTTPError:
        return True  # it answered, whatever it thinks of the address
    except OSError:
        return False
