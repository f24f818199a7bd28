"""Fonts and emoji: drawn whole, where a seed says, from wheels that are checked."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from t2t.problems.omni import glyphs
from t2t.problems.omni.glyphs import ARTISTS, FAMILIES, Family, Glyphs, fonts
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable
from t2t.problems.wheels import Wheel

ImageFont = pytest.importorskip("PIL.ImageFont")


@pytest.fixture
def drawer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Glyphs:
    """With pillow's own font as the only family, and as an artist."""
    font = ImageFont.load_default(20)
    path = tmp_path / "toy-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy/Toy-Plain.ttf", font.path.getvalue())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    toy = Family(Wheel("toy==1", path.name, digest), "toy/Toy-{}.ttf", ("Plain",))
    monkeypatch.setattr(glyphs, "FAMILIES", {"toy": toy})
    monkeypatch.setattr(glyphs, "ARTISTS", {"openmoji": toy})
    monkeypatch.setattr(glyphs, "EMOJI_RANGES", ((0x41, 0x5B),))
    return Glyphs(tmp_path)


def test_families_are_split_by_name() -> None:
    known, unseen = fonts(TRAIN), fonts(TEST)
    assert len(known) == 16 and len(unseen) == 9 and fonts(DEV) == unseen
    families = [{name.split("/")[0] for name in names} for names in (known, unseen)]
    assert not families[0] & families[1]
    assert families[1] == {"caladea", "red-hat-display", "intuitive", "noto-sans"}
    for family in (*FAMILIES.values(), *ARTISTS.values()):
        assert len(family.wheel.sha256) == 64
        assert family.wheel.requirement.count("==") == 1
        assert family.licence in ("OFL-1.1", "Apache-2.0", "CC-BY-SA-4.0")


def test_a_text_stands_in_the_middle(drawer: Glyphs) -> None:
    ink = drawer.write("seven 42", "toy/Plain", size=20, shape=(40, 120))
    assert ink.shape == (40, 120) and ink.dtype == np.uint8 and ink.max() == 255
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    assert abs(rows[0] - (39 - rows[-1])) <= 2
    assert abs(columns[0] - (119 - columns[-1])) <= 2
    again = drawer.write("seven 42", "toy/Plain", size=20, shape=(40, 120))
    np.testing.assert_array_equal(ink, again)


def test_a_seed_moves_and_turns_it(drawer: Glyphs) -> None:
    def draw(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return drawer.write("x", "toy/Plain", size=20, shape=(48, 48), rng=rng)

    np.testing.assert_array_equal(draw(1), draw(1))
    drawn = [draw(seed) for seed in range(20)]
    assert len({ink.tobytes() for ink in drawn}) == 20
    tops = [np.flatnonzero(ink.any(axis=1))[0] for ink in drawn]
    assert max(tops) - min(tops) > 15
    # All of it is there, wherever that is.
    inks = [ink.sum(dtype=float) for ink in drawn]
    assert max(inks) < 1.1 * min(inks)


@pytest.mark.parametrize("seed", [None, 0])
def test_a_long_text_is_made_smaller(drawer: Glyphs, seed: int | None) -> None:
    rng = None if seed is None else np.random.default_rng(seed)
    long = "seven hundred " * 9
    ink = drawer.write(long, "toy/Plain", size=40, shape=(32, 96), rng=rng)
    columns = np.flatnonzero(ink.any(axis=0))
    assert columns[0] <= 4 and columns[-1] >= 91
    assert drawer.write("", "toy/Plain", size=20, shape=(8, 8)).max() == 0


def test_what_there_is_not(drawer: Glyphs) -> None:
    with pytest.raises(ValueError, match=r"toy/Plain has no '漢', which is in 'a 漢'"):
        drawer.write("a 漢", "toy/Plain", size=20, shape=(32, 32))
    with pytest.raises(ValueError, match="openmoji has no '漢'"):
        drawer.emoji("漢", side=16)
    with pytest.raises(KeyError, match="no style 'Bold'"):
        drawer.write("a", "toy/Bold", size=20, shape=(32, 32))
    with pytest.raises(KeyError):
        drawer.write("a", "other/Bold", size=20, shape=(32, 32))


def test_emoji_are_square_on_white_and_split_by_name(drawer: Glyphs) -> None:
    picture = drawer.emoji("A", side=16)
    assert picture.shape == (16, 16, 3) and picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [255] * 3 and picture.min() < 100
    names = {split: drawer.emoji_names(split) for split in (TRAIN, DEV, TEST)}
    found = [name for split in names.values() for name in split]
    assert len(found) == len(set(found)) == 26
    assert len(names[TRAIN]) > 15
    (first, *_), shown = names[TRAIN].items(), names[TRAIN].values()
    assert first == ("latin capital letter a", "A") or "A" not in shown


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / FAMILIES["intuitive"].wheel.name).write_bytes(b"no wheel")
    with pytest.raises(DataUnavailable, match="SHA-256 .* remove it and run again"):
        Glyphs(tmp_path).write("a", fonts(TEST)[6], size=20, shape=(32, 32))
