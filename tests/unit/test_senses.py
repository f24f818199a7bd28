"""Continuous input: what is heard and seen as rows of bytes."""

from __future__ import annotations

import numpy as np

from t2t.layers import senses

FRAME, PATCH = 640, 4
SIZE = senses.width(FRAME, patch=PATCH)


def test_frame_by_frame_is_as_a_whole() -> None:
    samples = np.random.default_rng(0).normal(size=5 * FRAME).astype("f4") * 0.1
    whole = senses.listen(samples, FRAME, size=SIZE)
    assert whole.shape == (5, SIZE) and (whole[:, 0] == senses.HEARD).all()
    before, rows = None, []
    for frame in samples.reshape(5, FRAME):
        rows.append(senses.listen(frame, FRAME, size=SIZE, before=before)[0])
        before = frame[-senses.BEFORE :]
    np.testing.assert_array_equal(whole, rows)


def test_a_tone_is_heard_where_it_is() -> None:
    """A louder tone in a lower band, hop after hop; silence is nothing but zeros."""
    seconds = np.arange(4 * FRAME) / senses.RATE

    def bands(hertz: float, loud: float) -> np.ndarray:
        tone = (loud * np.sin(2 * np.pi * hertz * seconds)).astype("f4")
        rows = senses.listen(tone, FRAME, size=SIZE)[1:, 1 : 1 + 4 * senses.BANDS]
        return rows.reshape(-1, senses.BANDS)

    low, high = bands(300.0, 0.5), bands(3000.0, 0.05)
    assert (low.argmax(axis=1) < 10).all() and (high.argmax(axis=1) > 20).all()
    assert low.max() > high.max() > 100
    # Ten times the amplitude is ln 10 nats.
    quiet = bands(300.0, 0.05).max()
    step = 255.0 / (senses.LOUD - senses.QUIET)
    assert abs(float(low.max()) - float(quiet) - np.log(10.0) * step) < 2
    assert not bands(0.0, 0.0).any()


def test_a_square_is_seen_where_it_is() -> None:
    pixels = np.random.default_rng(1).integers(256, size=(8, 12, 3)).astype(np.uint8)
    rows = senses.look(pixels, PATCH, size=SIZE)
    assert rows.shape == (2, 3, SIZE) and (rows[..., 0] == senses.SEEN).all()
    square = rows[1, 2, 1 : 1 + 3 * PATCH**2].reshape(PATCH, PATCH, 3)
    np.testing.assert_array_equal(square, pixels[4:, 8:])


def test_what_is_not_told_is_zeros_and_each_sense_has_its_encoder() -> None:
    rows = np.full((1, 3, SIZE), 7, np.uint8)
    rows[0, :, 0] = senses.NOTHING, senses.HEARD, senses.SEEN
    found = np.asarray(senses.Senses(16)(rows))
    assert not found[0, 0].any() and found[0, 1:].any(axis=-1).all()
    assert np.abs(found[0, 1] - found[0, 2]).max() > 1e-3
