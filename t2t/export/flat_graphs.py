"""Flat weights as ONNX and LiteRT graphs, for those who have these runtimes anyway.

Inputs are the features, by name, [N, *shape] in their own types; the output is the
advice: int64 [N] where a place is chosen, else float32 [N, values].
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from t2t.bridge.flat import (
    Bucketise,
    Dense,
    FlatPolicy,
    Relu,
    Squares,
    Standardise,
)

_OPSET, _IR = 17, 8
_NEVER = np.float32(-3e38)  # of a place that is not allowed


def write_onnx(policy: FlatPolicy, path: Path) -> Path:
    """Writes an ONNX model, to a temporary name first.

    Raises:
      ImportError: without onnx, with how to install it.
    """
    onnx = _onnx()
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    graph = _Onnx(helper, numpy_helper)
    inputs, flat = [], []
    for spec in policy.features:
        kind = helper.np_dtype_to_tensor_dtype(spec.dtype)
        shape = ["N", *spec.shape]
        inputs.append(helper.make_tensor_value_info(spec.name, kind, shape))
        real = graph.add("Cast", [spec.name], f"t2t/real/{spec.name}", to=1)
        flat.append(graph.add("Flatten", [real], f"t2t/flat/{spec.name}", axis=1))
    last = graph.add("Concat", flat, "t2t/inputs", axis=1)
    for number, layer in enumerate(policy.layers):
        last = graph.layer(layer, last, f"t2t/layer{number}")
    advice = policy.advice
    kind, shape = onnx.TensorProto.FLOAT, ["N", "V"]
    if policy.chooses:
        if policy.mask:
            zero = graph.constant("t2t/zero", 0.0)
            mask = flat[policy.names.index(policy.mask)]
            barred = graph.add("Equal", [mask, zero], "t2t/barred")
            never = graph.constant("t2t/never", _NEVER)
            last = graph.add("Where", [barred, never, last], "t2t/values")
        graph.add("ArgMax", [last], advice.name, axis=1, keepdims=0)
        kind, shape = onnx.TensorProto.INT64, ["N"]
    else:
        graph.add("Identity", [last], advice.name)
    output = helper.make_tensor_value_info(advice.name, kind, shape)
    made = helper.make_graph(graph.nodes, "policy", inputs, [output], graph.constants)
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=_IR)
    onnx.checker.check_model(model)
    return _write(path, model.SerializeToString())


class _Onnx:
    """A graph that grows."""

    def __init__(self, helper: Any, numpy_helper: Any) -> None:
        self._helper, self._numpy_helper = helper, numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        node = self._helper.make_node(kind, inputs, [output], **attributes)
        self.nodes.append(node)
        return output

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        array = np.asarray(value, dtype)
        self.constants.append(self._numpy_helper.from_array(array, name))
        return name

    def layer(self, layer: object, x: str, name: str) -> str:
        """Adds a layer; its output's name."""
        if isinstance(layer, Standardise):
            mean = self.constant(f"{name}/mean", layer.mean)
            scale = self.constant(f"{name}/scale", layer.scale)
            self.add("Sub", [x, mean], f"{name}/centred")
            return self.add("Mul", [f"{name}/centred", scale], name)
        if isinstance(layer, Bucketise):
            return self._bucketise(layer, x, name)
        if isinstance(layer, Squares):
            self.add("Mul", [x, x], f"{name}/squares")
            return self.add("Concat", [x, f"{name}/squares"], name, axis=1)
        if isinstance(layer, Relu):
            return self.add("Relu", [x], name)
        assert isinstance(layer, Dense)
        kernel = self.constant(f"{name}/kernel", layer.kernel)
        bias = self.constant(f"{name}/bias", layer.bias)
        return self.add("Gemm", [x, kernel, bias], name)

    def _bucketise(self, layer: Bucketise, x: str, name: str) -> str:
        edges, counts = padded(layer)
        last = self.constant(f"{name}/last", [2], np.int64)
        self.add("Unsqueeze", [x, last], f"{name}/wide")
        limits = self.constant(f"{name}/edges", edges)
        self.add("GreaterOrEqual", [f"{name}/wide", limits], f"{name}/above")
        self.add("Cast", [f"{name}/above"], f"{name}/ones", to=1)
        self.add("ReduceSum", [f"{name}/ones", last], f"{name}/rank", keepdims=0)
        return self.add(
            "Div", [f"{name}/rank", self.constant(f"{name}/counts", counts)], name
        )


def padded(layer: Bucketise) -> tuple[np.ndarray, np.ndarray]:
    """(edges [in, most] with infinity after the last, counts [in], at least 1)."""
    counts = np.array([len(edges) for edges in layer.edges])
    edges = np.full((len(counts), max(1, counts.max())), np.inf, np.float32)
    for n, some in enumerate(layer.edges):
        edges[n, : len(some)] = some
    return edges, np.maximum(counts, 1).astype(np.float32)


def write_litert(policy: FlatPolicy, path: Path) -> Path:
    """Writes a .tflite file, to a temporary name first."""
    import tensorflow as tf

    def decide(**features: Any) -> dict[str, Any]:
        parts = [
            tf.reshape(tf.cast(features[spec.name], tf.float32), (-1, spec.size))
            for spec in policy.features
        ]
        x = tf.concat(parts, axis=1)
        for layer in policy.layers:
            x = _tensors(layer, x)
        if not policy.chooses:
            return {policy.advice.name: x}
        if policy.mask:
            allowed = parts[policy.names.index(policy.mask)] != 0
            x = tf.where(allowed, x, _NEVER)
        return {policy.advice.name: tf.argmax(x, axis=1, output_type=tf.int64)}

    module = tf.Module()
    signature = {
        spec.name: tf.TensorSpec((None, *spec.shape), spec.dtype, name=spec.name)
        for spec in policy.features
    }
    function = tf.function(decide, autograph=False).get_concrete_function(**signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    return _write(path, converter.convert())


def _tensors(layer: object, x: Any) -> Any:
    import tensorflow as tf

    if isinstance(layer, Standardise):
        return (x - layer.mean) * layer.scale
    if isinstance(layer, Bucketise):
        edges, counts = padded(layer)
        above = tf.cast(x[:, :, None] >= edges[None], tf.float32)
        return tf.reduce_sum(above, axis=2) / counts
    if isinstance(layer, Squares):
        return tf.concat([x, x * x], axis=1)
    if isinstance(layer, Relu):
        return tf.nn.relu(x)
    assert isinstance(layer, Dense)
    return tf.matmul(x, layer.kernel) + layer.bias


def _write(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
    return path


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "writing ONNX needs onnx: pip install -e '.[runners]'"
        ) from error
    import onnx.checker
    import onnx.helper
    import onnx.numpy_helper

    return onnx
