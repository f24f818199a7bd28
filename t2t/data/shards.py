"""Encoded examples on disk: ArrayRecord shards and the manifest that vouches for them.

    DIR/NAME-train-00000-of-00010.array_record   example i is in shard i mod 10
    DIR/NAME.manifest.json                       counts, hashes, vocabularies, seed

Only the manifest makes a split exist. Shards are written under temporary names
and renamed, then the manifest is written anew and renamed over the old one, so
nothing that a killed run leaves behind is ever believed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t2t.data import records
from t2t.features import Feature

FORMAT = 1  # of shards and manifest; raised when older ones can no longer be read
UNFINISHED = ".unfinished"
# Records a compressed chunk: random reads decode one chunk, so big ones stand alone.
GROUP_SIZE = 16


class DataMissing(RuntimeError):
    """The data set, or one split of it, is not there; one line with the remedy."""


class DataCorrupt(RuntimeError):
    """A file is not the one that the manifest describes; the message names it."""


@dataclasses.dataclass
class Manifest:
    """What is known of a data set on disk; the JSON file in a class.

    splits: {split: {"examples": int, "tokens": {text feature: int},
      "shards": [{"file", "examples", "bytes", "sha256"}]}}
    vocabularies: {file name: SHA-256}
    """

    problem: str
    version: str
    seed: int
    knobs: dict[str, Any] = dataclasses.field(default_factory=dict)
    vocabularies: dict[str, str] = dataclasses.field(default_factory=dict)
    splits: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def write(self, data_dir: Path) -> None:
        """Replaces the manifest file in one step."""
        path = manifest_path(data_dir, self.problem)
        unfinished = path.with_name(path.name + UNFINISHED)
        with open(unfinished, "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(self), file, indent=1, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)

    @classmethod
    def read(cls, data_dir: Path, name: str) -> Manifest | None:
        """The manifest of a data set, or None where there is none.

        Raises:
          DataCorrupt: when the file is not such a manifest.
        """
        path = manifest_path(data_dir, name)
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise DataCorrupt(
                f"{path} is not a data manifest ({error}): delete it and run "
                f"t2t-datagen --problem={name} --data_dir={data_dir}"
            ) from error


def manifest_path(data_dir: Path, name: str) -> Path:
    return Path(data_dir) / f"{name}.manifest.json"


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ShardWriter:
    """Writes one split, example i to shard i mod `count`; `finish` names the files.

    Closed without `finish` it removes what it wrote; killed, it leaves
    `*.unfinished` files, which the next run overwrites.
    """

    def __init__(
        self, data_dir: Path, name: str, *, split: str, count: int, group_size: int
    ) -> None:
        from array_record.python import array_record_module  # type: ignore

        self._paths = [
            Path(data_dir) / f"{name}-{split}-{i:05d}-of-{count:05d}.array_record"
            for i in range(count)
        ]
        self._writers = [
            array_record_module.ArrayRecordWriter(
                str(path) + UNFINISHED, f"group_size:{group_size}"
            )
            for path in self._paths
        ]
        self.examples = 0

    def write(self, record: bytes) -> None:
        self._writers[self.examples % len(self._writers)].write(record)
        self.examples += 1

    def finish(self) -> list[dict[str, Any]]:
        """Closes and renames the shards; their entries for the manifest."""
        entries = []
        for writer in self._writers:
            writer.close()
        for i, path in enumerate(self._paths):
            unfinished = Path(str(path) + UNFINISHED)
            with open(unfinished, "rb") as file:
                os.fsync(file.fileno())
            held = len(range(i, self.examples, len(self._paths)))
            entry = {"file": path.name, "examples": held}
            entry["bytes"] = unfinished.stat().st_size
            entry["sha256"] = sha256(unfinished)
            os.replace(unfinished, path)
            entries.append(entry)
        return entries

    def close(self) -> None:
        for writer in self._writers:
            if writer.is_open():
                writer.close()
        for path in self._paths:
            Path(str(path) + UNFINISHED).unlink(missing_ok=True)


class Shards:
    """Random access to the encoded examples of one stored split.

    Raises:
      DataMissing: when the manifest does not list the split, or a shard is gone.
      DataCorrupt: when a shard has not the size that the manifest states.
    """

    def __init__(
        self, data_dir: str | Path, name: str, *, split: str, features: Mapping
    ) -> None:
        self.name, self.split = name, split
        self.data_dir = Path(data_dir).expanduser()
        self._features: Mapping[str, Feature] = features
        manifest = Manifest.read(self.data_dir, name)
        if manifest is None:
            raise DataMissing(f"there is no {name} in {data_dir}: {self._remedy()}")
        if split not in manifest.splits:
            have = ", ".join(manifest.splits) or "none"
            raise DataMissing(
                f"{name} in {data_dir} has no split {split!r} (finished: {have}): "
                + self._remedy()
            )
        self.manifest = manifest
        self.entry = manifest.splits[split]
        self._check_files()
        self._readers: list[Any] = [None] * len(self.entry["shards"])

    def __len__(self) -> int:
        return self.entry["examples"]

    def __getitem__(self, index: int) -> records.Encoded:
        """The encoded example `index`, suffixes not applied."""
        return self.read([index])[0]

    def read(self, indices: Sequence[int]) -> list[records.Encoded]:
        """The examples of these indices, in this order; cheaper in bulk."""
        count = len(self._readers)
        by_shard: dict[int, list[int]] = {}
        for place, index in enumerate(indices):
            if not 0 <= index < len(self):
                raise IndexError(f"{self.name} {self.split} has no example {index}")
            by_shard.setdefault(index % count, []).append(place)
        found: list[Any] = [None] * len(indices)
        for shard, places in by_shard.items():
            rows = [indices[place] // count for place in places]
            try:
                read = self._reader(shard).read(rows)
            except (RuntimeError, IndexError, ValueError) as error:
                raise self._corrupt(shard, str(error)) from error
            for place, record in zip(places, read, strict=True):
                found[place] = records.decode(record, self._features)
        return found

    def verify(self) -> None:
        """Compares every shard with its SHA-256.

        Raises:
          DataCorrupt: naming the first shard that differs.
        """
        for shard, entry in enumerate(self.entry["shards"]):
            if sha256(self.data_dir / entry["file"]) != entry["sha256"]:
                raise self._corrupt(shard, "its SHA-256 is not the manifest's")

    def _reader(self, shard: int) -> Any:
        if self._readers[shard] is None:
            from array_record.python import array_record_module  # type: ignore

            path = self.data_dir / self.entry["shards"][shard]["file"]
            self._readers[shard] = array_record_module.ArrayRecordReader(
                str(path), "readahead_buffer_size:0,max_parallelism:0"
            )
            if self._readers[shard].num_records() < self._examples_in(shard):
                raise self._corrupt(shard, "it holds fewer records than it should")
        return self._readers[shard]

    def _examples_in(self, shard: int) -> int:
        return self.entry["shards"][shard]["examples"]

    def _check_files(self) -> None:
        """What is cheap: sizes of shards, hashes of the small vocabulary files."""
        for file, digest in self.manifest.vocabularies.items():
            path = self.data_dir / file
            if not path.is_file():
                raise DataMissing(f"{path} is gone: {self._remedy()}")
            if sha256(path) != digest:
                raise DataCorrupt(
                    f"{path} is not the vocabulary that {self.name} was encoded "
                    f"with: delete it and {self._remedy()}"
                )
        for shard, entry in enumerate(self.entry["shards"]):
            path = self.data_dir / entry["file"]
            if not path.is_file():
                raise DataMissing(f"{path} is gone: {self._remedy()}")
            if path.stat().st_size != entry["bytes"]:
                raise self._corrupt(
                    shard, f"{path.stat().st_size} bytes instead of {entry['bytes']}"
                )

    def _corrupt(self, shard: int, reason: str) -> DataCorrupt:
        path = self.data_dir / self.entry["shards"][shard]["file"]
        first = (reason.splitlines() or ["unreadable"])[0]
        return DataCorrupt(
            f"{path} is damaged ({first}): delete it and {self._remedy()}"
        )

    def _remedy(self) -> str:
        return f"run t2t-datagen --problem={self.name} --data_dir={self.data_dir}"
