"""The forms of a run: how each is written, and how it answers when it is read again.

A reader takes examples as the program's arrays, or as strings where the form takes
strings, and gives (answer, score): only what was written is looked at.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from t2t.export.programs import Light, Program, quantise, quantised, standing_in
from t2t.export.strings import strings
from t2t.layers import adapters
from t2t.published.exporting import write_published
from t2t.published.reading import safetensors
from t2t.run import checkpoints

Answer = tuple[str, float]
Reader = Callable[[Sequence[Any]], list[Answer]]
OPSET = 17
UPDATE = "XlaDynamicUpdateSlice"  # a cache's write, which tf2onnx does not know


class ExportRefused(ValueError):
    """A form that this run does not have, or that does not answer as the run does."""


# -- SavedModel ----------------------------------------------------------------------


class Served(tf.Module):
    """A program for any number of examples, with its tokenizers where they are graphs.

    Args:
      light: int8 weights, or None for the model's own.
    """

    def __init__(self, program: Program, light: Light | None) -> None:
        super().__init__()
        self.program, self.light = program, light
        decoder = program.decoder
        if light is None:
            self.kept = [v.value for v in decoder.model.variables]
        told = "targets" if program.searches else "label"
        vocabularies = [
            decoder.features[name].vocabulary if name in decoder.features else None
            for name in (program.prompt, told)
        ]
        self.reads: Any
        self.writes: Any
        self.reads, self.writes = (strings(v) for v in vocabularies)
        self.text_in = self.reads is not None
        self.text_out = self.writes is not None and (self.text_in or not program.size)

    @property
    def signature(self) -> tf.TensorSpec:
        """Of any number of strings, rows of ids, or pictures."""
        prompt = self.program.prompt
        if self.text_in:
            return tf.TensorSpec((None,), tf.string, prompt)
        spec = self.program.signature[prompt]
        return tf.TensorSpec((None, *spec.shape[1:]), spec.dtype, prompt)

    def serve(self, **values: Any) -> dict[str, Any]:
        """{'outputs': […], 'scores' [N]} of N examples, one after another."""
        dtype = tf.string if self.text_out else tf.float32
        if not self.text_out and self.program.searches:
            dtype = tf.int32
        shape = [] if self.text_out else [None]
        outputs, scores = tf.map_fn(
            self._one,
            values[self.program.prompt],
            fn_output_signature=(tf.TensorSpec(shape, dtype), tf.TensorSpec([])),
        )
        return {"outputs": outputs, "scores": scores}

    def _one(self, value: Any) -> tuple[Any, Any]:
        if not self.text_in:
            return self._answer(value)

        def blank() -> tuple[Any, Any]:
            empty = tf.constant("") if self.text_out else tf.zeros([1])
            return empty, tf.constant(0.0)

        def written() -> tuple[Any, Any]:
            program, ids = self.program, self.reads.encode(value)
            room = min(program.size, program.decoder.max_length)
            if program.goes_on:
                return self._answer(ids[:room])
            return self._answer(tf.concat([ids[: room - 1], [1]], 0))

        # An empty line has an empty answer, as everywhere.
        return tf.cond(tf.equal(tf.strings.strip(value), ""), blank, written)

    def _answer(self, value: Any) -> tuple[Any, Any]:
        """Of one row of ids or one picture."""
        program = self.program
        if not program.size:
            outputs, score = self._run(program, value)
        else:
            given = tf.size(value)
            if not self.text_in:
                given = tf.reduce_sum(tf.cast(value != 0, tf.int32))
                value = value[:given]
            sizes = program.sizes()
            place = tf.reduce_sum(
                tf.cast(given > tf.constant(sizes[:-1], tf.int32), tf.int32)
            )
            outputs, score = tf.switch_case(
                place,
                [functools.partial(self._run, program.sized(n), value) for n in sizes],
            )
            if program.searches and self.text_out:
                outputs = outputs[: program.length(given)]  # type: ignore[arg-type]
        if not self.text_out:
            return outputs, score
        if not program.searches:
            outputs = tf.argmax(outputs, output_type=tf.int32)[None]
        return self.writes.decode(outputs), score

    def _run(self, program: Program, value: Any) -> tuple[Any, Any]:
        if program.size:
            value = tf.pad(value, [[0, program.size - tf.size(value)]])
            value = tf.ensure_shape(value, [program.size])
        values = self.light.values() if self.light else {}
        with standing_in(program.decoder.model, values):
            found = program(**{program.prompt: value[None]})
        outputs = found["outputs"][0]
        if program.searches:
            room = self.program.length(self.program.size) - outputs.shape[0]
            outputs = tf.pad(outputs, [[0, room]])
        return outputs, found["scores"][0]


def write_saved_model(program: Program, folder: Path, *, int8: bool) -> Reader:
    """A SavedModel whose `serving_default` takes strings where it can, see `Served`."""
    served = Served(program, Light(program.decoder.model) if int8 else None)
    function = tf.function(served.serve, autograph=False)
    concrete = function.get_concrete_function(**{program.prompt: served.signature})
    served.serve_function = function  # type: ignore[attr-defined]
    tf.saved_model.save(served, str(folder), signatures=concrete)
    loaded = tf.saved_model.load(str(folder))
    serving = loaded.signatures["serving_default"]  # type: ignore[union-attr]

    def answer(examples: Sequence[Any]) -> list[Answer]:
        given: Any = examples
        if not served.text_in:
            given = np.concatenate(_arrays(program, examples))
        found = serving(**{program.prompt: tf.constant(given)})
        outputs, scores = found["outputs"].numpy(), found["scores"].numpy()
        if served.text_out:
            texts = [text.decode("utf-8", "replace") for text in outputs]
        else:
            texts = _texts(program, outputs, examples)
        return list(zip(texts, map(float, scores), strict=True))

    return answer


def _texts(program: Program, outputs: Any, examples: Sequence[Any]) -> list[str]:
    """Outputs of examples that were given as arrays, or as lines."""
    return [
        program.decode(row, given=int((array != 0).sum())) if _told(example) else ""
        for row, array, example in zip(
            outputs, _arrays(program, examples), examples, strict=True
        )
    ]


def _arrays(program: Program, examples: Sequence[Any]) -> list[np.ndarray]:
    return [
        example if isinstance(example, np.ndarray) else program.encode(example)
        for example in examples
    ]


def _told(example: Any) -> bool:
    """Whether there is something to answer: an empty line has an empty answer."""
    return not isinstance(example, str) or bool(example.strip())


# -- LiteRT and ONNX -----------------------------------------------------------------


def write_litert(program: Program, folder: Path, *, int8: bool) -> Reader:
    """FOLDER/model.tflite: one example of S ids, or a picture, at a time."""
    interpreter_of = _litert()
    function = tf.function(program.__call__, autograph=False)
    concrete = function.get_concrete_function(**program.signature)
    module = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    try:
        content = converter.convert()
    except Exception as error:  # the converter has no base class of its own
        raise ExportRefused(
            f"LiteRT has no form of this model: {_first(error)}"
        ) from error
    path = folder / "model.tflite"
    path.write_bytes(content)
    interpreter = interpreter_of(model_path=str(path))
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    names = [detail["name"] for detail in interpreter.get_output_details()]
    places = [detail["index"] for detail in interpreter.get_output_details()]
    order = np.argsort(names)  # outputs before scores

    def one(value: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(taken["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(places[i]) for i in order]

    return functools.partial(_one_by_one, program, one)


def write_onnx(program: Program, folder: Path, *, int8: bool) -> Reader:
    """FOLDER/model.onnx: one example of S ids, or a picture, at a time."""
    convert, runtime = _onnx()
    names = list(program.signature)

    def answer(*values: Any) -> dict[str, Any]:
        return program(**dict(zip(names, values, strict=True)))

    try:
        model, _ = convert(
            tf.function(answer, autograph=False),
            input_signature=list(program.signature.values()),
            opset=OPSET,
            custom_op_handlers={UPDATE: (_update, [UPDATE])},
        )
    except Exception as error:  # tf2onnx raises whatever comes
        raise ExportRefused(
            f"ONNX has no form of this model: {_first(error)}"
        ) from error
    if int8:
        _lighten(model)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    session = runtime.InferenceSession(str(path))
    (taken,) = (entry.name for entry in session.get_inputs())

    def one(value: np.ndarray) -> list[np.ndarray]:
        return session.run(["outputs", "scores"], {taken: value})

    return functools.partial(_one_by_one, program, one)


def _update(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """What is before, the update, what is after, along the axis where it is shorter."""
    whole, part, start = node.input
    sizes, new = graph.get_shape(whole), graph.get_shape(part)
    pairs = enumerate(zip(sizes, new, strict=True))
    axis = next((i for i, (a, b) in pairs if a != b), 0)
    outputs, place = node.output, node.name
    graph.remove_node(node.name)

    def number(value: int) -> str:
        array = np.array([value], np.int64)
        return graph.make_const(f"{place}/{value}_{number.count()}", array).output[0]

    number.count = itertools.count().__next__  # type: ignore[attr-defined]

    def made(kind: str, *inputs: str, **attributes: Any) -> str:
        return graph.make_node(kind, list(inputs), **attributes).output[0]

    begin = made("Slice", start, number(axis), number(axis + 1))
    begin = made("Cast", begin, attr={"to": 7})
    end = made("Add", begin, number(new[axis]))
    before = made("Slice", whole, number(0), begin, number(axis))
    after = made("Slice", whole, end, number(2**62), number(axis))
    graph.make_node(
        "Concat",
        [before, part, after],
        outputs=outputs,
        name=place,
        attr={"axis": axis},
    )


def _one_by_one(
    program: Program,
    one: Callable[[np.ndarray], list[np.ndarray]],
    examples: Sequence[Any],
) -> list[Answer]:
    found = []
    for example, value in zip(examples, _arrays(program, examples), strict=True):
        if not _told(example):
            found.append(("", 0.0))
            continue
        outputs, scores = one(value)
        text = program.decode(outputs[0], given=int((value != 0).sum()))
        found.append((text, float(np.ravel(scores)[0])))
    return found


def _lighten(model: Any) -> None:
    """Puts int8 and a DequantizeLinear in place of a graph's matrices."""
    from onnx import helper, numpy_helper

    graph = model.graph
    nodes = []
    for tensor in list(graph.initializer):
        array = numpy_helper.to_array(tensor)
        if not quantised(tensor.name, array):
            continue
        whole, scale = quantise(array)
        graph.initializer.remove(tensor)
        names = [f"{tensor.name}/{part}" for part in ("int8", "scale")]
        graph.initializer.extend(
            numpy_helper.from_array(a, n)
            for a, n in zip((whole, scale[0]), names, strict=True)
        )
        nodes.append(helper.make_node("DequantizeLinear", names, [tensor.name], axis=1))
    for node in reversed(nodes):
        graph.node.insert(0, node)


# -- safetensors ---------------------------------------------------------------------


def write_safetensors(program: Program, folder: Path, *, int8: bool) -> Reader:
    """FOLDER/model.safetensors: the weights by name, to be loaded anywhere."""
    library = safetensors()
    arrays, variables = {}, program.decoder.model.variables
    variables = [v for v in variables if not adapters.own(v.path)]  # merged
    for variable in variables:
        array = np.array(variable)
        if int8 and quantised(variable.path, array):
            arrays[variable.path], arrays[f"{variable.path}.scale"] = quantise(array)
        else:
            arrays[variable.path] = np.ascontiguousarray(array)
    path = folder / "model.safetensors"
    library.save_file(arrays, str(path), metadata={"format": "np"})

    def answer(examples: Sequence[Any]) -> list[Answer]:
        read = library.load_file(str(path))
        weights = {
            name: array * read[f"{name}.scale"] if f"{name}.scale" in read else array
            for name, array in read.items()
        }
        checkpoints.assign({v.path: v for v in variables}, weights)
        return run_answers(program, examples)

    return answer


def write_transformers(program: Program, folder: Path, *, int8: bool) -> Reader:
    """config.json and model.safetensors by the names that `transformers` reads."""
    if int8:
        raise ExportRefused("transformers reads float32 weights: --weights=float32")
    decoder = program.decoder
    assert decoder.config is not None
    back = write_published(
        decoder.model, decoder.features, decoder.config, folder, safetensors().save_file
    )

    def answer(examples: Sequence[Any]) -> list[Answer]:
        kept = {v.path: np.array(v) for v in decoder.model.variables}
        checkpoints.assign({v.path: v for v in decoder.model.variables}, kept | back)
        return run_answers(program, examples)

    return answer


# -- the run itself ------------------------------------------------------------------


def run_answers(program: Program, examples: Sequence[Any]) -> list[Answer]:
    """What the run answers: lines by its decoder, pictures by its model."""
    decoder = program.decoder
    if program.size:
        outputs = decoder.outputs(examples, program.options)
        return [(best.text, best.score) for best, *_ in outputs]
    found = [program(image=tf.constant(example)) for example in examples]
    told = [decoder.tell(one["outputs"][0].numpy()) for one in found]
    return [(output.text, output.score) for output in told]


FORMATS: dict[str, Callable[..., Reader]] = {
    "saved_model": write_saved_model,
    "litert": write_litert,
    "onnx": write_onnx,
    "safetensors": write_safetensors,
    "transformers": write_transformers,
}


def write_vocabularies(program: Program, folder: Path) -> None:
    """Beside a form of ids; FOLDER/features.json says which vocabulary is whose."""
    used = {}
    for name, feature in program.decoder.features.items():
        if feature.vocabulary is not None:
            used[name] = feature.vocabulary.save(folder / "vocabularies").name
    (folder / "features.json").write_text(json.dumps(used, indent=2) + "\n")


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _litert() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError(
            "LiteRT needs its runtime: pip install -e '.[runners]'"
        ) from error
    return Interpreter


def _onnx() -> tuple[Any, Any]:
    try:
        import onnxruntime
        from tf2onnx.convert import from_function
    except ImportError as error:
        raise ImportError(
            "ONNX needs tf2onnx and onnxruntime: pip install -e '.[runners]'"
        ) from error
    return from_function, onnxruntime
