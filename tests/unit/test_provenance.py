"""Manifests: whatever is changed is found, and other readers see nothing of them."""

from __future__ import annotations

import io
import stat
import struct
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.media import provenance
from t2t.media.audio import encode_wav, read_audio
from t2t.media.pictures import encode_png, read_picture
from t2t.media.provenance import ProvenanceError, Signer, sign, verify

CLAIMS = {"made by": "a test", "at": 5, "parts": ["ä", None, 0.5]}
SIGNER, OTHER = Signer(bytes(range(32))), Signer(bytes(32))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
SLOW = settings(max_examples=20, deadline=None)


def _png(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3))
    return encode_png(pixels.astype(np.uint8))


def _wav(seed: int = 0, size: int = 31) -> bytes:
    samples = np.random.default_rng(seed).uniform(-1, 1, size)
    return encode_wav(samples.astype(np.float32), 16_000)


BOTH = pytest.mark.parametrize("make", [_png, _wav])


@BOTH
def test_a_signed_file_holds_and_reads_as_before(make: Any) -> None:
    data = make()
    signed = sign(data, CLAIMS, SIGNER)
    for key in (None, SIGNER.public_key):
        found = verify(signed, key)
        assert found.holds and found.claims == CLAIMS
        assert found.public_key == SIGNER.public_key
    if make is _png:
        np.testing.assert_array_equal(read_picture(signed), read_picture(data))
    else:
        np.testing.assert_array_equal(read_audio(signed)[0], read_audio(data)[0])
        with wave.open(io.BytesIO(signed)) as sound:
            assert sound.getnframes() == 31


@BOTH
def test_another_key_did_not_sign_it(make: Any) -> None:
    found = verify(sign(make(), CLAIMS, OTHER), SIGNER.public_key)
    assert not found.signed and found.whole and not found.holds


@BOTH
def test_a_manifest_moved_to_another_file_does_not_fit(make: Any) -> None:
    signed, other = sign(make(0), CLAIMS, SIGNER), make(1)
    own = provenance.PNG_CHUNK if make is _png else provenance.WAV_CHUNK
    (body,) = [b for name, b in provenance._chunks(signed) if name == own]
    put = provenance._png_with if make is _png else provenance._wav_with
    found = verify(put(other, body), SIGNER.public_key)
    assert found.signed and not found.whole and not found.holds


@BOTH
def test_signing_again_takes_the_place_of_the_first(make: Any) -> None:
    twice = sign(sign(make(), CLAIMS, SIGNER), {"by": "other"}, OTHER)
    assert verify(twice, OTHER.public_key).claims == {"by": "other"}
    assert not verify(twice, SIGNER.public_key).holds


@SLOW
@given(claims=st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_claims_come_back(claims: dict[str, Any]) -> None:
    assert verify(sign(_wav(), claims, SIGNER), None).claims == claims


@SLOW
@given(at=st.integers(0, 4 * 5 * 3 - 1), by=st.integers(1, 255))
def test_a_changed_pixel_is_found(at: int, by: int) -> None:
    signed = sign(_png(), CLAIMS, SIGNER)
    (body,) = [b for n, b in provenance._chunks(signed) if n == provenance.PNG_CHUNK]
    pixels = read_picture(signed).copy()
    pixels.flat[at] = (int(pixels.flat[at]) + by) % 256
    found = verify(provenance._png_with(encode_png(pixels), body), None)
    assert found.signed and not found.whole


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_bit_of_a_file_can_be_turned_unseen(at: int, bit: int) -> None:
    """Samples, rate, claims, hash, signature, key: the file is refused, or does not
    hold, or says and sounds what it did."""
    signed = bytearray(sign(_wav(), CLAIMS, SIGNER))
    before = wave.open(io.BytesIO(bytes(signed)))
    samples, about = before.readframes(31), before.getparams()[:4]
    signed[at % len(signed)] ^= 1 << bit
    try:
        found = verify(bytes(signed), SIGNER.public_key)
    except ProvenanceError:
        return
    if found.holds:
        after = wave.open(io.BytesIO(bytes(signed)))
        assert found.claims == CLAIMS
        assert (after.readframes(31), after.getparams()[:4]) == (samples, about)


@pytest.mark.parametrize(
    "claims",
    [{1: 2}, {"x": float("nan")}, {"x": b"y"}, {"x": (1,)}, {"x": "y" * 70_000}],
)
def test_claims_that_are_no_json_are_refused(claims: Any) -> None:
    with pytest.raises(ProvenanceError, match="not JSON|a manifest of"):
        sign(_wav(), claims, SIGNER)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"text",
        provenance.PNG,
        _png()[:-9],
        _wav(),
        _png(),
        _wav() + struct.pack("<4sI", b"prov", 3) + b"{}\n\0",
        _wav() + 2 * (struct.pack("<4sI", b"prov", 2) + b"{}"),
        _wav() + struct.pack("<4sI", b"prov", 2**31) + b"{}",
    ],
)
def test_what_has_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ProvenanceError):
        verify(data, None)


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signer"
    one, two = Signer.from_file(path), Signer.from_file(path)
    assert one.public_key == two.public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["signer"]
    path.chmod(0o644)
    with pytest.raises(ProvenanceError, match="chmod 600"):
        Signer.from_file(path)
    path.write_bytes(b"no key")
    path.chmod(0o600)
    with pytest.raises(ProvenanceError, match="holds no private key"):
        Signer.from_file(path)


def test_without_the_wheel_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "cryptography.hazmat.primitives.asymmetric"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ProvenanceError, match=r"pip install -e '\.\[omni\]'"):
        Signer(bytes(32))
