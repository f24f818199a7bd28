"""Splitting a parallel corpus so that no test sentence is known from training.

The rule, in two parts. First, the *group* of a pair (a component, a page, a
package) decides its split by a hash, so that sentences of one place stay
together. Second, dev and test lose every pair whose source or target is a
near-copy of one in train, dev loses the near-copies of test, and each keeps one
of its own near-copies. Training loses nothing.

Near-copies are texts equal once case, digits, punctuation and placeholders are
gone. Memory holds the dev or test pairs and never the training set.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from t2t import metrics
from t2t.problems.problem import DEV, TEST, TRAIN

_NOT_LETTERS = re.compile(r"[\W\d_]+")
_SPACE = re.compile(r"\s+")


class Pair(NamedTuple):
    """A sentence, its translation, and the place that both come from."""

    source: str
    target: str
    group: str


def one_line(text: str) -> str:
    """The text with each run of white space as one space, none at the ends."""
    return _SPACE.sub(" ", text).strip()


def clean(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """One-line pairs, without empty, untranslated, repeated or mismatched ones.

    A pair is mismatched when the multisets of its placeholders differ.
    """
    seen: set[bytes] = set()
    for pair in pairs:
        source, target = one_line(pair.source), one_line(pair.target)
        if not source or not target or source == target:
            continue
        if metrics.placeholders(source) != metrics.placeholders(target):
            continue
        both = f"{source}\n{target}".encode("utf-8", "replace")
        key = hashlib.blake2b(both, digest_size=12).digest()
        if key in seen:
            continue
        seen.add(key)
        yield Pair(source, target, pair.group)


def near(text: str) -> str:
    """What near-copies have in common; the text itself when it has no letters."""
    for placeholder in metrics.placeholders(text):
        text = text.replace(placeholder, " ")
    return _NOT_LETTERS.sub(" ", text.casefold()).strip() or text


def share(group: str) -> float:
    """A number in [0, 1) that depends on the group's name alone."""
    digest = hashlib.blake2b(group.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_by(held_out: float) -> Callable[[Pair], str]:
    """The split of a pair by its group; dev and test get `held_out` each."""

    def split(pair: Pair) -> str:
        place = share(pair.group)
        return TEST if place < held_out else DEV if place < 2 * held_out else TRAIN

    return split


def pairs_of(
    split: str, read: Callable[[], Iterable[Pair]], split_of: Callable[[Pair], str]
) -> Iterator[Pair]:
    """The pairs of one split by the rule above, in the order of `read()`.

    For dev and test the corpus is read twice.
    """
    if split not in (DEV, TEST):
        yield from (pair for pair in read() if split_of(pair) == split)
        return
    kept = _each_once(pair for pair in read() if split_of(pair) == split)
    sources = {near(pair.source) for pair in kept}
    targets = {near(pair.target) for pair in kept}
    known = (TRAIN,) if split == TEST else (TRAIN, TEST)
    for pair in read():
        if split_of(pair) in known:
            sources.discard(near(pair.source))
            targets.discard(near(pair.target))
    for pair in kept:
        if near(pair.source) in sources and near(pair.target) in targets:
            yield pair


def _each_once(pairs: Iterable[Pair]) -> list[Pair]:
    """The first pair of each near-copied source and of each near-copied target."""
    sources: set[str] = set()
    targets: set[str] = set()
    kept = []
    for pair in pairs:
        source, target = near(pair.source), near(pair.target)
        if source not in sources and target not in targets:
            kept.append(pair)
        sources.add(source)
        targets.add(target)
    return kept


def leaks(train: Iterable[Pair], held_out: Iterable[Pair]) -> list[Pair]:
    """The held-out pairs of which training holds a near-copy, on either side."""
    held_out = list(held_out)
    sources = {near(pair.source) for pair in held_out}
    targets = {near(pair.target) for pair in held_out}
    known_sources: set[str] = set()
    known_targets: set[str] = set()
    for pair in train:
        if (source := near(pair.source)) in sources:
            known_sources.add(source)
        if (target := near(pair.target)) in targets:
            known_targets.add(target)
    return [
        pair
        for pair in held_out
        if near(pair.source) in known_sources or near(pair.target) in known_targets
    ]
