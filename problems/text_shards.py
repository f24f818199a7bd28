"""Pairs that Tensor2Tensor's t2t-datagen wrote: TFRecord shards of ids, and vocab.*.

    --problem=text2text_shards --inputs='data/translate_ende_wmt32k-train-*' \\
        --gin_param="text2text_shards.vocabulary='data/vocab.translate_ende_wmt32k.32768.subwords'"

A record is a `tf.train.Example` with `inputs` and `targets`, Int64List, each ending
with 1. Ids are read as text and encoded again by the same subwords, which gives the
same ids. Shards of '-dev-' and '-test-' beside those of '-train-' are dev and test;
what there are no shards of is held out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t2t import registry
from t2t.problems import holdout, lines, made_up
from t2t.problems.lines import UnreadableFile
from t2t.problems.problem import DEV, TEST, TRAIN, Example
from t2t.problems.tasks import TextToText

HELD_OUT = 0.02  # of the training pairs, for each of dev and test without shards


@registry.problem("text2text_shards")
class TextToTextShards(TextToText):
    """Pairs in TFRecord shards of Tensor2Tensor 1.x, with its vocabulary.

    Args:
      inputs: a pattern of the training shards, such as 'data/NAME-train-*'.
      vocabulary: their file, 'data/vocab.NAME.SIZE.subwords'.
    """

    licence = "the user's own"

    def __init__(
        self, *, inputs: str = "", vocabulary: str = "", vocabulary_size: int = 0
    ) -> None:
        kind = vocabulary or "subwords"
        super().__init__(vocabulary=kind, vocabulary_size=vocabulary_size)
        self.inputs, self.file = inputs, vocabulary

    def examples(self, split: str, tmp_dir: Path) -> Iterator[Example]:
        name = "text2text_shards"
        if not self.inputs:
            raise UnreadableFile(f"{name} needs --inputs='DATA/NAME-train-*'")
        if not self.vocabulary.built:
            raise UnreadableFile(
                f"{name} needs the shards' vocabulary, not {self.file or 'none'}: "
                f"--gin_param=\"{name}.vocabulary='DATA/vocab.NAME.SIZE.subwords'\""
            )
        own = self._shards(split)
        lacking = [other for other in (DEV, TEST) if not self._shards(other)]
        for pair in self._pairs(own or self._shards(TRAIN)):
            if split == self._split_of(pair["inputs"], split, lacking):
                yield pair

    def _split_of(self, inputs: str, split: str, lacking: list[str]) -> str:
        """Which split a pair of these shards is of."""
        if split not in (TRAIN, *lacking):
            return split
        place = int(holdout.share(holdout.near(inputs)) / HELD_OUT)
        return lacking[place] if place < len(lacking) else TRAIN

    def _shards(self, split: str) -> list[Path]:
        pattern = self.inputs
        if split != TRAIN:
            pattern = pattern.replace(f"-{TRAIN}", f"-{split}")
            if pattern == self.inputs:
                return []
            try:
                return lines.matching(pattern)
            except UnreadableFile:
                return []
        return lines.matching(pattern)

    def _pairs(self, shards: list[Path]) -> Iterator[Example]:
        import tensorflow as tf

        for path in shards:
            try:
                for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                    yield self._pair(tf.train.Example.FromString(record), path)
            except tf.errors.DataLossError as error:
                raise UnreadableFile(f"{path} is damaged: {error}") from None

    def _pair(self, record: Any, path: Path) -> Example:
        found = record.features.feature
        ids = {name: list(found[name].int64_list.value) for name in self.FEATURES}
        packed = "inputs_segmentation" in found
        if (
            packed
            or not all(ids.values())
            or max(map(max, ids.values())) >= (self.vocabulary.size)
        ):
            raise UnreadableFile(
                f"{path} holds {sorted(found)}"
                + (", packed" if packed else "")
                + f": inputs and targets of ids below {self.vocabulary.size} are "
                "expected, one example a record"
            )
        return {name: self.vocabulary.decode(value) for name, value in ids.items()}

    def fake(self, split: str) -> Iterator[Example]:
        for english, german in made_up.pairs(split):
            yield {"inputs": english, "targets": german}
