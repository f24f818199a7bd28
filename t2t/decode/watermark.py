"""A statistical watermark of sound and pictures: some codes are drawn more often.

A secret colours half of the codes of every book green, and drawing adds a bias to
their logits (Zhao et al., arXiv:2306.17439). Colours depend on no context, since codes
that are found again by encoding what was decoded differ from those that were drawn,
and whatever depended on one that changed would be lost with it.

Found is what the green share of the *distinct* codes says: each has a coin of its own,
so whatever says nothing of the secret is green as often as binomial, exactly, over all
secrets. A code that comes again would bring the same coin again.

The surprise: since the coins are the same for ever, codes that one sort of content
always has (silence, a dark background) are for one secret green and for another not.
The rate of false alarms holds on average over secrets, not for each.

Axis letters: T frames, K books, C codes of a book.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from typing import Any

import numpy as np

from t2t.decode.inversion import STEPS, PictureInversion, SoundInversion

SOUND, PICTURE = "sound", "picture"
STRENGTH = 3.0  # usual: added to the logits of green codes, see scripts/bench_watermark


@dataclasses.dataclass(frozen=True)
class Lists:
    """Which codes are green.

    secret: who has it can find the watermark, and could remove it.
    """

    secret: str = dataclasses.field(repr=False)

    def green(self, kind: str, *, books: int, codes: int) -> np.ndarray:
        """bool [K, C], each of them by a coin of its own."""
        return _green(self.secret, kind, books, codes)

    def biases(self, engine: Any, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """What `Engine` adds to logits: float32 [V] and [K, C + 1], 0 for no code."""
        vocabulary, model = engine.layout.vocabulary, engine.model
        main = np.zeros(vocabulary.size, np.float32)
        first = vocabulary.first_picture
        seen = self.green(PICTURE, books=1, codes=vocabulary.size - first)
        main[first:] = strength * seen[0]
        heard = self.green(SOUND, books=model.books, codes=model.codes - 1)
        audio = np.pad(heard, ((0, 0), (1, 0))).astype(np.float32)
        return main, strength * audio


@dataclasses.dataclass(frozen=True)
class Found:
    """What codes say: `green` of `codes` distinct ones are green.

    chance: that as many are where nobody knew the secret.
    """

    green: int
    codes: int

    @property
    def z(self) -> float:
        """Standard deviations above a half."""
        return (2 * self.green - self.codes) / math.sqrt(max(1, self.codes))

    @property
    def chance(self) -> float:
        return tail(self.green, self.codes)

    def marked(self, *, false_positives: float = 0.01) -> bool:
        """Whether the watermark is there, at a rate of false alarms."""
        return self.chance <= false_positives


class Detector:
    """Looks for the watermark of a secret.

    Args:
      sounds, pictures: the tokenizers, `t2t.media.tokenizers`.
      steps: of the search for the codes that were drawn; 0 takes those that the
        encoder finds, which is quicker and finds less.
    """

    def __init__(
        self, secret: str, *, sounds: Any, pictures: Any, steps: int = STEPS
    ) -> None:
        self.lists, self.steps = Lists(secret), steps
        self._sounds, self._pictures = sounds, pictures

    @functools.cached_property
    def _of_sounds(self) -> SoundInversion:
        return SoundInversion(self._sounds.model)

    @functools.cached_property
    def _of_pictures(self) -> PictureInversion:
        return PictureInversion(self._pictures.model)

    def score(self, codes: np.ndarray, kind: str) -> Found:
        """Of codes: 'sound' [T, K], or 'picture' [h, w].

        Raises:
          ValueError: for another kind.
        """
        if kind not in (SOUND, PICTURE):
            raise ValueError(f"there is no watermark of {kind!r}: sound or picture")
        tokenizer = self._sounds if kind == SOUND else self._pictures
        if kind == PICTURE:
            codes = codes.reshape(-1, 1)
        green = self.lists.green(kind, books=codes.shape[1], codes=tokenizer.book_size)
        return distinct(codes, green)

    def hear(self, samples: np.ndarray) -> Found:
        """Of float samples [N] at 16 kHz within ±1, from where the answer begins."""
        codes = self._of_sounds(samples[None], steps=self.steps)
        return self.score(codes[0], SOUND)

    def see(self, pixels: np.ndarray) -> Found:
        """Of uint8 [H, W, 3], as large as it was drawn."""
        codes = self._of_pictures(pixels[None], steps=self.steps)
        return self.score(codes[0], PICTURE)


def distinct(codes: np.ndarray, green: np.ndarray) -> Found:
    """What the distinct codes of each book [T, K] are, by lists [K, C]."""
    seen = np.zeros(green.shape, bool)
    for book in range(green.shape[0]):
        seen[book, codes[:, book]] = True
    return Found(int((seen & green).sum()), int(seen.sum()))


def tail(green: int, codes: int) -> float:
    """The chance of at least so many heads among fair coins, exactly."""
    ways = sum(math.comb(codes, i) for i in range(max(0, green), codes + 1))
    return ways / 2**codes


def threshold(codes: int, *, false_positives: float = 0.01) -> int:
    """The least number of green ones among distinct codes that is no accident; one
    more than there are where none is."""
    return next(g for g in range(codes + 2) if tail(g, codes) <= false_positives)


@functools.lru_cache(maxsize=16)
def _green(secret: str, kind: str, books: int, codes: int) -> np.ndarray:
    rows = []
    for book in range(books):
        words = repr((secret, kind, book)).encode()
        drawn = hashlib.shake_256(words).digest(-(-codes // 8))
        rows.append(np.unpackbits(np.frombuffer(drawn, np.uint8), count=codes))
    green = np.array(rows, bool)
    green.setflags(write=False)
    return green
