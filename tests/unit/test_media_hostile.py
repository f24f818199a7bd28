"""Files made to hurt: each is refused in one line, in time, within its memory."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import media_toys as toys
import numpy as np
import pytest

from t2t.media import headers, isolation, limits
from t2t.media.audio import read_audio
from t2t.media.limits import MEGA, Limits, MediaError, MediaUnavailable
from t2t.media.pictures import encode_png, read_picture
from t2t.media.video import encode_gif, encode_mp4, read_video

for _library in ("soundfile", "soxr", "PIL", "av"):
    pytest.importorskip(_library, reason=limits.HINT)

READERS = {"sound": read_audio, "picture": read_picture, "film": read_video}


def peak() -> int:
    """Most bytes that any waiting decoder ever held."""
    found = [0]
    for worker in list(isolation._workers._idle.queue):
        status = Path(f"/proc/{worker._process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        found += [int(n.split()[1]) * 1024 for n in lines if n.startswith("VmHWM")]
    return max(found)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    yield
    assert peak() < 512 * MEGA


# -- sound ---------------------------------------------------------------------------

FLOATS = np.ones(500, "<f4")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (toys.wav(channels=0), "0 channels: 1 to 8"),
        (toys.wav(channels=64), "64 channels: 1 to 8"),
        (toys.wav(rate=0), "a sound of 0 samples a second: 1,000 to 192,000"),
        (toys.wav(rate=4_000_000_000), "4,000,000,000 samples a second"),
        (toys.wav(promised=2**32 - 16), "promises 4,294,967,280 bytes .* has 2,000"),
        (toys.wav(promised=2**32 - 1), "promises 4,294,967,295 bytes .* has 2,000"),
        (toys.wav(body=b""), "wav holds no sound"),
        (toys.wav(bits=0), "cannot be decoded"),
        (toys.wav(kind=77), "cannot be decoded"),
        (toys.wav(rate=1_000, bits=8, body=bytes(300_001)), "at most 300 s"),
        (toys.wav(kind=3, bits=32, body=(FLOATS * np.nan).tobytes()), "500 .* NaN"),
        (toys.wav(kind=3, bits=32, body=(FLOATS * np.inf).tobytes()), "500 .* NaN"),
        (toys.wav()[:43], "without samples, or cut short"),
        (toys.wav()[:30], "16 are expected"),
        (toys.wav()[:12], "without a format"),
        (toys.wav()[:100], "promises 2,000 bytes of samples and has 56"),
    ],
)
def test_wav(data: bytes, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        read_audio(data)


def test_flac_cut_short_or_with_a_wrong_header() -> None:
    data = toys.sound_file("FLAC")
    with pytest.raises(MediaError, match="cut short in its header"):
        read_audio(data[:40])
    with pytest.raises(MediaError, match="a FLAC promises 4,000|cannot be decoded"):
        read_audio(data[: len(data) // 2])
    (packed,) = struct.unpack_from(">Q", data, 18)
    longer = data[:18] + struct.pack(">Q", packed | (1 << 36) - 1) + data[26:]
    with pytest.raises(MediaError, match="at most 300 s"):
        read_audio(longer)


def test_silence_that_is_small_in_a_file_is_counted_as_it_is_decoded() -> None:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(40 * 48_000), 48_000, format="OGG")
    with pytest.raises(MediaError, match="at most 30 s are read"):
        read_audio(buffer.getvalue(), limits=Limits(seconds=30))
    with pytest.raises(MediaError, match="at most 100,000 are kept"):
        read_audio(buffer.getvalue(), limits=Limits(samples=100_000))


@pytest.mark.parametrize("rate", [0, -1, 999, 192_001])
def test_rates_that_nobody_wants(rate: int) -> None:
    with pytest.raises(MediaError, match="1,000 to 192,000 are read"):
        read_audio(toys.wav(), rate=rate)


# -- pictures ------------------------------------------------------------------------

HUGE = zlib.compress(bytes(200 * MEGA), 9)  # 200 KB


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (toys.png(100_000, 100_000, pixels=b"x"), "100000 x 100000 .* 16,777,216"),
        (toys.png(0, 5, pixels=b"x"), "5 x 0 pixels has none"),
        (encode_png(toys.picture())[:-20], "a PNG is cut short"),
        (encode_png(toys.picture())[:20], "a PNG is cut short"),
        (toys.png(2, 2, pixels=b"nonsense"), "cannot be decoded"),
        (toys.png(9, 9, pixels=zlib.compress(b"\0")), "cannot be decoded"),
        (toys.png(2, 2, between=toys.chunk(b"tEXt", b"") * 70_000), "65,536 chunks"),
        (toys.picture_file("JPEG")[:300], "cannot be decoded"),
        (toys.picture_file("GIF", "P")[:60], "cannot be decoded"),
        (toys.picture_file("WEBP")[:25], "cut short in its header"),
        (toys.picture_file("WEBP")[:60], "cannot be decoded"),
        (toys.gif(1, canvas=65_535), "65535 x 65535 pixels"),
        (toys.gif(1, frame=65_535), "65535 x 65535 pixels"),
    ],
)
def test_picture(data: bytes, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        read_picture(data)


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP"])
def test_texts_and_profiles_are_not_inflated(name: bytes) -> None:
    between = toys.chunk(name, b"key\0\0" + HUGE)
    between += toys.chunk(b"iTXt", b"key\0\1\0\0\0" + HUGE)
    data = toys.png(4, 6, between=between)
    assert read_picture(data).shape == (4, 6, 3)
    assert len(headers.check(data, "png", limits=Limits())) < 100
    # Nor is more of the pixels than there are.
    assert read_picture(toys.png(4, 6, pixels=HUGE)).shape == (4, 6, 3)


def test_a_canvas_of_webp_is_seen_before_it_is_allocated() -> None:
    data = bytearray(toys.picture_file("WEBP", "RGBA", lossless=False, exif=b"x"))
    assert data[12:16] == b"VP8X"
    data[24:30] = b"\xfe\x3f\0" * 2
    with pytest.raises(MediaError, match="16383 x 16383 pixels: at most"):
        read_picture(bytes(data))


def test_a_jpeg_of_many_pixels_in_few_bytes() -> None:
    data = toys.picture_file("JPEG")
    at = data.index(b"\xff\xc0") + 5
    big = data[:at] + struct.pack(">HH", 65_000, 65_000) + data[at + 4 :]
    with pytest.raises(MediaError, match="65000 x 65000 pixels: at most 16,777,216"):
        read_picture(big)


def test_the_largest_picture_of_every_format_fits_into_memory() -> None:
    from PIL import Image

    for format, mode in (("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGB")):
        buffer = io.BytesIO()
        Image.new(mode, (4_096, 4_096)).save(buffer, format, method=0)
        assert read_picture(buffer.getvalue()).shape == (4_096, 4_096, 3)


# -- films ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (toys.gif(1_000_000), "at most 60 s are read"),
        (toys.gif(1, canvas=65_535), "65535 x 65535 pixels"),
        (toys.gif(1)[:12], "cut short in its header"),
        (encode_mp4(toys.film(), 5)[:-10], "an MP4 promises"),
        (encode_mp4(toys.film(), 5)[:60], "an MP4 promises"),
        (toys.wav(), "wav is given: one of mp4, webm, gif"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "begins with b'#EXTM3U"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "begins with b'ffconca"),
        (b"\0\0\0\x08ftyp", "without 'moov'"),
        (b"\x1aE\xdf\xa3" + bytes(100), "cannot be decoded"),
    ],
)
def test_film(data: bytes, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        read_video(data)


def test_frames_are_counted_as_they_are_decoded() -> None:
    with pytest.raises(MediaError, match="over 50 frames"):
        read_video(toys.gif(100), limits=Limits(film_frames=50))


def test_frames_too_large_and_too_many() -> None:
    with pytest.raises(MediaError, match="2048 x 4096 pixels: at most 4,194,304"):
        read_video(encode_mp4(np.zeros((2, 4_096, 2_048, 3), np.uint8), 5))
    with pytest.raises(MediaError, match="over 9,000 bytes of pixels: give a smaller"):
        read_video(encode_mp4(toys.film(), 5), limits=Limits(film_bytes=9_000))
    with pytest.raises(MediaError, match="a film of 66.7 s or more: at most 60 s"):
        read_video(encode_mp4(np.zeros((400, 16, 16, 3), np.uint8), 6))


def test_a_film_whose_pixels_just_fit() -> None:
    frames = np.zeros((10, 2_048, 2_048, 3), np.uint8)
    assert read_video(encode_mp4(frames, 5)).frames.shape == frames.shape


def test_absurd_sizes_in_a_header_that_the_frames_do_not_have() -> None:
    data = encode_mp4(toys.film(), 5)
    at = data.index(b"avc1", data.index(b"stsd")) + 28
    assert struct.unpack_from(">HH", data, at) == (48, 32)
    lying = data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]
    try:
        assert read_video(lying).frames.shape == (6, 32, 48, 3)
    except MediaError as error:
        assert "65535 x 65535" in str(error)


# -- any file ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", READERS)
def test_no_file_no_bytes_too_many_or_no_regular_file(
    kind: str, tmp_path: Path
) -> None:
    read: Any = READERS[kind]
    with pytest.raises(MediaError, match="0 bytes"):
        read(b"")
    with pytest.raises(MediaError, match="9 bytes: at most 8 are read"):
        read(bytes(9), limits=Limits(file_bytes=8))
    with pytest.raises(MediaError, match="absent.wav' cannot be opened: No such file"):
        read(tmp_path / "absent.wav")
    with pytest.raises(MediaError, match="cannot be opened|not a regular file"):
        read(tmp_path)
    with pytest.raises(MediaError, match="cannot be opened"):
        read("nul\0byte")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="not a regular file"):
        read(tmp_path / "pipe")
    with pytest.raises(MediaError, match="begins with b'nonsense'"):
        read(b"nonsense")


def test_what_is_declared_is_held_to() -> None:
    for declared in ("wav", "audio/wav", "audio/x-wav; rate=16000", "AUDIO/WAV", ""):
        read_audio(toys.wav(), declared=declared)
    with pytest.raises(MediaError, match="'audio/mpeg' is declared, but wav is given"):
        read_audio(toys.wav(), declared="audio/mpeg")
    with pytest.raises(MediaError, match="no format 'audio/midi', only wav, flac"):
        read_audio(toys.wav(), declared="audio/midi")
    with pytest.raises(MediaError, match="png is given: one of wav"):
        read_audio(encode_png(toys.picture()))


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_above_zero(value: float) -> None:
    with pytest.raises(ValueError, match="above 0, but seconds"):
        Limits(seconds=value)


# -- the decoding process ------------------------------------------------------------


def hard_film() -> bytes:
    """Half a second of work: noise, which is hard to compress."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 512, 512, 3))
    return encode_mp4(noise.astype(np.uint8), 5)


def test_the_deadline_ends_a_decoder_and_the_next_file_is_read() -> None:
    data = hard_film()
    with pytest.raises(MediaError, match="was not decoded within 0.02 s"):
        read_video(data, limits=Limits(deadline=0.02))
    assert read_audio(toys.wav())[1] == 16_000


def test_memory_is_limited_and_the_next_file_is_read() -> None:
    with pytest.raises(MediaError, match="memory|cannot be decoded|ended its decoder"):
        read_video(hard_film(), limits=Limits(memory=72 * MEGA))
    assert read_video(toys.gif(3)).frames.shape == (3, 2, 2, 3)


def test_a_decoder_that_dies_is_a_refused_file() -> None:
    with isolation._workers.one() as worker:
        worker._process.kill()
        with pytest.raises(MediaError, match="ended its decoder|status"):
            worker.decode("sound", toys.wav(), Limits(), {})
    assert read_audio(toys.wav())[1] == 16_000


def test_a_decoder_that_does_not_start_is_no_fault_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    isolation.prepare()
    monkeypatch.setattr(isolation, "_workers", isolation.Workers())
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(MediaUnavailable, match="python -m t2t.media.worker tells why"):
        isolation.prepare()


def test_a_decoder_opens_no_file(tmp_path: Path) -> None:
    code = (
        "import os, socket; from t2t.media import worker; worker._import();"
        "worker._confine(2);"
        "\nfor attempt in (lambda: open('/dev/null'), socket.socket):"
        "\n    try: attempt()"
        "\n    except OSError as error: print(error.errno)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["24", "24"], done.stderr


def test_several_threads_read_at_once() -> None:
    data, found = toys.wav(), []
    wanted = read_audio(data)[0]

    def read() -> None:
        found.extend(read_audio(data)[0] for _ in range(10))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 60
    assert all(np.array_equal(samples, wanted) for samples in found)
    assert len(list(isolation._workers._idle.queue)) <= isolation.AT_ONCE


def test_a_fork_starts_decoders_of_its_own() -> None:
    code = (
        "import os, media_toys as toys\n"
        "from t2t.media.audio import read_audio\n"
        "read_audio(toys.wav())\n"
        "child = os.fork()\n"
        "print(len(read_audio(toys.wav())[0]), flush=True)\n"
        "child and os.waitpid(child, 0)\n"
    )
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.split() == ["1000", "1000"], done.stderr


def test_a_missing_library_is_no_fault_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MediaUnavailable, match=r"pip install -e '.\[omni\]'"):
        encode_mp4(toys.film(), 5)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MediaUnavailable, match=r"pip install -e '.\[omni\]'"):
        encode_gif(toys.film(), 5)
