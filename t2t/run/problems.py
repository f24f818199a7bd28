"""From a name in a configuration to a problem, its data and its examples.

No TensorFlow here: t2t-datagen and its workers start fast.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from t2t import config as config_lib
from t2t import registry
from t2t.config import Config
from t2t.data.generate import generate
from t2t.data.shards import Shards
from t2t.data.streams import GeneratedExamples
from t2t.run.folder import RunFolder

GENERATED = 1000  # examples that stand for a split of a generated problem


def make_problem(config: Config) -> Any:
    """The problem that the configuration names, with its bindings and suffixes.

    Raises:
      UnknownName, ConfigError: for a name or an argument that does not exist.
    """
    name = config.knob("problem")
    zoo = registry.current()
    declared = zoo.declaration("problem", name).name
    zoo.load("problem", name)
    config.apply(wanted=lambda selector: selector == declared)
    problem = config_lib.build(f"problem.{declared}")()
    problem.name = name
    if declared != name:
        problem.suffixes = registry.split_suffixes(name)[1]
    return problem


def make_examination(name: str, questions: int | None = None) -> Any:
    """A problem that is an examination: it has `examine`.

    Args:
      questions: of each cell; its own number by default.

    Raises:
      UnknownName, ValueError: for what is none.
    """
    config = Config(knobs={"problem": name})
    if questions is not None:
        config.bindings[name, "questions"] = questions
    problem = make_problem(config)
    if not is_examination(name):
        raise ValueError(f"{name} is no examination: try omni_matrix")
    return problem


def is_examination(name: str) -> bool:
    return hasattr(registry.current().load("problem", name), "examine")


def generate_data(
    config: Config,
    *,
    data_dir: str | Path,
    tmp_dir: str | Path | None = None,
    processes: int | None = None,
    seed: int = 0,
) -> None:
    """Writes what is missing of a problem's shards.

    Raises:
      DataUnavailable: in one line, when the data cannot be had here.
    """
    problem = make_problem(config)
    if hasattr(problem, "gather"):
        folder = Path(data_dir)
        problem.gather(folder, Path(tmp_dir) if tmp_dir else folder / "tmp")
        return
    if not problem.stored:
        print(f"{problem.name} makes its data on the fly: no shards", file=sys.stderr)
        return
    temporary = Path(tmp_dir) if tmp_dir else Path(data_dir) / "tmp"
    with _nothing_left(Path(data_dir), temporary):
        manifest = generate(
            problem, Path(data_dir), temporary, processes=processes, seed=seed
        )
    counts = ", ".join(
        f"{split} {record['examples']:,}" for split, record in manifest.splits.items()
    )
    print(f"{problem.name} in {data_dir}: {counts} examples", file=sys.stderr)


@contextlib.contextmanager
def _nothing_left(data_dir: Path, downloads: Path) -> Iterator[None]:
    """A folder that was made for data which then cannot be had goes again.

    It stays when something was downloaded, or when a split was finished.
    """
    made = [p for p in (data_dir, *data_dir.parents) if not p.exists()]
    try:
        yield
    except Exception:
        finished = any(data_dir.glob("*.array_record"))
        downloaded = downloads.is_dir() and any(downloads.iterdir())
        if made and not finished and not downloaded:
            shutil.rmtree(made[-1], ignore_errors=True)
        raise


def ready_data(
    config: Config,
    *,
    output_dir: str | Path,
    data_dir: str | Path | None = None,
    tmp_dir: str | Path | None = None,
    write: bool = False,
) -> str | None:
    """The folder of a run's data.

    The one given, else the one that the run knows, else OUTPUT_DIR/data, made now.

    Args:
      write: write missing data into a folder that was given, too.

    Returns:
      None for a problem that stores none.
    """
    if not make_problem(config).stored:
        return None
    own = Path(output_dir).resolve() / "data"
    data_dir = data_dir or RunFolder(Path(output_dir)).data_dir or own
    if write or Path(data_dir).resolve() == own:
        generate_data(config, data_dir=data_dir, tmp_dir=tmp_dir)
    return str(data_dir)


def split_examples(
    problem: Any, split: str, *, data_dir: str | Path | None, limit: int = 0
) -> list[dict[str, np.ndarray]]:
    """The first encoded examples of a split, suffixes applied; limit 0 for all."""
    if problem.generated:
        count = limit or GENERATED
        stream = GeneratedExamples(problem, split, seed=0, limit=count)
        return [stream.next()[1] for _ in range(count)]
    if data_dir is None:
        raise ValueError(f"{problem.name} is a stored problem: give --data_dir")
    base, _ = registry.split_suffixes(problem.name)
    problem.load_vocabularies(Path(data_dir))
    shards = Shards(data_dir, base, split=split, features=problem.features)
    count = min(limit or len(shards), len(shards))
    return [problem.swap(example) for example in shards.read(list(range(count)))]


def decoded_examples(
    problem: Any, split: str, *, data_dir: str | Path | None, limit: int = 0
) -> Iterator[dict[str, Any]]:
    """The same as text and label names; other features as arrays."""
    features = problem.offered()
    for example in split_examples(problem, split, data_dir=data_dir, limit=limit):
        yield {
            name: value
            if features[name].vocabulary is None
            else features[name].vocabulary.decode(np.atleast_1d(value).tolist())
            for name, value in example.items()
        }
