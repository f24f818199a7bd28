"""Every problem: a perfect prediction scores perfect, and batches are the contract."""

from __future__ import annotations

import itertools
from typing import Any

import kit
import numpy as np
import pytest

from t2t import metrics, registry
from t2t.data.batching import Packed, Rows
from t2t.features import number_text
from t2t.media.tokenizers import Tokenizer
from t2t.problems.problem import Problem

ZOO = registry.current()
EVERY = pytest.mark.parametrize("name", kit.problems())
LENGTH = 64


class Encoded:
    """A stream of a problem's fake examples, each once."""

    def __init__(self, problem: Problem) -> None:
        fakes = itertools.islice(problem.fake("train"), 20)
        self._examples = [problem.encode(example) for example in fakes]
        self._next = 0
        self.size, self.epoch = len(self._examples), 0.0

    def next(self) -> tuple[int, Any]:
        if self._next == self.size:
            raise StopIteration
        self._next += 1
        return self._next - 1, self._examples[self._next - 1]

    def fetch(self, reference: int) -> Any:
        return self._examples[reference]

    def state(self) -> dict[str, Any]:
        return {"next": self._next}

    def restore(self, state: dict[str, Any]) -> None:
        self._next = state["next"]


def _built(name: str) -> Problem:
    problem = ZOO.load("problem", name)()
    problem.name = name
    for vocabulary in problem.vocabularies.values():
        if hasattr(vocabulary, "wanted_size"):
            vocabulary.wanted_size = 330
        # A trained tokenizer adds no ids, and `fake` needs none.
        if not vocabulary.built and not isinstance(vocabulary, Tokenizer):
            texts = problem.text_for_vocabulary(vocabulary, problem.fake("train"))
            vocabulary.build(texts)
    return problem


@EVERY
def test_a_perfect_prediction_scores_perfect(name: str) -> None:
    problem = ZOO.load("problem", name)()
    if not problem.METRICS:
        pytest.skip("its metrics are the model's own")
    targets = [
        number_text(target) if isinstance(target, list) else str(target)
        for target in (example[problem.TARGET] for example in problem.fake("test"))
    ]
    for metric, score in metrics.scores(problem.METRICS, targets, targets).items():
        assert score == pytest.approx(metrics.metric(metric).perfect), metric
    wrong = [f"{target} x" for target in targets]
    for metric, score in metrics.scores(problem.METRICS, targets, wrong).items():
        if metric != "placeholders_kept":  # a letter more keeps them all
            assert score < metrics.metric(metric).perfect, metric


@EVERY
def test_batches_keep_the_contract(name: str) -> None:
    problem = _built(name)
    features = problem.offered()
    texts = [n for n, f in features.items() if f.sequence]
    kind = Packed if kit.packs(features) else Rows
    batch = kind(
        Encoded(problem), features, buckets={LENGTH: 4}, drop_long=False
    ).next()
    for feature_name, feature in features.items():
        values = batch[feature_name]
        expected = [LENGTH if size is None else size for size in feature.shape]
        assert values.dtype == feature.dtype and list(values.shape[1:]) == expected
        if feature.vocabulary is not None:
            assert values.min() >= 0 and values.max() < feature.size
    for text in texts:
        segments, positions = batch[f"{text}_segments"], batch[f"{text}_positions"]
        assert ((batch[text] == 0) <= (segments == 0)).all()
        for row in range(len(segments)):
            for segment in range(1, segments[row].max() + 1):
                own = segments[row] == segment
                np.testing.assert_array_equal(positions[row][own], np.arange(own.sum()))
                assert batch[text][row][own][-1] == 1, "ends with EOS"
    assert ("weights" in batch) is (kind is Rows)
