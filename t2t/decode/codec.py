"""A speech codec a frame at a time, as sound is heard and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from t2t.layers import senses
from t2t.media.layout import Layout, Slots


class Codec:
    """Both ways, compiled once; the past of a sound is the caller's to keep.

    Args:
      model: `speech_codec`.
    """

    def __init__(self, model: Any) -> None:
        self.frame = model.frame
        self._encode = tf.function(model.encode, jit_compile=True, autograph=False)
        self._decode = tf.function(model.decode, jit_compile=True, autograph=False)
        # The past of a sound's beginning is silence, in the form of what comes later.
        _, heard = model.encode(tf.zeros((1, self.frame)))
        _, said = model.decode(tf.zeros((1, 1, model.books), tf.int32))
        self.begin_hearing = tf.nest.map_structure(tf.zeros_like, heard)
        self.begin_saying = tf.nest.map_structure(tf.zeros_like, said)
        self.late = int(said["tail"].shape[1])  # samples

    def hear(self, samples: np.ndarray, past: Any) -> tuple[np.ndarray, Any]:
        """A frame's samples -> (codes [K], the past of the next)."""
        codes, past = self._encode(tf.constant(samples[None], tf.float32), past)
        return codes.numpy()[0, 0], past

    def say(self, codes: np.ndarray, past: Any) -> tuple[np.ndarray, Any]:
        """Codes [K] -> (a frame's samples, 30 ms late; the past of the next)."""
        samples, later = self._decode(tf.constant(codes[None, None], tf.int32), past)
        # What stands before the sound's beginning is none of it.
        first = self.late if past is self.begin_saying else 0
        return np.clip(samples.numpy()[0, first:], -1.0, 1.0), later

    def rest(self, past: Any) -> np.ndarray:
        """The last 30 ms."""
        return np.clip(past["tail"].numpy()[0], -1.0, 1.0)


class Hearing:
    """A sound as it is heard, frame by frame, and what is written down beside it.

    Args:
      layout: says whether input is continuous.
    """

    def __init__(self, codec: Codec, layout: Layout) -> None:
        self.codec, self.layout = codec, layout
        self.codes: list[np.ndarray] = []
        self.sensed: list[np.ndarray] | None = [] if layout.senses else None
        self.main = [layout.vocabulary.mark("<audio>")]  # of a frame more than heard
        self._past = codec.begin_hearing
        self._before = np.zeros(senses.BEFORE, np.float32)

    def __len__(self) -> int:
        return len(self.codes)

    def hear(self, frame: np.ndarray) -> None:
        """One more frame of samples."""
        codes, self._past = self.codec.hear(frame, self._past)
        self.codes.append(codes)
        if self.sensed is not None:
            before, self._before = self._before, frame[-senses.BEFORE :]
            size = self.layout.senses
            row = senses.listen(frame, len(frame), size=size, before=before)
            self.sensed.append(row[0])

    def add(self, slots: Slots, number: int) -> None:
        """A frame as the next slot."""
        self.layout.frame(slots, self, number, main=self.main[number], learned=0)

    def end(self, slots: Slots) -> None:
        """The mark of the end."""
        self.layout.end_sound(slots, self, learned=0)
