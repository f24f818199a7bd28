"""Policies in the runtimes of others: ONNX Runtime's and LiteRT's Python.

Each answers a `Host` with the graph that `t2t.export` wrote. For small networks the
flat weights of `flat` are quicker and need neither.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from t2t.bridge.episodes import Questions
from t2t.bridge.flat import BadPolicy


class OnnxPolicy:
    """An .onnx file, by ONNX Runtime, on one thread.

    Raises:
      ImportError: without onnxruntime, with how to install it.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                "an ONNX policy needs onnxruntime: pip install -e '.[runners]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self.names = [one.name for one in self._session.get_inputs()]

    def decide(self, features: np.ndarray) -> np.ndarray:
        """records [N], with at least these features -> advice [N, …]."""
        _check(self.names, features)
        return self._session.run(None, {name: features[name] for name in self.names})[0]

    def __call__(self, questions: Questions) -> np.ndarray:
        return self.decide(questions.observations)


class LitePolicy:
    """A .tflite file, by LiteRT.

    Raises:
      ImportError: without ai-edge-litert, with how to install it.
    """

    def __init__(self, path: Path) -> None:
        try:
            from ai_edge_litert import interpreter
        except ImportError as error:
            raise ImportError(
                "a LiteRT policy needs ai-edge-litert: pip install -e '.[runners]'"
            ) from error
        self._interpreter = interpreter.Interpreter(str(path), num_threads=1)
        # The converter's names have a signature's name before and a number after.
        self._inputs = {
            detail["name"].removeprefix("serving_default_").partition(":")[0]: detail
            for detail in self._interpreter.get_input_details()
        }
        self._count = 0

    @property
    def names(self) -> list[str]:
        return list(self._inputs)

    def decide(self, features: np.ndarray) -> np.ndarray:
        """records [N], with at least these features -> advice [N, …]."""
        _check(self.names, features)
        if len(features) != self._count:
            self._resize(len(features))
        for name, detail in self._inputs.items():
            value = np.ascontiguousarray(features[name])
            self._interpreter.set_tensor(detail["index"], value)
        self._interpreter.invoke()
        output = self._interpreter.get_output_details()[0]
        return self._interpreter.get_tensor(output["index"])

    def __call__(self, questions: Questions) -> np.ndarray:
        return self.decide(questions.observations)

    def _resize(self, count: int) -> None:
        for detail in self._inputs.values():
            shape: Any = [count, *detail["shape"][1:]]
            self._interpreter.resize_tensor_input(detail["index"], shape)
        self._interpreter.allocate_tensors()
        self._count = count


def _check(names: list[str], features: np.ndarray) -> None:
    missing = [name for name in names if name not in (features.dtype.names or ())]
    if missing:
        raise BadPolicy(
            f"the policy is of other features: no feature {', '.join(missing)}"
        )
