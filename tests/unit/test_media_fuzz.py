"""Whole files with bytes flipped, cut and spliced: results, or one kind of refusal.

By hand, more of them: T2T_FUZZ=5000 pytest tests/unit/test_media_fuzz.py
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import media_toys as toys
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from t2t.media import limits
from t2t.media.audio import read_audio
from t2t.media.limits import Limits, MediaError
from t2t.media.pictures import read_picture
from t2t.media.video import read_video

for _library in ("soundfile", "soxr", "PIL", "av"):
    pytest.importorskip(_library, reason=limits.HINT)

EXAMPLES = int(os.environ.get("T2T_FUZZ", "300"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SMALL = Limits(
    seconds=20, film_seconds=20, film_frames=200, pixels=2**22, deadline=10.0
)
FILES = {"sound": toys.sounds, "picture": toys.still_pictures, "film": toys.films}
# What bytes are set to: ends of ranges, and sizes that are too large.
VALUES = st.one_of(
    st.sampled_from([b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff" * 4, b"\0" * 8]),
    st.binary(min_size=1, max_size=8),
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.floats(0, 1), VALUES),
        st.tuples(st.just("set early"), st.floats(0, 1), VALUES),
        st.tuples(st.just("insert"), st.floats(0, 1), VALUES),
        st.tuples(st.just("cut"), st.floats(0, 1), st.floats(0, 1)),
        st.tuples(st.just("remove"), st.floats(0, 1), st.integers(1, 64)),
        st.tuples(st.just("splice"), st.floats(0, 1), st.floats(0, 1)),
    ),
    max_size=4,
)


@lru_cache
def whole(kind: str) -> dict[str, bytes]:
    return FILES[kind]()


def changed(data: bytes, other: bytes, changes: list[tuple[str, float, Any]]) -> bytes:
    for what, place, value in changes:
        # Headers are short and most of what there is to get wrong.
        span = min(len(data), 256) if what == "set early" else len(data)
        # Beyond the magic number, which other tests get wrong.
        at = min(len(data), 12 + int(place * max(0, span - 12)))
        if what in ("set", "set early"):
            data = data[:at] + value + data[at + len(value) :]
        elif what == "insert":
            data = data[:at] + value + data[at:]
        elif what == "cut":
            data = data[: int(value * len(data))]
        elif what == "remove":
            data = data[:at] + data[at + value :]
        else:
            data = data[:at] + other[int(value * len(other)) :]
    return data


def file_of(kind: str, name: int, other: int, changes: Any) -> bytes:
    found = list(whole(kind).values())
    return changed(found[name % len(found)], found[other % len(found)], changes)


def refused_well(error: MediaError) -> None:
    said = str(error)
    assert 10 < len(said) < 400 and "\n" not in said and "Traceback" not in said
    # What a decoder lacks is not to look like a fault of the file.
    assert "Too many open files" not in said and "ModuleNotFound" not in said


NUMBERS = st.integers(0, 55)


@FUZZ
@example(name=0, other=0, changes=[], rate=8_000)
@example(name=2, other=0, changes=[("splice", 0.5, 0.0)], rate=8_000)  # huge floats
@given(NUMBERS, NUMBERS, CHANGES, st.sampled_from([None, 8_000, 44_100]))
def test_sounds(name: int, other: int, changes: Any, rate: int | None) -> None:
    data = file_of("sound", name, other, changes)
    try:
        samples, found = read_audio(data, rate=rate, limits=SMALL)
    except MediaError as error:
        return refused_well(error)
    assert samples.dtype == np.float32 and samples.ndim == 1 and len(samples)
    assert np.isfinite(samples).all() and np.abs(samples).max() <= 1.0
    assert found == (rate or found) and 1_000 <= found <= 192_000


@FUZZ
@example(name=0, other=0, changes=[], size=None)
@given(NUMBERS, NUMBERS, CHANGES, st.sampled_from([None, (20, 30)]))
def test_pictures(name: int, other: int, changes: Any, size: Any) -> None:
    data = file_of("picture", name, other, changes)
    try:
        pixels = read_picture(data, size=size, limits=SMALL)
    except MediaError as error:
        return refused_well(error)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert pixels.shape[:2] == (size or pixels.shape[:2]) and pixels.size


@FUZZ
@example(name=0, other=0, changes=[], fps=5)
@given(NUMBERS, NUMBERS, CHANGES, st.sampled_from([None, 5, 24]))
def test_films(name: int, other: int, changes: Any, fps: float | None) -> None:
    data = file_of("film", name, other, changes)
    try:
        found = read_video(data, fps=fps, size=(16, 24), rate=8_000, limits=SMALL)
    except MediaError as error:
        return refused_well(error)
    assert found.frames.shape[1:] == (16, 24, 3) and len(found.frames)
    assert found.fps > 0 and (found.samples is None) == (found.rate == 0)
    if found.samples is not None:
        assert np.isfinite(found.samples).all()
