"""Tensors of a compiler as the features that problems promise and models accept."""

from __future__ import annotations

from t2t.bridge.specs import Header, TensorSpec
from t2t.features import Feature

_AXES = "XYZW"


def feature_of(spec: TensorSpec) -> Feature:
    """A tensor of numbers: 'real', in float32, as models want it.

    Raises:
      ValueError: when it has more axes than there are letters.
    """
    if len(spec.shape) > len(_AXES):
        raise ValueError(f"{spec} has {len(spec.shape)} axes: at most {len(_AXES)}")
    return Feature("real", spec.shape, "float32", _AXES[: len(spec.shape)])


def choice(classes: int) -> Feature:
    """Advice that chooses among so many, such as to inline or not."""
    return Feature("label", (), "int32", "", classes=classes)


def features_of(header: Header) -> dict[str, Feature]:
    """What is observed, by name, without the compiler's own decision."""
    return {
        spec.name: feature_of(spec)
        for spec in header.features
        if spec.name != header.default
    }
