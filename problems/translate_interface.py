"""English to other languages, from the interface texts of a published wheel.

Source: the translations of Home Assistant (Apache-2.0), which its wheel carries
as `components/*/translations/<language>.json`. The wheel is fetched by pip, read
as a zip and never installed. Pairs share a key in the same component; the
component decides the split, see `t2t.problems.holdout`. Texts are short and
technical, and full of placeholders such as {name}.
"""

from __future__ import annotations

import itertools
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t2t import registry
from t2t.problems import holdout, made_up, wheels
from t2t.problems.holdout import Pair
from t2t.problems.problem import Example
from t2t.problems.tasks import TextToText

WHEEL = wheels.Wheel(
    "homeassistant==2026.2.3",
    "homeassistant-2026.2.3-py3-none-any.whl",
    "8167820cac4b8defe895fd2c36ac23402a445d1fe6028e8cde24caabb935282c",
    # It is for this Python only; naming it lets any pip fetch it as data.
    python="3.14",
    instead="try --problem=language_model_pydoc_subwords",
)
HELD_OUT = 0.055  # of the components, for each of dev and test


class TranslateInterface(TextToText):
    """Interface texts, English to `LANGUAGE`, a language code of the wheel."""

    METRICS = ("bleu", "chrf", "placeholders_kept", "sequence_accuracy")
    LANGUAGE = ""
    VOCABULARY_SIZE = 4096  # 140 000 words make no more pieces worth having
    licence = "Apache-2.0"

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        wheel = wheels.fetch(WHEEL, tmp_dir)
        for pair in holdout.pairs_of(
            split,
            lambda: holdout.clean(read_pairs(wheel, self.LANGUAGE)),
            holdout.split_by(HELD_OUT),
        ):
            yield {"inputs": pair.source, "targets": pair.target}

    def fake(self, split: str) -> Iterator[Example]:
        """200 made-up sentences in English and German, whatever the language."""
        for english, german in made_up.pairs(split):
            yield {"inputs": english, "targets": german}


@registry.problem
class TranslateEndeInterface(TranslateInterface):
    """Real English to German: interface texts from a published wheel, pip only."""

    LANGUAGE = "de"


@registry.problem
class TranslateEnfrInterface(TranslateInterface):
    """Real English to French: interface texts from a published wheel, pip only."""

    LANGUAGE = "fr"


@registry.problem
class TranslateEnesInterface(TranslateInterface):
    """Real English to Spanish: interface texts from a published wheel, pip only."""

    LANGUAGE = "es"


@registry.problem
class TranslateEnitInterface(TranslateInterface):
    """Real English to Italian: interface texts from a published wheel, pip only."""

    LANGUAGE = "it"


@registry.problem
class TranslateEnruInterface(TranslateInterface):
    """Real English to Russian: interface texts from a published wheel, pip only."""

    LANGUAGE = "ru"


@registry.problem
class TranslateManyInterface(TranslateInterface):
    """Real texts among six languages, any to any: '<2de> Door open', pip only.

    A component's texts are in the same split in all languages. The tag of the wanted
    language stands before the input (arXiv:1611.04558).
    """

    LANGUAGES = ("de", "en", "es", "fr", "it", "ru")
    VOCABULARY_SIZE = 8192

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        wheel = wheels.fetch(WHEEL, tmp_dir)
        for source, target in itertools.permutations(self.LANGUAGES, 2):
            for pair in holdout.pairs_of(
                split,
                lambda a=source, b=target: holdout.clean(read_pairs(wheel, b, a)),
                holdout.split_by(HELD_OUT),
            ):
                yield {"inputs": f"<2{target}> {pair.source}", "targets": pair.target}

    def fake(self, split: str) -> Iterator[Example]:
        for index, (english, german) in enumerate(made_up.pairs(split)):
            if index % 2:
                yield {"inputs": f"<2en> {german}", "targets": english}
            else:
                yield {"inputs": f"<2de> {english}", "targets": german}


def read_pairs(wheel: Path, target: str, source: str = "en") -> Iterator[Pair]:
    """Pairs of the texts that stand under one key in one component, as they are."""
    pattern = re.compile(rf"([^/]+/components/([^/]+)/translations/){target}\.json")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in sorted(names):
            match = pattern.fullmatch(name)
            other = match and f"{match[1]}{source}.json"
            if match is None or other not in names:
                continue
            given = dict(_texts(json.loads(archive.read(other))))
            wanted = dict(_texts(json.loads(archive.read(name))))
            for key in given:
                if key in wanted:
                    yield Pair(given[key], wanted[key], match[2])


def _texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(path of keys, text) of every text in a tree of dicts."""
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _texts(child, f"{key}/{name}")
    elif isinstance(node, str):
        yield key, node
