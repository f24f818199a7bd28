"""What a card says, measured: a dictionary that is written as it is as card.json.

The same run, data and number of questions give the same dictionary, but for `timing`.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from t2t.card.facts import LATENCY, LIMITATIONS, PREPAREDNESS, PUBLISHED, overall
from t2t.data.shards import sha256
from t2t.decode.chat import Chat
from t2t.decode.mitigations import Mitigations, Terms
from t2t.decode.screening import ScreenedChat
from t2t.run import checkpoints
from t2t.run.folder import RunFolder, open_run
from t2t.run.log import read_records
from t2t.run.problems import make_examination

SCHEMA = 3  # 2: a row has `verdicts`, one of each judge; 3: `memory`
Say = Callable[[str], None]


def gather(
    chat: Chat,
    run: str | Path,
    *,
    before: str | Path | None,
    data_dir: Path,
    questions: int,
    say: Say,
) -> dict[str, Any]:
    """The whole card.

    Args:
      chat: of the run.
      before: the run before its safety fine-tuning, to compare with.
      data_dir: holds the data's manifests and the judge of speech.
      questions: of each cell of an examination.
      say: is told what is being measured.

    Raises:
      RunError, CheckpointError, DecodeError, FileNotFoundError: in one line each.
    """
    begin = time.monotonic()
    folder, config = open_run(run)
    earlier = Chat.from_run(before) if before else None

    def rows(name: str, of: Any) -> list[dict[str, Any]]:
        return list(_examined(of, name, data_dir, questions, say))

    safety = rows("omni_safety", chat)
    if earlier is not None:
        for row, old in zip(safety, rows("omni_safety", earlier), strict=True):
            row["before"] = old["value"]
    behind = ScreenedChat(chat, _moderation())
    for row, other in zip(safety, rows("omni_safety", behind), strict=True):
        row["moderated"] = other["value"]
    return {
        "schema": SCHEMA,
        "model": _model(folder, config),
        "data": _data(data_dir),
        "matrix": rows("omni_matrix", chat),
        "safety": safety,
        "stopped": dict(sorted(behind.stopped.items())),
        "voice_guard": _left(folder, "guard.json"),
        "watermark": _left(folder, "watermark.json"),
        "listening": rows("omni_listening", chat),
        "memory": rows("omni_memory", chat),
        "preparedness": _preparedness(),
        "limitations": list(LIMITATIONS),
        "timing": _timing(folder, time.monotonic() - begin),
    }


def _examined(
    chat: Any, name: str, data_dir: Path, questions: int, say: Say
) -> Iterator[dict[str, Any]]:
    """The scores of an examination, each beside the published figure."""
    problem = make_examination(name, questions)
    for score in problem.examine(chat, data_dir=data_dir, tmp_dir=data_dir / "tmp"):
        say(problem.row(score))
        row = {"name": score.cell.name, **problem.record(score)}
        published = PUBLISHED.get(score.cell.name)
        row["published"] = dataclasses.asdict(published) if published else None
        yield {key: value for key, value in row.items() if key != "cell"} | {
            "score": score.cell.score,
            "goal": score.cell.goal,
        }


def _moderation() -> Mitigations:
    problem = make_examination("omni_safety")
    terms = Terms(problem.TERMS)
    return Mitigations(asked=terms, written=terms, refusals=problem.REFUSALS)


def _model(folder: RunFolder, config: Any) -> dict[str, Any]:
    path = checkpoints.resolve(folder.path)
    last = [r for r in read_records(folder.metrics) if r["split"] == "train"][-1]
    return {
        "problem": config.knob("problem"),
        "model": config.knob("model"),
        "checkpoint": {"name": path.name, "sha256": sha256(path)},
        "steps": last["step"],
        "tokenizers": {
            p.name: sha256(p) for p in sorted(folder.vocabularies.iterdir())
        },
        "training": {
            "seconds": last["seconds"],
            "memory_gb": last["memory_gb"],
            "cpu_seconds": last.get("cpu_seconds"),
        },
    }


def _data(data_dir: Path) -> list[dict[str, Any]]:
    """What the data's manifests say."""
    found = []
    for path in sorted(data_dir.glob("*.manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found.append(
            {
                "problem": manifest["problem"],
                "version": manifest["version"],
                "seed": manifest["seed"],
                "examples": {
                    split: entry["examples"]
                    for split, entry in manifest["splits"].items()
                },
                "manifest_sha256": sha256(path),
            }
        )
    return found


def _preparedness() -> dict[str, Any]:
    rows = [dataclasses.asdict(category) for category in PREPAREDNESS]
    return {
        "categories": rows,
        "overall": overall([row["ours"] for row in rows]),
        "rule": "the most of all categories; deployed only at medium or below",
    }


def _left(folder: RunFolder, name: str) -> Any:
    """What a bench left in the run's folder: scripts/bench_voice and its like."""
    path = folder.path / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _timing(folder: RunFolder, seconds: float) -> dict[str, Any]:
    """How long the card took, and how soon a voice is answered."""
    return {
        "card_seconds": round(seconds, 1),
        "voice": _left(folder, "voice.json"),
        "published": dataclasses.asdict(LATENCY),
    }
