"""Sounds, pictures and films, through files and back."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import media_toys as toys
import numpy as np
import pytest

from t2t.media import limits
from t2t.media.audio import encode_audio, encode_wav, read_audio, write_wav
from t2t.media.limits import MediaError
from t2t.media.pictures import encode_png, read_picture, resized, write_png
from t2t.media.video import encode_gif, encode_mp4, read_video, write_video

for _library in ("soundfile", "soxr", "PIL", "av"):
    pytest.importorskip(_library, reason=limits.HINT)


# -- sound ---------------------------------------------------------------------------


def test_a_wav_comes_back_to_its_16_bits(tmp_path: Path) -> None:
    samples = toys.tone()
    path = write_wav(tmp_path / "tone.wav", samples, rate=16_000)
    found, rate = read_audio(path)
    assert rate == 16_000 and found.dtype == np.float32
    np.testing.assert_allclose(found, samples, atol=1 / 65_000)
    assert path.read_bytes() == encode_wav(samples, 16_000)
    assert [p.name for p in tmp_path.iterdir()] == ["tone.wav"]


@pytest.mark.parametrize(
    ("format", "subtype", "error"),
    [
        ("WAV", "PCM_U8", 0.01),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6),
        ("WAV", "FLOAT", 1e-6),
        ("WAV", "DOUBLE", 1e-6),
        ("FLAC", None, 1e-4),
        ("OGG", "VORBIS", 0.05),
        ("OGG", "OPUS", 0.05),
        ("MP3", None, 0.05),
    ],
)
def test_every_format_at_the_wanted_rate(
    format: str, subtype: str | None, error: float
) -> None:
    data = toys.sound_file(format, subtype, rate=48_000)
    found, rate = read_audio(data, rate=16_000)
    assert rate == 16_000 and abs(len(found) - 4_000) <= 1
    # Codecs need some samples at both ends.
    middle = slice(1_000, 3_000)
    np.testing.assert_allclose(found[middle], toys.tone()[middle], atol=error + 2e-3)


def test_resampling_is_soxr_s() -> None:
    import soxr

    samples = toys.tone(1.0, rate=44_100)
    found, _ = read_audio(toys.wav_of(samples, 44_100), rate=16_000)
    whole = soxr.resample(samples, 44_100, 16_000)
    np.testing.assert_allclose(found, whole[: len(found)], atol=1e-3)


def test_channels_are_averaged_and_what_is_beyond_one_is_clipped() -> None:
    stereo = np.array([[1.0, 0.0], [4.0, 2.0], [-3.0, -3.0]], "<f4")
    data = toys.wav(channels=2, bits=32, kind=3, body=stereo.tobytes())
    np.testing.assert_array_equal(read_audio(data)[0], [0.5, 1.0, -1.0])


def test_the_sound_of_a_film() -> None:
    for name, data in toys.films().items():
        if name == "gif":
            with pytest.raises(MediaError, match="gif is given: one of wav"):
                read_audio(data)
            continue
        found, rate = read_audio(data, rate=16_000)
        assert rate == 16_000 and len(found) == pytest.approx(19_200, abs=1_100)
        assert np.abs(found).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "opus", "pcm"])
def test_what_is_written_is_read(format: str) -> None:
    tone = toys.tone()
    data = encode_audio(tone, 16_000, format=format)
    if format == "pcm":
        levels = np.frombuffer(data, "<i2")
        np.testing.assert_allclose(levels / 32768, tone, atol=1e-4)
        return
    heard, _ = read_audio(data, rate=16_000, declared=format)
    # What loses something may also start a little later.
    assert abs(len(heard) - len(tone)) < 2_500
    spectrum = np.abs(np.fft.rfft(heard))
    assert abs(spectrum.argmax() * 16_000 / len(heard) - 440) < 10


def test_a_format_that_nobody_writes() -> None:
    with pytest.raises(MediaError, match="'aac' to write, only wav, pcm, flac"):
        encode_audio(toys.tone(), 16_000, format="aac")


def test_a_film_without_sound_is_no_sound() -> None:
    with pytest.raises(MediaError, match="mp4 holds no sound"):
        read_audio(encode_mp4(toys.film(), 5))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 3), np.float32), r"shape \(2, 3\): \[N\] is expected"),
        (np.array([np.nan, 0.0, np.inf]), "2 samples that are NaN or infinite"),
    ],
)
def test_what_no_wav_can_hold(samples: np.ndarray, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        encode_wav(samples, 16_000)


# -- pictures ------------------------------------------------------------------------


def test_a_png_comes_back_as_it_was(tmp_path: Path) -> None:
    path = write_png(tmp_path / "slope.png", toys.picture())
    np.testing.assert_array_equal(read_picture(path), toys.picture())
    grey = toys.picture()[..., 0]
    found = read_picture(encode_png(grey))
    np.testing.assert_array_equal(found, np.stack([grey] * 3, -1))


def test_every_format_of_picture() -> None:
    for name, data in toys.still_pictures().items():
        found = read_picture(data)
        assert found.shape == (24, 32, 3) and found.dtype == np.uint8
        worst = 0 if name in ("png", "webp lossless") else 40
        apart = np.abs(found.astype(int) - toys.picture()).mean()
        assert apart <= worst, name


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_of_png(mode: str) -> None:
    assert read_picture(toys.picture_file("PNG", mode)).shape == (24, 32, 3)


def test_sixteen_bits_keep_their_upper_eight() -> None:
    from PIL import Image

    greys = np.array([[0, 256, 40_000, 65_535]], np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(greys).save(buffer, "PNG")
    assert read_picture(buffer.getvalue())[0, :, 0].tolist() == [0, 1, 156, 255]


def test_what_is_transparent_is_white() -> None:
    from PIL import Image

    shades = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(shades).save(buffer, "PNG")
    found = read_picture(buffer.getvalue())[0].tolist()
    assert found == [[255, 0, 0], [255, 255, 255], [127, 127, 127]]


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_the_camera_was_held_otherwise(
    format: str, orientation: int, turns: int
) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = read_picture(toys.picture_file(format, quality=95))
    found = read_picture(toys.picture_file(format, quality=95, exif=exif))
    np.testing.assert_array_equal(found, np.rot90(plain, turns))


def test_resizing() -> None:
    wide = np.full((10, 40, 3), 200, np.uint8)
    wide[:, :10] = 100
    padded = resized(wide, (20, 20), fit="pad")
    assert padded[0, 0, 0] == 0 and padded[10, 2, 0] == 100 and padded[10, 18, 0] == 200
    assert (padded.max(axis=(1, 2)) > 0).sum() == 5  # of 20 rows
    cropped = resized(wide, (20, 20), fit="crop")
    assert cropped.min() == 200  # the outer 15 columns are not seen
    assert resized(wide, (20, 20), fit="stretch")[10, 2, 0] == 100
    assert read_picture(encode_png(wide), size=(7, 9)).shape == (7, 9, 3)
    assert resized(np.zeros((1, 5_000, 3), np.uint8), (8, 8)).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("size", "fit", "message"),
    [
        ((8, 8), "squeeze", "no fit 'squeeze', only pad, crop, stretch"),
        ((0, 8), "pad", "a wanted size of 8 x 0 pixels has none"),
        ((9_000, 9_000), "pad", "a wanted size of 9000 x 9000 pixels: at most"),
    ],
)
def test_sizes_that_cannot_be_had(
    size: tuple[int, int], fit: str, message: str
) -> None:
    with pytest.raises(MediaError, match=message):
        read_picture(encode_png(toys.picture()), size=size, fit=fit)


@pytest.mark.parametrize("pixels", [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8)])
def test_pixels_that_no_png_has(pixels: np.ndarray) -> None:
    with pytest.raises(MediaError, match=r"uint8 \[H, W, 3\] is expected"):
        encode_png(pixels)


# -- films ---------------------------------------------------------------------------


def test_every_format_of_film() -> None:
    for name, data in toys.films().items():
        found = read_video(data, rate=16_000)
        assert found.frames.shape == (6, 32, 48, 3), name
        assert found.fps == pytest.approx(5)
        apart = np.abs(found.frames.astype(int) - toys.film()).mean()
        assert apart < 12, name
        if name == "gif":
            assert found.samples is None and found.rate == 0
        else:
            assert found.samples is not None and found.rate == 16_000
            assert len(found.samples) == pytest.approx(19_200, abs=1_100)


@pytest.mark.parametrize(
    ("fps", "shown"), [(5, "012345"), (2.5, "024"), (10, "001122334455"), (0.1, "0")]
)
def test_frames_of_the_wanted_times(fps: float, shown: str) -> None:
    data = encode_mp4(toys.film(), 5)
    found = read_video(data, fps=fps, size=(16, 16), fit="stretch")
    assert found.fps == fps and found.frames.shape[1:] == (16, 16, 3)
    greys = found.frames[:, 14, 14, 0].astype(float) / 20
    assert "".join(str(round(grey)) for grey in greys) == shown


def test_frames_of_a_gif_last_as_long_as_they_say() -> None:
    from PIL import Image

    first, second, third = map(Image.fromarray, toys.film(3))
    buffer = io.BytesIO()
    rest = [second, third]
    times = [100, 400, 100]
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=times)
    found = read_video(buffer.getvalue(), fps=10)
    greys = found.frames[:, -1, -1, 0].astype(float) / 20
    assert [round(grey) for grey in greys] == [0, 1, 1, 1, 1, 2]


def test_a_film_is_written_the_same_every_time(tmp_path: Path) -> None:
    sound = toys.tone(1.2)
    for name in ("film.mp4", "film.gif"):
        heard = {"samples": sound, "rate": 16_000} if name.endswith("mp4") else {}
        path = write_video(tmp_path / name, toys.film(), fps=5, **heard)
        once = path.read_bytes()
        assert once == write_video(path, toys.film(), fps=5, **heard).read_bytes()
        assert len(read_video(path).frames) == 6
    with pytest.raises(MediaError, match=r"'.avi': .mp4 or .gif is expected"):
        write_video(tmp_path / "film.avi", toys.film(), fps=5)
    assert len(list(tmp_path.iterdir())) == 2


def test_odd_sides_get_one_more() -> None:
    found = read_video(encode_mp4(toys.film(height=31, width=33), 5))
    assert found.frames.shape == (6, 32, 34, 3)
    assert read_video(encode_gif(toys.film(height=31), 5)).frames.shape[1] == 31


def test_a_telephone_was_held_upright() -> None:
    data = encode_mp4(toys.film(), 5)
    plain = read_video(data).frames
    # The matrix of the track's header: 90 degrees clockwise.
    at = data.index(b"tkhd") + 4 + 40
    one, turned = 1 << 16, [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    assert struct.unpack_from(">9i", data, at) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    upright = data[:at] + struct.pack(">9i", *turned) + data[at + 36 :]
    found = read_video(upright).frames
    np.testing.assert_array_equal(found, np.rot90(plain, -1, axes=(1, 2)))


@pytest.mark.parametrize("fps", [0, -1, 241, float("nan")])
def test_frame_rates_that_cannot_be_had(fps: float) -> None:
    with pytest.raises(MediaError, match="frames a second: at most 240"):
        read_video(toys.gif(1), fps=fps)


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 4, 4), np.uint8), np.zeros((1, 4, 4, 3))]
)
def test_frames_that_no_film_has(frames: np.ndarray) -> None:
    with pytest.raises(MediaError, match=r"uint8 \[F, H, W, 3\] is expected"):
        encode_mp4(frames, 5)
    with pytest.raises(MediaError, match="show nothing"):
        encode_gif(np.zeros((0, 4, 4, 3), np.uint8), 5)
