"""What goes on inside of a model, kept for a run's report: how long each token was
pondered on, what each expert did, what pictures it draws.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from t2t.decode.decoder import DecodeError, Decoder
from t2t.decode.options import DecodeOptions
from t2t.run.folder import RunFolder, write_text
from t2t.text import Pixels

SIDES = {"encoder": "inputs", "decoder": "targets"}


def save(
    run: RunFolder,
    decoder: Decoder | None,
    *,
    step: int,
    shares: Mapping[str, list[float]],
    pair: tuple[str, str] | None = None,
    drawn: int = 0,
) -> None:
    """Writes insides.json, and pictures/STEP.png where pictures are drawn.

    Args:
      decoder: None where nothing is decoded.
      shares: of each expert, by layer; see `evaluate.Losses`.
      pair: an input and its output, to be looked at.
      drawn: how many pictures, of a run over pixels.
    """
    record: dict[str, Any] = {"step": step, "experts": shares, "pondering": []}
    if pair is not None and decoder is not None and decoder.translates:
        record["pondering"] = pondering(decoder, *pair)
    if record["experts"] or record["pondering"]:
        write_text(run.insides, json.dumps(record, ensure_ascii=False))
    if drawn and decoder is not None and draws(decoder):
        run.pictures.mkdir(exist_ok=True)
        pictures = draw(decoder, drawn, DecodeOptions(sampling=True, seed=step))
        write_sheet(run.pictures / f"{step:08d}.png", pictures)


def pondering(decoder: Decoder, text: str, target: str) -> list[dict[str, Any]]:
    """[{'side', 'pieces', 'steps'}]: the steps that each piece of a pair took; [] of a
    model without adaptive computation time."""
    batch = decoder.pair_batch([(text, target)], rows=1)
    inner = decoder.inner(batch)
    return [
        {
            "side": side,
            "pieces": decoder.pieces(batch, name),
            "steps": np.array(inner[f"{side}/steps"])[0][
                batch[f"{name}_segments"][0] > 0
            ]
            .astype(int)
            .tolist(),
        }
        for side, name in SIDES.items()
        if f"{side}/steps" in inner
    ]


def draws(decoder: Decoder) -> bool:
    """Whether its outputs are pictures."""
    targets = decoder.features.get("targets")
    return targets is not None and targets.kind == "pixels"


def draw(decoder: Decoder, count: int, options: DecodeOptions) -> np.ndarray:
    """So many pictures, uint8 [N, H, W, C], from nothing.

    Raises:
      DecodeError: when the run is not over pixels.
    """
    vocabulary = draws(decoder) and decoder.features["targets"].vocabulary
    if not isinstance(vocabulary, Pixels):
        raise DecodeError("this run draws no pictures: its outputs are no pixels")
    height, width, channels = vocabulary.shape
    options = DecodeOptions(
        sampling=True,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        seed=options.seed,
        num_samples=count,
        extra_length=height * width * channels + 1,
        batch_size=1,
    )
    nothing = vocabulary.text(np.zeros((0, width, channels), np.uint8))
    (outputs,) = decoder.outputs([nothing], options)
    pictures = np.zeros((count, *vocabulary.shape), np.uint8)
    for picture, output in zip(pictures, outputs, strict=True):
        # One that ended early is black below; one that never ended is cut.
        rows = vocabulary.picture(output.text, cut=True)
        picture[: len(rows)] = rows
    return pictures


def write_sheet(path: Path, pictures: np.ndarray) -> None:
    """Pictures [N, H, W, C] side by side, as a PNG that appears when it is whole."""
    count, height, width, channels = pictures.shape
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    sheet = np.full(
        (down * (height + 1), across * (width + 1), channels), 255, np.uint8
    )
    for i, picture in enumerate(pictures):
        top, left = (i // across) * (height + 1), (i % across) * (width + 1)
        sheet[top : top + height, left : left + width] = picture
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(tf.io.encode_png(sheet[:-1, :-1]).numpy())
    temporary.replace(path)
