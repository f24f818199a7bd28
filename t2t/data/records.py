"""One example on disk: a `tf.train.Example` protobuf, without TensorFlow.

The message type is described here by hand, in a descriptor pool of its own, so
a worker that encodes starts in milliseconds and any tool that reads
`tf.train.Example` (tensorflow-datasets, Tensor2Tensor) reads these records.

The format keeps values only. Dtype and shape come back from the problem's
`Feature`; a feature of which more than one axis varies also stores `NAME/shape`.
uint8 arrays are one byte string, other whole numbers int64, floats float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from t2t.features import Feature

Encoded = dict[str, np.ndarray]

_LISTS = (
    ("bytes_list", "BytesList", "TYPE_BYTES"),
    ("float_list", "FloatList", "TYPE_FLOAT"),
    ("int64_list", "Int64List", "TYPE_INT64"),
)


def _example_class() -> Any:
    """The message class of tensorflow/core/example/example.proto."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="t2t/example.proto", package="tensorflow", syntax="proto3"
    )

    def message(parent: Any, name: str) -> Any:
        made = parent.add()
        made.name = name
        return made

    def add(to: Any, name: str, number: int, kind: str, of: str = "", many=False):
        to.field.add(
            name=name,
            number=number,
            type=getattr(field, kind),
            type_name=f".tensorflow.{of}" if of else None,
            label=field.LABEL_REPEATED if many else field.LABEL_OPTIONAL,
        )
        return to.field[-1]

    for _, name, kind in _LISTS:
        add(message(file.message_type, name), "value", 1, kind, many=True)
    feature = message(file.message_type, "Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, of, _) in enumerate(_LISTS, 1):
        add(feature, name, number, "TYPE_MESSAGE", of).oneof_index = 0
    features = message(file.message_type, "Features")
    entry = message(features.nested_type, "FeatureEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, "TYPE_STRING")
    add(entry, "value", 2, "TYPE_MESSAGE", "Feature")
    add(features, "feature", 1, "TYPE_MESSAGE", "Features.FeatureEntry", many=True)
    add(
        message(file.message_type, "Example"), "features", 1, "TYPE_MESSAGE", "Features"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("tensorflow.Example")
    return message_factory.GetMessageClass(found)


_Example = _example_class()


def encode(example: Mapping[str, np.ndarray], features: Mapping[str, Feature]) -> bytes:
    """The example as a serialized `tf.train.Example`, features in sorted order.

    Raises:
      ValueError: naming the feature, when an array does not fit its `Feature`.
    """
    message = _Example()
    for name in sorted(features):
        feature, array = features[name], np.asarray(example[name])
        _check(name, feature, array)
        to = message.features.feature[name]
        if array.dtype == np.uint8:
            to.bytes_list.value.append(array.tobytes())
        elif array.dtype.kind in "iub":
            to.int64_list.value.extend(array.reshape(-1).tolist())
        else:
            to.float_list.value.extend(array.reshape(-1).tolist())
        if feature.shape.count(None) > 1:
            shape = message.features.feature[f"{name}/shape"]
            shape.int64_list.value.extend(array.shape)
    # Maps have no order of their own: without this flag the bytes may vary.
    return message.SerializeToString(deterministic=True)


def decode(record: bytes, features: Mapping[str, Feature]) -> Encoded:
    """The arrays of a record, dtypes and shapes restored from `features`.

    Raises:
      ValueError: naming the feature that the record lacks.
    """
    stored = _Example.FromString(record).features.feature
    example = {}
    for name, feature in features.items():
        if name not in stored:
            raise ValueError(
                f"the record has no feature {name!r}, only {', '.join(sorted(stored))}"
            )
        value, dtype = stored[name], np.dtype(feature.dtype)
        if dtype == np.uint8:
            flat = np.frombuffer(value.bytes_list.value[0], np.uint8)
        elif dtype.kind in "iub":
            flat = np.array(value.int64_list.value, dtype)
        else:
            flat = np.array(value.float_list.value, dtype)
        example[name] = flat.reshape(_shape(name, feature, stored))
    return example


def _shape(name: str, feature: Feature, stored: Any) -> tuple[int, ...]:
    if feature.shape.count(None) > 1:
        return tuple(stored[f"{name}/shape"].int64_list.value)
    return tuple(-1 if n is None else n for n in feature.shape)


def _check(name: str, feature: Feature, array: np.ndarray) -> None:
    fits = array.ndim == len(feature.shape) and all(
        want in (None, have)
        for want, have in zip(feature.shape, array.shape, strict=True)
    )
    if not fits or array.dtype != feature.dtype or array.dtype.kind not in "iubf":
        raise ValueError(
            f"feature {name!r} is declared {feature.dtype} {list(feature.shape)}, "
            f"but an example gives {array.dtype} {list(array.shape)}"
        )
    if array.dtype == np.float64:
        raise ValueError(f"feature {name!r}: float64 is not stored, declare float32")
