"""Features: the contract between problems and models, and what a mismatch says."""

from __future__ import annotations

import pytest

from t2t import features, registry
from t2t.features import Feature, FeatureMismatch
from t2t.text import Bytes, Subwords


def test_a_mismatch_says_what_fits() -> None:
    with pytest.raises(FeatureMismatch) as caught:
        features.check_match("image_digits", "transformer")
    assert str(caught.value) == (
        "transformer wants a 'text' feature named inputs; image_digits offers "
        "image (image), label (label): try --model=image_tokenizer or mlp or resnet"
    )
    with pytest.raises(FeatureMismatch, match="'label' feature named label"):
        features.check_match("algorithmic_copy_rev", "transformer_encoder")


def test_every_problem_has_a_model_that_takes_it() -> None:
    zoo = registry.current()
    for problem in zoo.names("problem"):
        offered = zoo.features(zoo.declaration("problem", problem))
        fitting = [
            model
            for model in zoo.names("model")
            if features.accepts(zoo.features(zoo.declaration("model", model)), offered)
        ]
        assert fitting, problem
        for model in fitting:
            features.check_match(problem, model)


@pytest.mark.parametrize(
    "wanted, offered, fits",
    [
        ({"a": "text"}, {"a": "text", "b": "label"}, True),
        ({"a": "text|image"}, {"a": "image"}, True),
        ({"a": "text"}, {"a": "image"}, False),
        ({"a": "text"}, {"b": "text"}, False),
    ],
)
def test_accepts(wanted: dict, offered: dict, fits: bool) -> None:
    assert features.accepts(wanted, offered) is fits


def test_kinds() -> None:
    assert features.text(Bytes()).size == 258
    image = features.image(2, 3, 1)
    assert (image.shape, image.dtype, image.axes) == ((2, 3, 1), "uint8", "HWC")
    assert features.label(Bytes()).shape == ()


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 2 axis letters, not 'T'"):
        Feature("real", (3, 4), "float32", "T")
    with pytest.raises(ValueError, match="'image' feature has no vocabulary"):
        _ = features.image(2, 3, 1).size
    with pytest.raises(ValueError):
        _ = features.text(Subwords("never_built", 300)).size
