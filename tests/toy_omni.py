"""Tiny omnis that have learned nothing, in memory and as a run, tokenizers and all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import kit
import numpy as np

from t2t import config as config_lib
from t2t.features import image
from t2t.layers.blocks import BlockShape
from t2t.media import tokenizers
from t2t.media.messages import Coded, Message, Text
from t2t.models.image_tokenizer import ImageTokenizer
from t2t.models.omni import Omni
from t2t.models.speech_codec import SpeechCodec
from t2t.problems.omni_tasks import OmniTasks, OmniTasksContinuous
from t2t.problems.speech import SpeechClips
from t2t.run import build, checkpoints
from t2t.run.build import blank_batch
from t2t.run.folder import create
from t2t.run.problems import make_problem

KNOBS: dict[str, Any] = {
    "hidden_size": 16, "filter_size": 32, "num_heads": 2, "num_layers": 1,
    "max_length": 256,
}  # fmt: skip


def toy_problem(head: str, *, continuous: bool = False) -> OmniTasks:
    made = OmniTasksContinuous if continuous else OmniTasks
    problem = made(audio_head=head)
    problem.name = "omni_tasks"
    vocabulary: Any = problem.vocabularies["omni"]
    vocabulary.wanted_size = 330
    vocabulary.build(problem.text_for_vocabulary(vocabulary, problem.fake("train")))
    return problem


def toy_model(problem: OmniTasks, head: str) -> Omni:
    keras.utils.set_random_seed(0)
    shape = BlockShape(
        hidden_size=16, filter_size=32, num_heads=2, norm="rms", qk_norm=True
    )
    model = Omni(
        problem.offered(), blocks=shape, num_layers=2, audio_head=head, depth_size=16
    )
    model(blank_batch(problem.offered()))
    kit.randomise(model, scale=0.2)
    return model


def asked(count: int) -> list[tuple[Message, ...]]:
    rng = np.random.default_rng(3)
    sound = Coded("sound", rng.integers(240, size=(9, 4)))
    picture = Coded("picture", rng.integers(1000, size=(4, 4)))
    parts = [(Text("reverse one two"),), (sound,), (Text("what"), picture, sound)]
    return [(Message("user", parts[i % 3]),) for i in range(count)]


def tokenizer_files(folder: Path) -> None:
    """Small tokenizers of random weights, as `t2t-exporter` writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    heard = SpeechClips().offered()
    codec = SpeechCodec(
        heard, hidden_size=8, wave_size=8, encoder_blocks=1, decoder_blocks=1,
        wave_blocks=1,
    )  # fmt: skip
    codec({name: np.zeros((1, *_sizes(f.shape)), f.dtype) for name, f in heard.items()})
    (folder / "speech_codec.npz").write_bytes(tokenizers.freeze(codec, heard))
    seen = {"image": image(16, 16, 3)}
    pictures = ImageTokenizer(seen, channels=(4, 8))
    pictures({"image": np.zeros((1, 16, 16, 3), np.uint8)})
    (folder / "image_tokenizer.npz").write_bytes(tokenizers.freeze(pictures, seen))


def _sizes(shape: tuple[int | None, ...]) -> list[int]:
    return [size or 6400 for size in shape]


def omni_run(folder: Path) -> Path:
    """A run that `t2t.load` gives a `Chat` for; what it answers is noise."""
    config = config_lib.load(hparams_set="omni_tiny")
    for name, value in KNOBS.items():
        config.set_knob(name, value)
    run = create(folder, config, data_dir=None)
    tokenizer_files(run.vocabularies)
    problem = make_problem(config)
    for tokenizer in (problem.sounds, problem.pictures):
        tokenizer.load(run.vocabularies)
    vocabulary = problem.vocabularies["omni"]
    vocabulary.wanted_size = 330
    texts = problem.text_for_vocabulary(vocabulary, problem.fake("train"))
    vocabulary.build(texts)
    problem.save_vocabularies(run.vocabularies)
    build.apply(config, strict=False)
    model = build.make_model(config, problem.offered())
    kit.randomise(model, scale=0.2)
    named = {f"model/{v.path}": v for v in model.variables}
    checkpoints.Checkpoints(run.checkpoints).save(1, named, {}, block=True)
    return folder
