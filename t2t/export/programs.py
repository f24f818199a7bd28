"""What a run answers, as one function of arrays of known shapes.

One example at a time: every format takes it, and no padding to other examples
changes an answer. Axis letters: S input slots, L output slots, V classes or numbers.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from t2t.decode.decoder import Decoder
from t2t.decode.options import DecodeOptions
from t2t.decode.search import beam_search
from t2t.features import EOS

LEAST = 16  # slots of an input


@dataclasses.dataclass(frozen=True)
class Program:
    """A run's answer to one example.

    prompt: the feature that is given.
    size: S, its slots; 0 where it is a picture.
    options: how outputs are searched.
    """

    decoder: Decoder
    prompt: str
    size: int
    options: DecodeOptions

    @property
    def searches(self) -> bool:
        """Whether its answer is a text, not a label or numbers."""
        return hasattr(self.decoder.model, "decode_step")

    @property
    def goes_on(self) -> bool:
        """Whether the output continues the input."""
        return self.prompt == "targets"

    @property
    def signature(self) -> dict[str, tf.TensorSpec]:
        """Of one example, batch axis included."""
        feature = self.decoder.features[self.prompt]
        shape = (self.size,) if self.size else feature.shape
        return {self.prompt: tf.TensorSpec((1, *shape), feature.dtype, self.prompt)}

    def sized(self, size: int) -> Program:
        """The same for inputs of other slots."""
        return dataclasses.replace(self, size=size)

    def sizes(self) -> list[int]:
        """16, 32, … S: the shapes that the run itself has compiled."""
        found = [LEAST]
        while found[-1] < self.size:
            found.append(found[-1] * 2)
        return [size for size in found if size <= self.size]

    def length(self, size: int) -> int:
        """L for inputs of so many slots."""
        return size + self.options.extra_length

    def encode(self, text: str) -> np.ndarray:
        """A text as int32 [1, S], cut as the run cuts it."""
        vocabulary = self.decoder.features[self.prompt].vocabulary
        assert vocabulary is not None
        room = min(self.size, self.decoder.max_length)
        ids = vocabulary.encode(text)
        ids = ids[:room] if self.goes_on else [*ids[: room - 1], EOS]
        return np.array([ids + [0] * (self.size - len(ids))], np.int32)

    def decode(self, outputs: np.ndarray, *, given: int) -> str:
        """Outputs [L], or log-probabilities or numbers [V], as the run tells them.

        Args:
          given: tokens of the input.
        """
        if not self.searches:
            return self.decoder.tell(outputs).text
        vocabulary = self.decoder.features["targets"].vocabulary
        assert vocabulary is not None
        return vocabulary.decode(outputs[: self.length(given)].tolist())

    def __call__(self, **arrays: Any) -> dict[str, Any]:
        """{'outputs', 'scores' [1]}: int32 [1, L] for texts, float32 [1, V]
        log-probabilities of labels, or numbers."""
        value = arrays[self.prompt]
        batch = {self.prompt: value}
        if self.size:
            batch[f"{self.prompt}_segments"] = tf.cast(value != 0, tf.int32)
            batch[f"{self.prompt}_positions"] = tf.range(self.size)[None]
        model = self.decoder.model
        if not self.searches:
            told, _ = model(batch)
            if "label" in self.decoder.features:
                told = tf.nn.log_softmax(told)
            return {"outputs": told, "scores": tf.reduce_max(told, axis=-1)}
        options = self.options
        tokens, scores = beam_search(
            model, batch, width=options.beam_size, length=self.length(self.size),
            alpha=options.alpha, best=1,
        )  # fmt: skip
        return {"outputs": tokens[:, 0], "scores": scores[:, 0]}


def program(decoder: Decoder, options: DecodeOptions, *, max_length: int) -> Program:
    """What a run answers.

    Args:
      max_length: most tokens of an input; 0 for the run's own.

    Raises:
      ValueError: when the run takes neither texts nor pictures.
    """
    features, model = decoder.features, decoder.model
    if "image" in features and "label" in features:
        return Program(decoder, "image", 0, options)
    prompt = getattr(model, "PROMPT", "")
    tells = {"label", "targets"} & set(features) and hasattr(model, "PROMPT")
    if prompt not in features or features[prompt].kind != "text" or not tells:
        raise ValueError(
            f"{model.name} is not exported yet: texts, classes of texts and of "
            "pictures, policies and tokenizers are"
        )
    longest, size = max_length or decoder.max_length, LEAST
    while size < longest:
        size *= 2
    return Program(decoder, prompt, size, options)


# -- weights -------------------------------------------------------------------------


def quantise(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix as (int8 of its shape, float32 scales by column): q · scale ≈ array.

    Symmetric, the largest of each column at 127 (arXiv:2004.09602, section 3.1).
    """
    scale = np.abs(array).max(axis=0, keepdims=True) / 127.0
    scale = np.where(scale == 0, 1.0, scale).astype(np.float32)
    return np.round(array / scale).astype(np.int8), scale


def quantised(name: str, array: np.ndarray) -> bool:
    """Whether int8 weights hold this one so: matrices, which are nearly all."""
    return array.ndim == 2 and array.dtype == np.float32 and array.size >= 1024


@contextlib.contextmanager
def standing_in(model: Any, values: Mapping[str, Any]) -> Iterator[None]:
    """The model with other tensors in place of the variables of these paths."""
    pairs = [(v, values[v.path]) for v in model.variables if v.path in values]
    with keras.StatelessScope(state_mapping=pairs):
        yield


class Light(tf.Module):
    """A model's matrices as int8 and scales, multiplied where they are used."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model_variables: list[Any] = []
        self.held: dict[str, Any] = {}
        for variable in model.variables:
            array = np.array(variable)
            if quantised(variable.path, array):
                whole, scale = quantise(array)
                self.held[variable.path] = tuple(
                    tf.Variable(tf.constant(part)) for part in (whole, scale)
                )
            else:
                self.model_variables.append(variable.value)

    def values(self) -> dict[str, Any]:
        return {
            path: tf.cast(whole, tf.float32) * scale
            for path, (whole, scale) in self.held.items()
        }
