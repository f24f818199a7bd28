"""Who speaks: the assistant's own voices, and users by the hundred.

A user is an accent, a variant of the voice, a pitch and a rate. Two accents and a
seventh of the variants are never heard in training.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from t2t.media.speech import Utterance, variants
from t2t.problems import holdout

ASSISTANTS = {
    "alto": Utterance("", language="en-us", variant="f4", pitch=45, rate=165),
    "bass": Utterance("", language="en", variant="m3", pitch=30, rate=165),
    "soprano": Utterance("", language="en-us", variant="Annie", pitch=60, rate=165),
    "tenor": Utterance("", language="en-gb-x-rp", variant="m7", pitch=50, rate=165),
}
ACCENTS: tuple[str, ...] = (
    "en-us", "en", "en-us-nyc", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
)  # fmt: skip
HELD_OUT_ACCENTS: tuple[str, ...] = ("en-gb-scotland", "en-029")
HELD_OUT_VARIANTS = 1 / 7
USUAL = {"pitch": (25, 76), "rate": (140, 211)}  # from, to below; words a minute
MANNERS = {
    "slow": {"rate": (80, 120)}, "fast": {"rate": (230, 290)},
    "low": {"pitch": (5, 20)}, "high": {"pitch": (80, 96)},
}  # fmt: skip


def say(text: str, voice: str) -> Utterance:
    """A text in a voice of the assistant."""
    return dataclasses.replace(ASSISTANTS[voice], text=text)


def ask(
    text: str, rng: np.random.Generator, *, kind: str = "seen", language: str = ""
) -> Utterance:
    """A text in the voice of a user drawn at random.

    Args:
      kind: 'seen' in training, or a 'voice' or an 'accent' never heard; or a seen
        voice of one accent, by its name, or in one of the `MANNERS`.
      language: other than English, which then is the accent.
    """
    held_out, known = _variants()
    accents = HELD_OUT_ACCENTS if kind == "accent" else ACCENTS
    if kind in (*ACCENTS, *HELD_OUT_ACCENTS):
        accents = (kind,)
    ranges = {**USUAL, **MANNERS.get(kind, {})}
    names = held_out if kind == "voice" else known
    return Utterance(
        text,
        language=language or accents[rng.integers(len(accents))],
        variant=names[rng.integers(len(names))],
        pitch=int(rng.integers(*ranges["pitch"])),
        rate=int(rng.integers(*ranges["rate"])),
    )


def _variants() -> tuple[list[str], list[str]]:
    """(variants never heard in training, the others); the assistant's are neither."""
    own = {spoken.variant for spoken in ASSISTANTS.values()}
    found = [name for name in variants() if name not in own]
    held_out = [n for n in found if holdout.share(n) < HELD_OUT_VARIANTS]
    return held_out, [n for n in found if n not in held_out]
