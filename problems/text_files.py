"""The user's own text, without code: line-aligned files, TSV, JSONL, or gz of any.

    --problem=text2text_files --inputs=a.en --targets=a.de
    --problem=text2text_files --inputs=pairs.tsv          (or .jsonl)

What is not given as a file of its own is held out: dev and test get 1 000 lines
each, at most a tenth. The near-form of the input decides the split and near-copies
leave dev and test, see `t2t.problems.holdout`. Dev and test files that are given
are taken as they are. Pairs with an empty side are passed over. Text is UTF-8; a
byte order mark and '\\r' at the end of a line are dropped, anything else that is
not UTF-8 is refused with its line. The files are streamed, never held in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from t2t import registry
from t2t.problems import holdout, lines, made_up
from t2t.problems.holdout import Pair
from t2t.problems.lines import UnreadableFile
from t2t.problems.problem import DEV, TEST, TRAIN, Example, Problem
from t2t.problems.tasks import (
    LanguageModel,
    TextClass,
    TextToReal,
    TextToText,
    real_number,
)
from t2t.text.passages import passages

HELD_OUT_LINES = 1000  # for each of dev and test
MOST_HELD_OUT = 0.1  # of all lines, for each of dev and test


class FromFiles(Problem):
    """`files` names the files of each split, of which the first has the inputs."""

    files: dict[str, tuple[str, ...]]
    licence = "the user's own"

    def without_examples(self, split: str) -> str:
        own, train = self.files[split][0], self.files[TRAIN][0]
        if own or split == TRAIN:
            return f"{own} holds no text to learn from"
        return (
            f"{train} has too few different lines to hold any out for {split}: give a "
            f"file by --gin_param=\"{self.name}.{split}_inputs='FILE'\" (and its like)"
        )


@registry.problem("text2text_files")
class TextToTextFiles(FromFiles, TextToText):
    """Your own pairs: two line-aligned files, or one .tsv or .jsonl (gz too).

    Args:
      inputs: file of input lines; or of both sides, as .tsv (input, target) or
        .jsonl ({"inputs": …, "targets": …}).
      targets: file of target lines, when `inputs` holds one side only.
      dev_inputs, dev_targets, test_inputs, test_targets: likewise.
    """

    def __init__(
        self,
        *,
        inputs: str = "",
        targets: str = "",
        dev_inputs: str = "",
        dev_targets: str = "",
        test_inputs: str = "",
        test_targets: str = "",
        vocabulary: str = "",
        vocabulary_size: int = 0,
    ) -> None:
        super().__init__(vocabulary=vocabulary, vocabulary_size=vocabulary_size)
        self.files = {
            TRAIN: (inputs, targets),
            DEV: (dev_inputs, dev_targets),
            TEST: (test_inputs, test_targets),
        }

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        for pair in self._pairs(split):
            yield {"inputs": pair.source, "targets": pair.target}

    def _pairs(self, split: str) -> Iterator[Pair]:
        own = split if split == TRAIN or self.files[split][0] else TRAIN
        given, targets = self.files[own]
        lines.check_pair(self.name or "text2text_files", given, targets, "targets")

        def read() -> Iterator[Pair]:
            for source, target in lines.pairs(given, targets, "targets"):
                if source.strip() and target.strip():
                    yield Pair(source, target, holdout.near(source))

        if own != TRAIN:
            return read()
        split_of = _held_out(self.files, lines.count(given))
        return holdout.pairs_of(split, read, lambda pair: split_of(pair.group))

    def fake(self, split: str) -> Iterator[Example]:
        for english, german in made_up.pairs(split):
            yield {"inputs": english, "targets": german}


@registry.problem("language_model_files")
class LanguageModelFiles(FromFiles, LanguageModel):
    """Your own running text: one file, or a pattern such as 'books/*.txt' (gz too).

    An example is a passage: whole lines up to `longest` characters, ended early by
    a blank line. Choose `longest` so that a passage fits in the set's max_length.

    Args:
      inputs, dev_inputs, test_inputs: a file or a pattern with * and ?.
      longest: characters of a passage.
    """

    def __init__(
        self,
        *,
        inputs: str = "",
        dev_inputs: str = "",
        test_inputs: str = "",
        longest: int = 600,
        vocabulary: str = "",
        vocabulary_size: int = 0,
    ) -> None:
        super().__init__(vocabulary=vocabulary, vocabulary_size=vocabulary_size)
        self.files = {TRAIN: (inputs,), DEV: (dev_inputs,), TEST: (test_inputs,)}
        self.longest = longest

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        own = split if split == TRAIN or self.files[split][0] else TRAIN
        (pattern,) = self.files[own]
        if not pattern:
            raise UnreadableFile(
                f"{self.name or 'language_model_files'} needs --inputs=FILE of text"
            )
        paths = lines.matching(pattern)
        texts = (
            text
            for path in paths
            for text in passages(lines.read(path), longest=self.longest)
            if text.strip()
        )
        if own != TRAIN:
            yield from ({"targets": text} for text in texts)
            return
        characters = sum(path.stat().st_size for path in paths)
        split_of = _held_out(self.files, characters // self.longest)
        for text in texts:
            if split_of(holdout.near(text)) == split:
                yield {"targets": text}

    def fake(self, split: str) -> Iterator[Example]:
        for sentence in made_up.sentences(split):
            yield {"targets": sentence}


@registry.problem("text_class_files")
class TextClassFiles(FromFiles, TextClass):
    """Your own labelled texts: two line-aligned files, or one .tsv or .jsonl.

    Args:
      inputs: file of texts; or of both, as .tsv (text, label) or .jsonl
        ({"inputs": …, "label": …}).
      labels: file of labels, when `inputs` holds only texts.
      dev_inputs, dev_labels, test_inputs, test_labels: likewise.
    """

    def __init__(
        self,
        *,
        inputs: str = "",
        labels: str = "",
        dev_inputs: str = "",
        dev_labels: str = "",
        test_inputs: str = "",
        test_labels: str = "",
        vocabulary: str = "",
        vocabulary_size: int = 0,
    ) -> None:
        super().__init__(vocabulary=vocabulary, vocabulary_size=vocabulary_size)
        self.files = {
            TRAIN: (inputs, labels),
            DEV: (dev_inputs, dev_labels),
            TEST: (test_inputs, test_labels),
        }

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        own = split if split == TRAIN or self.files[split][0] else TRAIN
        given, labels = self.files[own]
        lines.check_pair(self.name or "text_class_files", given, labels, "label")
        split_of = _held_out(self.files, lines.count(given) if own == TRAIN else 0)
        for text, label in lines.pairs(given, labels, "label"):
            if not text.strip() or not label.strip():
                continue
            if own != TRAIN or split_of(holdout.near(text)) == split:
                yield {"inputs": text, "label": label.strip()}

    def fake(self, split: str) -> Iterator[Example]:
        for text, label in made_up.labelled(split, ("good", "bad")):
            yield {"inputs": text, "label": label}


@registry.problem("text_real_files")
class TextRealFiles(FromFiles, TextToReal):
    """Your own texts with a number each: two line-aligned files, .tsv or .jsonl.

    Args:
      inputs: file of texts; or of both, as .tsv (text, number) or .jsonl
        ({"inputs": …, "targets": …}).
      targets: file of numbers, when `inputs` holds only texts.
      dev_inputs, dev_targets, test_inputs, test_targets: likewise.
    """

    def __init__(
        self,
        *,
        inputs: str = "",
        targets: str = "",
        dev_inputs: str = "",
        dev_targets: str = "",
        test_inputs: str = "",
        test_targets: str = "",
        vocabulary: str = "",
        vocabulary_size: int = 0,
    ) -> None:
        super().__init__(vocabulary=vocabulary, vocabulary_size=vocabulary_size)
        self.files = {
            TRAIN: (inputs, targets),
            DEV: (dev_inputs, dev_targets),
            TEST: (test_inputs, test_targets),
        }

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        own = split if split == TRAIN or self.files[split][0] else TRAIN
        given, numbers = self.files[own]
        name = self.name or "text_real_files"
        lines.check_pair(name, given, numbers, "targets")
        split_of = _held_out(self.files, lines.count(given) if own == TRAIN else 0)
        for row, (text, number) in enumerate(lines.pairs(given, numbers, "targets"), 1):
            if not text.strip() or not number.strip():
                continue
            if own != TRAIN or split_of(holdout.near(text)) == split:
                yield {"inputs": text, "targets": [_number(number, f"{given}:{row}")]}

    def fake(self, split: str) -> Iterator[Example]:
        for text, label in made_up.labelled(split, ("1", "-2.5")):
            yield {"inputs": text, "targets": [float(label)]}


def _number(text: str, place: str) -> float:
    try:
        return real_number(text)
    except ValueError as error:
        raise UnreadableFile(f"{place}: {error}") from None


def _held_out(files: dict[str, tuple[str, ...]], examples: int) -> Callable[[str], str]:
    """The split of a text by its near-form; splits with a file get nothing."""
    part = min(MOST_HELD_OUT, HELD_OUT_LINES / max(1, examples))
    missing = [split for split in (DEV, TEST) if not files[split][0]]

    def split_of(form: str) -> str:
        place = int(holdout.share(form) / part)
        return missing[place] if place < len(missing) else TRAIN

    return split_of
