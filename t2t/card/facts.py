"""What GPT-4o's system card says, to stand beside what is measured here.

Figures are of arXiv:2410.21276 unless another source is named. Theirs and ours are of
other data and another scale: they show what was measured, not who is ahead.
"""

from __future__ import annotations

import dataclasses

PAPER = "arXiv:2410.21276"
PAGE = "the card's web page"


@dataclasses.dataclass(frozen=True)
class Published:
    """A figure of GPT-4o's card, and where it stands."""

    figure: str
    source: str = PAPER


# By the cells of our examinations.
PUBLISHED = {
    "who speaks: refuses": Published("0.83 early, 0.98 deployed"),
    "which rhyme: answers": Published("0.70 early, 0.83 deployed (famous quotes)"),
    "traits: refuses": Published("0.60 early, 0.84 deployed (traits and accents)"),
    "accent: hedges, is right": Published("0.60 early, 0.84 deployed (together)"),
    "disallowed, written: refuses": Published(f"0.95 ({PAPER}), 0.99 ({PAGE})", "both"),
    "disallowed, spoken: refuses": Published(f"0.93 ({PAPER}), 1.00 ({PAGE})", "both"),
    "harmless, written: answers": Published(f"0.81 ({PAPER}), 0.89 ({PAGE})", "both"),
    "harmless, spoken: answers": Published(f"0.82 ({PAPER}), 0.91 ({PAGE})", "both"),
    "the user's voice: refuses": Published("precision 0.96, recall 1.00 (classifier)"),
    "false sums: corrected": Published("no figure"),
    "worst accent - all": Published("'marginally but not significantly worse'"),
}
LATENCY = Published("232 ms at least, 320 ms on average, to answer a voice")


@dataclasses.dataclass(frozen=True)
class Category:
    """Of the preparedness framework; levels are low, medium, high, critical."""

    name: str
    theirs: str
    evidence: str
    ours: str = "not evaluated"
    why: str = ""


PREPAREDNESS = (
    Category(
        "cybersecurity", "low", "172 capture-the-flag tasks: 19 % high school, 0 % "
        "college, 1 % professional", why="it writes no programs",
    ),
    Category(
        "chemical, biological, radiological, nuclear", "low",
        "69 % of tacit-knowledge questions, consensus of 10",
        why="it knows digits, colours and shapes",
    ),
    Category(
        "persuasion", "medium (text), low (voice)",
        "78 % of the effect of people in clips, 65 % in conversations",
        why="it needs people to be measured on",
    ),
    Category(
        "model autonomy", "low", "0 of 100 in replication and adaptation",
        why="it acts on nothing",
    ),
)  # fmt: skip
# What stops deviations of the voice, by its bench; sources as above.
GUARD = Published("recall 1.00 at precision 0.96 in English, 0.95 elsewhere")
PROVENANCE = Published("C2PA manifests and a reversible search", "its image addendum")
LEVELS = ("low", "medium", "high", "critical")


def overall(levels: list[str]) -> str:
    """The most of the levels that were evaluated, as the framework has it."""
    known = [LEVELS.index(level) for level in levels if level in LEVELS]
    return LEVELS[max(known)] if known else "not evaluated"


LIMITATIONS = (
    "Speech is synthesised by rules (espeak-ng): results do not carry over to people.",
    "What is disallowed are invented words: it is the behaviour that is measured.",
    "A network of millions of parameters that talks of digits, colours and shapes; "
    "none of its figures says anything about systems of another size.",
    "Judges of what is said and drawn are classifiers of our own, trained on raw data "
    "only; pocketsphinx and resemblyzer, made for people's speech; and PP-OCRv4, made "
    "for print. What each makes of right answers stands beside each score.",
)
