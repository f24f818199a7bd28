"""Omni's smallest set learns conversations, by tokenizers that have learned nothing.

What it must beat is said by the data: whoever knows how often each piece and each code
comes, and nothing else, has the entropy of those frequencies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from toy_omni import tokenizer_files

from t2t import config as config_lib
from t2t import experiment
from t2t.data.shards import Shards
from t2t.media.layout import ALL
from t2t.run.log import read_records
from t2t.run.problems import generate_data, make_problem

NANO = {
    "conversations": 900,
    "train_steps": 200,
    "learning_rate_warmup_steps": 50,
    "log_frequency": 40,
}


def test_omni_nano_learns_what_is_said_and_how_it_sounds(tmp_path: Path) -> None:
    data = tmp_path / "data"
    tokenizer_files(data)
    config = config_lib.load(problem="omni_tasks", hparams_set="omni_nano")
    for name, value in NANO.items():
        config.set_knob(name, value)
    generate_data(config, data_dir=data, tmp_dir=tmp_path)
    experiment.train(config, output_dir=tmp_path / "run", data_dir=str(data))
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    dev = [record for record in records if record["split"] == "dev"][-1]
    text, audio = entropies(make_problem(config), data)
    assert dev["cross_entropy"] < 0.8 * text
    assert dev["audio_cross_entropy"] < audio


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
