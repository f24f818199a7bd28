"""Tokenizers: bit by bit as whole, codes and vectors, frozen and thawed."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Sequence
from pathlib import Path

import keras
import kit
import numpy as np
import pytest
import tensorflow as tf

from t2t.features import Feature, image
from t2t.layers import spectrum
from t2t.layers.quantise import FiniteScalar, Residual
from t2t.media import tokenizers
from t2t.media.messages import Sound
from t2t.media.tokenizers import PictureTokenizer, SoundTokenizer
from t2t.models.image_tokenizer import ImageTokenizer
from t2t.models.speech_codec import SpeechCodec
from t2t.problems.omni import pictures
from t2t.problems.omni.judges import things
from t2t.problems.omni_pictures import KINDS, OmniPictures
from t2t.problems.speech import LETTERS, letters

FRAMES = 12
AUDIO = {"audio": Feature("audio", (FRAMES * 640,), "int16", "N")}


def _codec(**more: object) -> SpeechCodec:
    keras.utils.set_random_seed(0)
    small = {"hidden_size": 32, "wave_size": 16, "encoder_blocks": 2}
    codec = SpeechCodec(AUDIO, **{**small, **more})  # type: ignore[arg-type]
    codec({"audio": np.zeros((1, FRAMES * 640), np.int16)})
    kit.randomise(codec, scale=0.1)
    return codec


def _sound(rows: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.3 * rng.normal(size=(rows, FRAMES * 640))).astype(np.float32)


@pytest.mark.parametrize("quantiser", ["finite_scalar", "residual"])
@pytest.mark.parametrize("frame_rate", [25.0, 12.5])
def test_as_it_comes_is_as_a_whole(quantiser: str, frame_rate: float) -> None:
    codec = _codec(quantiser=quantiser, frame_rate=frame_rate)
    sound, size = _sound(), codec.frame
    whole, inner = codec({"audio": sound * 32768.0})
    codes, _ = codec.encode(sound)
    np.testing.assert_array_equal(codes, inner["codes"])
    past, parts = None, []
    for start in range(0, sound.shape[1], size):
        some, past = codec.encode(sound[:, start : start + size], past)
        parts.append(kit.array(some))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), codes)

    past, heard = None, []
    for t in range(codes.shape[1]):
        some, past = codec.decode(codes[:, t : t + 1], past)
        heard.append(kit.array(some))
    assert past is not None
    heard.append(kit.array(past["tail"]))
    joined = np.concatenate(heard, axis=1)[:, 480:]
    np.testing.assert_allclose(joined, whole, atol=1e-4)


def test_a_frame_is_whole_spectra() -> None:
    with pytest.raises(ValueError, match="frame_rate=30: it must divide the 100"):
        _codec(frame_rate=30.0)


def test_a_codec_looks_back_only() -> None:
    codec, sound = _codec(), _sound(1)
    later = sound.copy()
    later[:, 6 * 640 :] *= -0.5
    one, two = (kit.array(codec.encode(s)[0]) for s in (sound, later))
    np.testing.assert_array_equal(one[:, :6], two[:, :6])
    assert (one[:, 6:] != two[:, 6:]).any()


def test_spectra_are_inverted() -> None:
    sound = np.pad(_sound(), ((0, 0), (480, 480)))
    parts = spectrum.spectrum(spectrum.frames(sound, 160))
    again = kit.array(spectrum.overlap_add(parts, hop=160))
    np.testing.assert_allclose(again[:, 480:-480], sound[:, 480:-480], atol=1e-5)


def test_mel_bands_cover_all_between() -> None:
    matrix = spectrum.mel_matrix(40, bins=321, rate=16_000)
    assert matrix.shape == (321, 40) and (matrix >= 0).all()
    np.testing.assert_allclose(matrix[10:300].sum(axis=1), 1.0, atol=1e-5)


def test_finite_scalars_use_every_code_and_come_back() -> None:
    quantiser = FiniteScalar((8, 6, 5), books=2)
    x = np.random.default_rng(0).normal(size=(20_000, 6)).astype("float32") * 2
    rounded, codes, _ = quantiser(x)
    codes = kit.array(codes)
    assert codes.min() == 0 and codes.max() == 239
    assert [len(np.unique(codes[:, k])) for k in range(2)] == [240, 240]
    np.testing.assert_allclose(quantiser.vectors(codes), rounded, atol=1e-6)
    assert np.abs(kit.array(rounded)).max() <= 1.0


def test_residual_codes_come_back() -> None:
    quantiser = Residual(6, books=3, book_size=16)
    x = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
    passed, codes, loss = quantiser(x)
    np.testing.assert_allclose(quantiser.vectors(kit.array(codes)), passed, atol=1e-5)
    assert float(loss) > 0
    chosen = kit.array(codes)
    left, errors = x, []
    for k, table in enumerate(quantiser.tables):
        left = left - kit.array(table)[chosen[:, k]]
        errors.append(float(np.square(left).mean()))
    assert errors[0] > errors[1] > errors[2]


def test_a_frozen_tokenizer_is_the_same(tmp_path: Path) -> None:
    codec = _codec()
    (tmp_path / "speech_codec.npz").write_bytes(tokenizers.freeze(codec, AUDIO))
    loaded = SoundTokenizer()
    loaded.load(tmp_path)
    sounds = [_sound(1)[0, : 640 * n + 5] for n in (3, 1, 9)]
    found = loaded.encode(sounds)
    assert [len(c) for c in found] == [4, 2, 10]
    padded = np.pad(sounds[0], (0, 635))[None]
    np.testing.assert_array_equal(found[0], kit.array(codec.encode(padded)[0])[0])
    assert loaded.decode(found[2]).shape == (6400,)
    again = pickle.loads(pickle.dumps(loaded))  # as a worker gets it
    np.testing.assert_array_equal(again.encode(sounds)[1], found[1])


def test_pictures_come_back_in_their_size(tmp_path: Path) -> None:
    features = {"image": image(16, 16, 3)}
    keras.utils.set_random_seed(0)
    model = ImageTokenizer(features, channels=(4, 8))
    model({"image": np.zeros((1, 16, 16, 3), np.uint8)})
    (tmp_path / "image_tokenizer.npz").write_bytes(tokenizers.freeze(model, features))
    loaded = PictureTokenizer()
    loaded.load(tmp_path)
    seen = np.random.default_rng(0).integers(0, 256, (3, 32, 16, 3)).astype(np.uint8)
    codes = loaded.encode(list(seen))
    assert [c.shape for c in codes] == [(8, 4)] * 3
    assert loaded.decode(codes[0]).shape == (32, 16, 3)
    with pytest.raises(ValueError, match="must be multiples of 4"):
        ImageTokenizer({"image": image(18, 16, 3)}, channels=(4, 8))


def test_letters_share_the_time_of_their_word() -> None:
    sound = Sound(
        np.zeros(16_010, np.float32),
        ((1600, "Für"), (4000, "2"), (8000, "a"), (9600, "")),
    )
    said = letters(sound)
    assert len(said) == 101 and not said[:10].any() and not said[60:].any()
    fur = [1 + LETTERS.index(c) for c in "fur"]
    assert said[10:25].tolist() == [n for n in fur for _ in range(5)]
    assert not said[25:50].any() and (said[50:60] == 1).all()


def test_kinds_stand_where_things_are() -> None:
    example = OmniPictures().example("train", np.random.default_rng(1))
    picture, kinds = example["image"], example["kinds"]
    assert kinds.shape == picture.shape[:2] == (24, 24)

    def nearest(inks: Sequence[np.ndarray]) -> list[str]:
        def apart(name: str, ink: np.ndarray) -> int:
            return int(np.abs(pictures.shape(name).astype(int) - ink).sum())

        return [
            min(pictures.SHAPES, key=functools.partial(apart, ink=ink)) for ink in inks
        ]

    names = things(picture, nearest).split(" and ")
    found = [KINDS[kinds[r, c] - 1] for r in (6, 18) for c in (6, 18)]
    assert found == [name.split()[-1] for name in names]


@pytest.mark.parametrize("name", ["kinds", "letters"])
def test_codes_have_to_tell_what_they_stand_for(name: str) -> None:
    """Gradients of the head reach what makes the codes; a frozen tokenizer has both."""
    rng = np.random.default_rng(0)
    if name == "kinds":
        features = {
            "image": image(16, 16, 3),
            name: Feature("label", (16, 16), "uint8", "HW", classes=5),
        }
        model = ImageTokenizer(features, channels=(4, 8), kind_weight=1.0)
    else:
        features = {**AUDIO, name: Feature("label", (48,), "uint8", "T", classes=5)}
        model = SpeechCodec(
            features, hidden_size=32, wave_size=16, encoder_blocks=1, letter_weight=1.0
        )
    batch = {
        n: rng.integers(0, f.classes or 200, (2, *(s or 1 for s in f.shape))).astype(
            f.dtype
        )
        for n, f in features.items()
    }
    batch["weights"] = np.ones(2, np.float32)
    right, of = model.losses(batch, training=False)[1]["metrics"][
        f"{name[:-1]}_accuracy"
    ]
    assert 0.0 <= float(right) <= float(of) == 2.0
    with tf.GradientTape() as tape:
        _, inner = model(batch)
        told = tf.reduce_sum(inner[f"{name[:-1]}_logits"] ** 2)
    gradient = tape.gradient(told, model.squeeze.kernel)
    assert np.abs(gradient).max() > 0
    thawed = tokenizers.thaw(tokenizers.freeze(model, features))
    assert len(thawed.variables) == len(model.variables)


def test_what_is_missing_is_told_with_the_commands(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="speech_clips.*t2t-exporter"):
        SoundTokenizer().load(tmp_path)
    np.savez(tmp_path / "speech_codec.npz", x=np.zeros(3))
    for content in (b"", (tmp_path / "speech_codec.npz").read_bytes()):
        (tmp_path / "speech_codec.npz").write_bytes(content)
        with pytest.raises(ValueError, match="codec.npz: the file is no tokenizer"):
            SoundTokenizer().load(tmp_path)
