"""All of omni from nothing: two tokenizers, conversations, one network, in a minute.

What it must beat is said by the data: whoever knows how often each piece and each code
comes, and nothing else, has the entropy of those frequencies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from t2t import config as config_lib
from t2t import experiment
from t2t.data.shards import Shards
from t2t.export.tokenizer import export_tokenizer
from t2t.media.layout import ALL
from t2t.run.log import read_records
from t2t.run.problems import generate_data, make_problem

CLIPS = "speech_clips.clips=150"
CODEC = {"hidden_size": 32, "wave_size": 32, "train_steps": 30, "examples_per_batch": 8}
PICTURES = {"train_steps": 40, "examples_per_batch": 16}
NANO = {
    "conversations": 600,
    "train_steps": 120,
    "learning_rate_warmup_steps": 20,
    "tokens_per_batch": 1024,
    "log_frequency": 40,
}


def test_omni_nano_learns_what_is_said_and_how_it_sounds(tmp_path: Path) -> None:
    data = tmp_path / "data"
    codec, pictures = tmp_path / "codec", tmp_path / "pictures"
    trained("speech_clips", "speech_codec_tiny", codec, CODEC, params=[CLIPS])
    trained("omni_pictures", "image_tokenizer_tiny", pictures, PICTURES)
    for run in (codec, pictures):
        export_tokenizer(run, data)
    config = trained("omni_tasks", "omni_nano", tmp_path / "run", NANO, data=data)
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    dev = [record for record in records if record["split"] == "dev"][-1]
    text, audio = entropies(make_problem(config), data)
    assert dev["cross_entropy"] < 0.8 * text
    assert dev["audio_cross_entropy"] < 0.9 * audio


def trained(
    problem: str,
    hparams_set: str,
    run: Path,
    knobs: dict[str, Any],
    *,
    data: Path | None = None,
    params: list[str] | None = None,
) -> config_lib.Config:
    config = config_lib.load(
        problem=problem, hparams_set=hparams_set, gin_params=params or []
    )
    for name, value in knobs.items():
        config.set_knob(name, value)
    data = data or run / "data"
    generate_data(config, data_dir=data, tmp_dir=run)
    experiment.train(config, output_dir=run, data_dir=str(data))
    return config


def entropies(problem: Any, data: Path) -> tuple[float, float]:
    """Nats a piece of the main stream, and a code of the audio streams."""
    problem.load_vocabularies(data)
    shards = Shards(data, "omni_tasks", split="train", features=problem.features)
    rows = [shards[i] for i in range(len(shards))]
    told = [row["learned"] == ALL for row in rows]
    pieces, codes = (
        np.concatenate([row[name][t] for row, t in zip(rows, told, strict=True)])
        for name in ("targets", "audio")
    )
    books = [entropy(book[book > 0]) for book in codes.T]
    return entropy(pieces), float(np.mean(books))


def entropy(values: np.ndarray) -> float:
    _, counts = np.unique(values, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())
