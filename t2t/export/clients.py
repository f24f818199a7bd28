"""How an export is used: a line where it takes strings, else a client of few lines.

SentencePiece has no graph in TensorFlow, and LiteRT and ONNX have no strings: beside
these lie the vocabularies, and a client that reads lines and prints answers.
"""

from __future__ import annotations

import json

from t2t.export.programs import Program
from t2t.text import Bytes, SentencePiece

USAGE = {
    "saved_model": (
        'tf.saved_model.load(FOLDER).signatures["serving_default"](inputs=[…])'
    ),
    "safetensors": 'safetensors.numpy.load_file("model.safetensors")',
    "transformers": "transformers.AutoModel….from_pretrained(FOLDER)",
}

# By form: what is imported, what is loaded, how one row of ids is answered.
_RUNTIMES = {
    "saved_model": (
        "import tensorflow as tf",
        'serving = tf.saved_model.load(".").signatures["serving_default"]',
        "serving({prompt}=tf.constant(row))['outputs'][0].numpy().tolist()",
    ),
    "onnx": (
        "import onnxruntime",
        'session = onnxruntime.InferenceSession("model.onnx")\n'
        "(taken,) = (entry.name for entry in session.get_inputs())",
        'session.run(["outputs"], {{taken: row}})[0][0].tolist()',
    ),
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter",
        'model = Interpreter(model_path="model.tflite")\n'
        "model.allocate_tensors()\n"
        "(taken,) = model.get_input_details()\n"
        "told = min(model.get_output_details(), key=lambda detail: detail['name'])",
        "[model.set_tensor(taken['index'], row), model.invoke(),\n"
        "               model.get_tensor(told['index'])][2][0].tolist()",
    ),
}

_CLIENT = '''"""Answers lines of standard input, within this folder.{needs}"""
import sys

import numpy as np
{library}
{vocabulary}

{load}
{names}
for line in sys.stdin:
    ids = encode(line.rstrip("\\n"))[:{room}]{end}
    row = np.array([ids + [0] * ({size} - len(ids))], np.int32)
    outputs = {answer}
    print({told})
'''

_VOCABULARIES = {
    SentencePiece: (
        "import sentencepiece\n\npieces = sentencepiece.SentencePieceProcessor("
        'model_file="vocabularies/{file}")\n'
        "encode, decode = pieces.encode, pieces.decode"
    ),
    Bytes: (
        "\n\ndef encode(text):\n    return [2 + byte for byte in text.encode()]\n\n\n"
        "def decode(ids):\n    return bytes(i - 2 for i in ids if i > 1).decode("
        'errors="replace")'
    ),
}
_OTHER = (
    "from pathlib import Path\n\nfrom t2t.text import {kind}\n\n"
    "vocabulary = {made}\nvocabulary.load(Path('vocabularies'))\n"
    "encode, decode = vocabulary.encode, vocabulary.decode"
)


def client(asked: Program, form: str) -> str:
    """A program that answers lines by an export that takes ids."""
    features = asked.decoder.features
    vocabulary = features[asked.prompt].vocabulary
    kind = type(vocabulary)
    file = f"{vocabulary.name}{vocabulary.suffix}" if vocabulary else ""
    text = _VOCABULARIES.get(kind, _OTHER)
    made = f"{kind.__name__}({vocabulary.name!r})" if vocabulary else ""
    if symbols := getattr(vocabulary, "symbols", None):
        made = f"{kind.__name__}({vocabulary.name!r}, {list(symbols)!r})"  # type: ignore
    needs = "" if kind in _VOCABULARIES else " It needs t2t, for its vocabulary."
    text = text.format(file=file, kind=kind.__name__, made=made)
    library, load, answer = _RUNTIMES[form]
    room, names, told = min(asked.size, asked.decoder.max_length), "", ""
    if asked.searches:
        told = f"decode(outputs[: len(ids) + {asked.options.extra_length}])"
    elif "label" in features:
        labels = features["label"].vocabulary
        listed = list(getattr(labels, "labels", ()))
        names = f"names = {json.dumps(listed, ensure_ascii=False)}"
        told = "names[int(np.argmax(outputs))]"
    else:
        told = "*outputs"
    return _CLIENT.format(
        needs=needs, library=library, vocabulary=text, load=load, names=names,
        room=room if asked.goes_on else room - 1,
        end="" if asked.goes_on else " + [1]",
        size=asked.size, answer=answer.format(prompt=asked.prompt), told=told,
    )  # fmt: skip
