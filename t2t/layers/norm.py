"""Layer normalisation (arXiv:1607.06450) and RMS normalisation (arXiv:1910.07467).

Keras's own layers, with the epsilon of Tensor2Tensor and statistics in float32.
"""

from __future__ import annotations

import keras

from t2t import knobs

EPSILON = 1e-6


def make_norm(kind: str, *, epsilon: float = EPSILON, name: str) -> keras.layers.Layer:
    """The norm called `kind`: 'layer', 'rms' or 'none'."""
    knobs.check_choice("blocks.norm", kind)
    if kind == "layer":
        return keras.layers.LayerNormalization(epsilon=epsilon, name=name)
    if kind == "rms":
        return keras.layers.RMSNormalization(epsilon=epsilon, name=name)
    return keras.layers.Identity(name=name)
