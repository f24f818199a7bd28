"""English to German from the Debian archive: four sources, about 90 MB by apt.

Package descriptions, the help of LibreOffice, message catalogues and manual
pages, fetched by the ordinary apt client into `tmp_dir` with a state of its own.
Each reader yields (source, target, group), the group being the source package,
page or catalogue, and the group decides the split, see `t2t.problems.holdout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from t2t import registry
from t2t.problems import holdout, made_up
from t2t.problems.debian import catalogues, descriptions, help_pages, manual_pages
from t2t.problems.debian.apt import Apt, members
from t2t.problems.holdout import Pair
from t2t.problems.problem import DataUnavailable, Example
from t2t.problems.tasks import TextToText

LONGEST = 600  # characters of either side
CATALOGUES = (
    *("libreoffice-l10n-de", "gcc-12-locales", "binutils-common", "git", "coreutils"),
    *("gettext", "bash", "dpkg", "apt", "aptitude", "gnupg-l10n", "util-linux-locales"),
    *("libgtk-3-common", "libglib2.0-data", "nautilus-data", "rhythmbox-data"),
    *("epiphany-browser-data", "gedit-common", "totem-common", "hexchat-common"),
    *("gnucash-common", "evolution-common", "postgresql-15"),
)


@registry.problem
class TranslateEndeDebian(TextToText):
    """Real English to German: descriptions, help, messages and manuals, by apt.

    Args:
      sources: which of 'help', 'descriptions', 'catalogues', 'manuals' to take,
        with commas between.
    """

    METRICS = ("bleu", "chrf", "placeholders_kept", "sequence_accuracy")
    HELD_OUT = 0.01  # of the groups, for each of dev and test
    licence = "of each package; package descriptions state none"

    def __init__(
        self,
        *,
        sources: str = "help,descriptions,catalogues,manuals",
        vocabulary: str = "",
        vocabulary_size: int = 0,
    ) -> None:
        super().__init__(vocabulary=vocabulary, vocabulary_size=vocabulary_size)
        self.sources = [source.strip() for source in sources.split(",")]
        for source in self.sources:
            if source not in SOURCES:
                raise ValueError(
                    f"sources={sources!r}: {source!r} is not one of "
                    f"{', '.join(SOURCES)}." + registry.close_to(source, SOURCES)
                )

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        apt = Apt(tmp_dir / "debian", ("en", "de"))

        def read() -> Iterator[Pair]:
            yield from holdout.clean(_short(self._pairs(apt)))

        for pair in holdout.pairs_of(split, read, holdout.split_by(self.HELD_OUT)):
            yield {"inputs": pair.source, "targets": pair.target}

    def _pairs(self, apt: Apt) -> Iterator[Pair]:
        return chain.from_iterable(SOURCES[source](apt) for source in self.sources)

    def fake(self, split: str) -> Iterator[Example]:
        for english, german in made_up.pairs(split):
            yield {"inputs": english, "targets": german}


@registry.problem
class TranslateEndeHelp(TranslateEndeDebian):
    """Real English to German: the help of LibreOffice, exactly aligned, by apt."""

    HELD_OUT = 0.03
    licence = "MPL-2.0"

    def __init__(self, *, vocabulary: str = "", vocabulary_size: int = 0) -> None:
        super().__init__(
            sources="help", vocabulary=vocabulary, vocabulary_size=vocabulary_size
        )


def _help(apt: Apt) -> Iterator[Pair]:
    yield from help_pages.pairs(
        _files(apt, ["libreoffice-help-en-us"], "*.html"),
        _files(apt, ["libreoffice-help-de"], "*.html"),
    )


def _descriptions(apt: Apt) -> Iterator[Pair]:
    foreign = apt.lists("Translation-de")
    if not foreign:
        raise DataUnavailable(
            "apt offers no German package descriptions here: try --sources=help"
        )
    yield from descriptions.pairs(
        apt.lists("Translation-en"), foreign, apt.lists("_Packages")
    )


def _catalogues(apt: Apt) -> Iterator[Pair]:
    yield from catalogues.pairs(_files(apt, CATALOGUES, "de/LC_MESSAGES/*.mo"))


def _manuals(apt: Apt) -> Iterator[Pair]:
    yield from manual_pages.pairs(
        _files(apt, ["manpages", "manpages-dev"], "usr/share/man/man*/*.gz"),
        _files(apt, ["manpages-de", "manpages-de-dev"], "usr/share/man/de/man*/*.gz"),
    )


SOURCES: dict[str, Callable[[Apt], Iterator[Pair]]] = {
    "help": _help,
    "descriptions": _descriptions,
    "catalogues": _catalogues,
    "manuals": _manuals,
}


def _files(
    apt: Apt, packages: tuple[str, ...] | list[str], pattern: str
) -> Iterator[tuple[str, bytes]]:
    for name in packages:
        path = apt.package(name)
        if path is not None:
            yield from members(path, pattern)


def _short(pairs: Iterator[Pair]) -> Iterator[Pair]:
    """Without the long paragraphs and tables, which no small model learns."""
    for pair in pairs:
        if max(len(pair.source), len(pair.target)) <= LONGEST:
            yield pair
