"""The run folder: all that is needed to go on, to evaluate, to decode.

config.gin      reruns the run: --gin_file=RUN/config.gin
run.json        version, plug-in folders, data folder
vocabularies/   the files that the problem's vocabularies load
checkpoints/    see t2t.run.checkpoints
events/         TensorBoard
metrics.jsonl   the same numbers, a line each time
histograms.json lengths of the texts that it learns from, use of its vocabularies
insides.json    what experts and pondering did, where a model has them
pictures/       what was drawn at each evaluation, of a run over pixels
videos/         an episode at each evaluation, where --hparams=eval_video= asks for it
report.html     curves, decodes, attention, configuration
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from t2t import config as config_lib
from t2t import registry
from t2t.config import Config

# Knobs that a run may change when it goes on; everything else makes another run.
FREE = {
    "debug_nans",
    "decode_examples",
    "eval_steps",
    "eval_video",
    "keep_checkpoint_max",
    "local_eval_frequency",
    "log_frequency",
    "save_frequency",
    "train_steps",
}


class RunError(ValueError):
    """A run folder that is missing, or that holds another run."""


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.gin"

    @property
    def description(self) -> Path:
        return self.path / "run.json"

    @property
    def vocabularies(self) -> Path:
        return self.path / "vocabularies"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def events(self) -> Path:
        return self.path / "events"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def videos(self) -> Path:
        return self.path / "videos"

    @property
    def histograms(self) -> Path:
        return self.path / "histograms.json"

    @property
    def insides(self) -> Path:
        return self.path / "insides.json"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def data_dir(self) -> str | None:
        """The shards that it learns from; its own `data` once it has been moved."""
        if not self.description.is_file():
            return None
        known, own = self.describe().get("data_dir"), self.path / "data"
        return str(own) if own.is_dir() and not Path(known or own).is_dir() else known

    def describe(self) -> dict[str, Any]:
        """What `run.json` says."""
        return json.loads(self.description.read_text(encoding="utf-8"))


def write_text(path: Path, text: str) -> None:
    """Writes to a temporary name and renames: readers see all of it or nothing."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def create(folder: str | Path, config: Config, *, data_dir: str | None) -> RunFolder:
    """Makes the folder of a run, or opens it again to go on.

    Raises:
      RunError: when the folder holds a run of another configuration, naming the
        first difference.
    """
    run = RunFolder(Path(folder))
    refuse_another(folder, config)
    run.path.mkdir(parents=True, exist_ok=True)
    run.vocabularies.mkdir(exist_ok=True)
    usr_dirs = [str(path) for path in registry.current().usr_dirs]
    description = {
        "version": 1,
        "usr_dirs": usr_dirs,
        "data_dir": str(Path(data_dir).resolve()) if data_dir else None,
    }
    config.comment = "This file reruns the run: t2t-trainer --gin_file=config.gin"
    write_text(run.config, config.text())
    write_text(run.description, json.dumps(description, indent=2) + "\n")
    return run


def refuse_another(folder: str | Path, after: Config) -> None:
    """Refuses to go on with a run under another configuration.

    Raises:
      RunError: naming the first difference.
    """
    run = RunFolder(Path(folder))
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"--output_dir={folder} is a file: name a folder for the run")
    if not run.config.exists():
        return
    before = Config()
    before.add_file(run.config)
    pairs = [(before.knobs, after.knobs), (before.bindings, after.bindings)]
    for old, new in pairs:
        for key in [*old, *(k for k in new if k not in old)]:
            name = key if isinstance(key, str) else ".".join(key)
            if name in FREE or repr(old.get(key)) == repr(new.get(key)):
                continue
            raise RunError(
                f"{folder} holds a run with {name} = {old.get(key)!r}, not "
                f"{new.get(key)!r}: give another --output_dir to start a new one"
            )


def open_run(folder: str | Path) -> tuple[RunFolder, Config]:
    """An existing run, its plug-ins registered, its names checked.

    Raises:
      RunError: when there is no run, or a name in it has since vanished.
    """
    run = RunFolder(Path(folder))
    if not run.config.is_file():
        here = (
            "there is no such folder"
            if not run.path.is_dir()
            else "no config.gin in it"
        )
        raise RunError(f"{folder} is no run of t2t-trainer: {here}")
    config = Config()
    config.add_file(run.config)
    zoo = registry.current()
    for usr_dir in run.describe().get("usr_dirs", []):
        if Path(usr_dir).is_dir():
            zoo.add_usr_dir(usr_dir)
    for kind in ("problem", "model"):
        name = config.knob(kind)
        try:
            zoo.declaration(kind, name)
        except registry.UnknownName as error:
            raise RunError(
                f"{run.config} uses a {kind} that has vanished: {error}"
            ) from error
    config_lib.Config.check(config)
    return run, config
