"""Two problems of Debian's packages, 60 000 of them, about 30 MB by apt.

A title is a description's summary, written by who wrote it; a section is one of some
sixty names. The source package decides the split, and dev and test have no near-copy of
what training has, see `t2t.problems.holdout`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from t2t import registry
from t2t.problems import holdout, made_up
from t2t.problems.debian.apt import Apt
from t2t.problems.debian.packages import Package, packages
from t2t.problems.holdout import Pair
from t2t.problems.problem import Example
from t2t.problems.tasks import TextClass, TextToText

HELD_OUT = 0.05  # of the source packages, for each of dev and test
LONGEST = 600  # characters that are read of a description
LICENCE = "package descriptions state none"


def read(split: str, tmp_dir: Path) -> Iterator[Package]:
    """Packages of one split."""
    apt = Apt(tmp_dir / "debian", ("en",))
    found = {
        (cut(p.description), p.title): p
        for p in packages(apt.lists("Translation-en"), apt.lists("_Packages"))
    }
    pairs = [Pair(text, title, p.group) for (text, title), p in found.items()]
    split_of = holdout.split_by(HELD_OUT)
    for pair in holdout.pairs_of(split, lambda: holdout.clean(pairs), split_of):
        yield found[pair.source, pair.target]


def cut(text: str) -> str:
    """As much of a text as is read, to a word's end."""
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0]


@registry.problem
class SummarizeDebian(TextToText):
    """Titles of Debian's package descriptions, real summaries, by apt."""

    METRICS = ("chrf", "bleu")
    licence = LICENCE

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        for package in read(split, tmp_dir):
            yield {"inputs": cut(package.description), "targets": package.title}

    def fake(self, split: str) -> Iterator[Example]:
        for english, _ in made_up.pairs(split):
            yield {"inputs": english, "targets": " ".join(english.split()[:6])}


@registry.problem
class TextClassDebian(TextClass):
    """The section of Debian's packages, one of some sixty, by their descriptions."""

    licence = LICENCE

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        for package in read(split, tmp_dir):
            text = f"{package.title}\n{cut(package.description)}"
            yield {"inputs": text, "label": package.section}

    def fake(self, split: str) -> Iterator[Example]:
        for text, label in made_up.labelled(split, ("games", "libs", "net")):
            yield {"inputs": text, "label": label}
