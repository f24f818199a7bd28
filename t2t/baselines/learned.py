"""Baselines of scikit-learn, for classes and for numbers that belong to a text, a
picture or a row of a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from t2t.baselines.examples import Examples, number_errors

MOST_ORDERED = 255  # values of a category that boosted trees tell apart
Found = tuple[str, dict[str, float]]


def sklearn(module: str) -> Any:
    """A module of scikit-learn.

    Raises:
      ImportError: with how to install it.
    """
    from importlib import import_module

    try:
        return import_module(f"sklearn.{module}")
    except ImportError:
        raise ImportError(
            "baselines need scikit-learn: pip install -e '.[baselines]'"
        ) from None


def classes(known: Examples, asked: Examples) -> Iterator[Found]:
    """Accuracy and cross-entropy, in nats, of what tells labels."""
    size = asked.features[asked.target].size
    counts = np.bincount(known.told, minlength=size)

    def judged(model: Any, x: Any) -> dict[str, float]:
        chances = np.zeros((len(asked), size))
        chances[:, model.classes_] = model.predict_proba(x)
        return class_scores(chances, asked.told)

    frequent = np.tile(counts / counts.sum(), (len(asked), 1))
    yield "most frequent class", class_scores(frequent, asked.told)
    linear = sklearn("linear_model").LogisticRegression(max_iter=300)
    kinds = {feature.kind for feature in asked.inputs.values()}
    if kinds == {"text"}:
        x, other = counted(known, asked)
        bayes = sklearn("naive_bayes").MultinomialNB().fit(x, known.told)
        yield "naive Bayes", judged(bayes, other)
        x, other = weighed(known, asked)
        yield "TF-IDF, logistic regression", judged(linear.fit(x, known.told), other)
        return
    x, other = flat(known, asked)
    yield "logistic regression", judged(linear.fit(x, known.told), other)
    if "categories" in asked.features:
        trees = _boosted("HistGradientBoostingClassifier", asked)
        trees.fit(ordered(known), known.told)
        yield "gradient boosting", judged(trees, ordered(asked))


def numbers(known: Examples, asked: Examples) -> Iterator[Found]:
    """Errors of what tells numbers."""
    mean = known.told.mean(axis=0, keepdims=True)
    yield "mean", number_errors(mean, asked.told)
    yield linear_numbers(known, asked)
    if "categories" in asked.features:
        trees = _boosted("HistGradientBoostingRegressor", asked)
        trees.fit(ordered(known), known.told[:, 0])
        found = trees.predict(ordered(asked))[:, None]
        yield "gradient boosting", number_errors(found, asked.told)


def linear_numbers(known: Examples, asked: Examples) -> Found:
    """Least squares, with the least of ridges."""
    ridge = sklearn("linear_model").Ridge(alpha=1.0)
    texts = {feature.kind for feature in asked.inputs.values()} == {"text"}
    x, other = (weighed if texts else flat)(known, asked)
    found = np.reshape(ridge.fit(x, known.told).predict(other), asked.told.shape)
    name = "TF-IDF, linear regression" if texts else "linear regression"
    return name, number_errors(found, asked.told)


def class_scores(chances: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Of probabilities [N, V]; none counts as less than one in a million."""
    told = np.maximum(chances[np.arange(len(labels)), labels], 1e-6)
    return {
        "accuracy": float((chances.argmax(axis=1) == labels).mean()),
        "cross_entropy": float(-np.log(told).mean()),
    }


# -- what they see -------------------------------------------------------------------


def weighed(known: Examples, asked: Examples) -> tuple[Any, Any]:
    """TF-IDF of words and of two in a row."""
    return _words(known, asked, "TfidfVectorizer", sublinear_tf=True)


def counted(known: Examples, asked: Examples) -> tuple[Any, Any]:
    return _words(known, asked, "CountVectorizer")


def _words(
    known: Examples, asked: Examples, kind: str, **given: Any
) -> tuple[Any, Any]:
    made = getattr(sklearn("feature_extraction.text"), kind)(
        ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b|[^\w\s]", **given
    )
    (name,) = asked.inputs
    return made.fit_transform(known.columns[name]), made.transform(asked.columns[name])


def flat(known: Examples, asked: Examples) -> tuple[Any, Any]:
    """[N, D]: pixels from 0 to 1, numbers scaled, a column for each category."""
    steps = sklearn("preprocessing")
    parts: tuple[list[Any], list[Any]] = ([], [])
    for name, feature in asked.inputs.items():
        sides = [e.columns[name].reshape(len(e), -1) for e in (known, asked)]
        if not sides[0].shape[1]:
            continue
        if feature.kind == "image":
            sides = [side / 255.0 for side in sides]
        else:
            step = steps.StandardScaler()
            if feature.kind == "label":
                step = steps.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            sides = [step.fit_transform(sides[0]), step.transform(sides[1])]
        for part, side in zip(parts, sides, strict=True):
            part.append(side)
    return np.concatenate(parts[0], axis=1), np.concatenate(parts[1], axis=1)


def ordered(examples: Examples) -> np.ndarray:
    """[N, columns]: the ids of categories, then the numbers."""
    ids, numbers = examples.columns["categories"], examples.columns["numbers"]
    return np.concatenate([ids, numbers], axis=1)


def _boosted(kind: str, asked: Examples) -> Any:
    """Gradient boosted trees with scikit-learn's own settings."""
    columns: Any = asked.features["categories"].vocabulary
    few = [1 + len(values) <= MOST_ORDERED for values in columns.categories.values()]
    made = getattr(sklearn("ensemble"), kind)
    numbers = [False] * len(columns.numbers)
    return made(categorical_features=[*few, *numbers], random_state=0)
