"""Every registered problem: declared well, faked well, encoded and decoded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import kit
import numpy as np
import pytest

from t2t import metrics, registry
from t2t.media.tokenizers import Tokenizer
from t2t.problems.problem import Example, Problem

ZOO = registry.current()
EVERY = pytest.mark.parametrize("name", kit.problems())


def _problem(name: str) -> Problem:
    return ZOO.load("problem", name)()


def _same(one: Iterable[Example], other: Iterable[Example]) -> bool:
    return all(
        np.array_equal(a[key], b[key])
        for a, b in zip(one, other, strict=True)
        for key in a
    )


@EVERY
def test_declaration(name: str) -> None:
    declaration = ZOO.declaration("problem", name)
    problem = _problem(name)
    assert ZOO.features(declaration) == problem.FEATURES
    assert {n: f.kind for n, f in problem.features.items()} == problem.FEATURES
    assert declaration.summary.endswith(".") and len(declaration.summary) <= 88
    assert problem.TARGET in problem.FEATURES
    assert problem.licence != "unknown"
    for metric in problem.METRICS:
        metrics.metric(metric)


@EVERY
def test_fake_examples_make_the_round_trip(name: str) -> None:
    problem = _problem(name)
    examples = list(problem.fake("train"))
    assert len(examples) == 200 and _same(examples, problem.fake("train"))
    assert not _same(examples, problem.fake("test"))
    for vocabulary in problem.vocabularies.values():
        if hasattr(vocabulary, "wanted_size"):
            vocabulary.wanted_size = 330  # type: ignore[attr-defined]
        # A trained tokenizer adds no ids, and `fake` needs none.
        if not vocabulary.built and not isinstance(vocabulary, Tokenizer):
            vocabulary.build(problem.text_for_vocabulary(vocabulary, examples))
    for example in examples[:20]:
        encoded = problem.encode(example)
        for feature_name, feature in problem.features.items():
            array: Any = encoded[feature_name]
            assert array.dtype == feature.dtype
            assert array.ndim == len(feature.shape)
            # A conversation is laid out, its slots are not in the raw example.
            value = example.get(feature_name)
            if feature.vocabulary is not None and isinstance(value, str):
                assert feature.vocabulary.decode(np.atleast_1d(array)) == value


@pytest.mark.parametrize(
    "module", sorted(p.stem for p in (registry.ZOO / "problems").glob("*.py"))
)
def test_no_problem_imports_the_heavy_ones_at_the_top(module: str) -> None:
    source = (Path(registry.ZOO) / "problems" / f"{module}.py").read_text()
    tops = [line for line in source.splitlines() if line.startswith(("import", "from"))]
    for heavy in ("tensorflow", "sklearn", "t2t.models", "t2t.train", "keras"):
        assert not any(heavy in line for line in tops)
