"""A statistical watermark of sound and pictures: some codes are drawn more often.

A secret colours half of the codes of every book green, and drawing adds a bias to
their logits (Zhao et al., arXiv:2306.17439). Colours depend on no context, since codes
that are found again by encoding what was decoded differ from those that were drawn,
and whatever depended on one that changed would be lost with it.

Axis letters: T frames, K books, C codes of a book.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import Any

import numpy as np

SOUND, PICTURE = "sound", "picture"


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
