"""Pictures as ids and as plain PNM, which a picture library reads."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t.features import EOS
from t2t.text import Pixels

WHOLE = Pixels((4, 3, 3))


@given(
    rows=st.integers(0, 4), channels=st.sampled_from([1, 3]), seed=st.integers(0, 99)
)
def test_round_trip(rows: int, channels: int, seed: int) -> None:
    pixels = Pixels((4, 3, channels))
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (rows, 3, channels)).astype(np.uint8)
    text = pixels.text(picture)
    np.testing.assert_array_equal(pixels.picture(text), picture)
    ids = pixels.encode(text)
    assert ids == [int(v) + 2 for v in picture.reshape(-1)]
    assert pixels.decode([*ids, EOS, 7]) == text


def test_a_picture_library_reads_it() -> None:
    image = pytest.importorskip("PIL.Image")
    picture = np.arange(36, dtype=np.uint8).reshape(4, 3, 3)
    with image.open(io.BytesIO(WHOLE.text(picture).encode())) as opened:
        np.testing.assert_array_equal(np.asarray(opened), picture)


def test_a_row_that_was_begun_is_filled_up() -> None:
    assert WHOLE.decode([5] * 10) == "P3 3 2 255" + " 3" * 10 + " 0" * 8


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "a picture is 'P3 3 ROWS 255 values'"),
        ("P2 3 1 255" + " 0" * 9, "is 'P3 3"),
        ("P3 4 1 255" + " 0" * 12, "is 'P3 3"),
        ("P3 3 1 255 x", "not 'P3 3 1 255 x'"),
        ("P3 3 1 255 0 0", "2 values are no whole rows of 9"),
        ("P3 3 5 255" + " 0" * 45, "45 values are no whole rows of 9, at most 4"),
        ("P3 3 1 255" + " 256" * 9, "from 0 to 255, not 256"),
    ],
)
def test_what_is_no_picture(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        WHOLE.encode(text)


def test_channels() -> None:
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        Pixels((2, 2, 4))
