"""Tensors, headers, records, and what they become elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from toys import INLINE, headers, records

from t2t.bridge import features, specs
from t2t.bridge.specs import BadSpec, Header, TensorSpec


@given(headers)
def test_headers_go_through_json(header: Header):
    assert Header.from_plain(json.loads(json.dumps(header.plain()))) == header


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "not a header"),
        ({"features": []}, "0 features"),
        ({"features": [{"name": "a"}]}, "not a tensor's description"),
        ({"features": [{"name": "a", "type": "bool", "shape": [1]}]}, "expected float"),
        ({"features": [{"name": "a", "type": "float", "shape": [True]}]}, "no shape"),
        ({"features": [{"name": "a", "type": "float", "shape": [1 << 40]}]}, "bytes"),
        ({"features": [{"name": "a", "type": "float", "shape": [1]}] * 2}, "two"),
    ],
)
def test_what_is_no_header_is_refused_with_the_reason(value: object, message: str):
    with pytest.raises(BadSpec, match=message):
        Header.from_plain(value)


def test_the_default_decision_is_the_last_feature_of_the_advices_kind():
    assert INLINE.default == "inlining_default"
    assert Header(INLINE.features[:-1], INLINE.advice).default == ""
    other = TensorSpec("inlining_default", "float")
    assert Header((*INLINE.features[:-1], other), INLINE.advice).default == ""


def test_records_are_as_they_travel():
    header = Header((TensorSpec("a", "int8_t"), TensorSpec("b", "double", (2, 2))))
    assert header.record.itemsize == 33
    rows = records(header, 3, 0)
    again = np.frombuffer(rows.tobytes(), header.record)
    assert again["b"].shape == (3, 2, 2) and (again["b"] == rows["b"]).all()
    matrix = specs.matrix(again, ["b", "a"])
    assert matrix.shape == (3, 5) and matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix[:, 4], rows["a"][:, 0])


def test_what_a_policy_wants_is_compared_by_name_type_and_shape():
    wanted = [
        TensorSpec("a", "float"),
        TensorSpec("b", "float"),
        TensorSpec("c", "float"),
    ]
    offered = [TensorSpec("a", "float"), TensorSpec("b", "int64_t", (3,))]
    found = specs.difference(wanted, offered)
    assert found == "no feature c; b is int64_t[3], not float[1]"
    assert specs.difference(wanted[:1], offered) == ""


def test_tensors_become_features():
    found = features.features_of(INLINE)
    assert "inlining_default" not in found and len(found) == 38
    mask = features.feature_of(TensorSpec("mask", "int64_t", (1, 33)))
    assert (mask.kind, mask.shape, mask.dtype) == ("real", (1, 33), "float32")
    assert features.choice(2).size == 2
    with pytest.raises(ValueError, match="5 axes"):
        features.feature_of(TensorSpec("x", "float", (1,) * 5))
