"""Layer normalisation (arXiv:1607.06450) and RMS normalisation (arXiv:1910.07467).

Keras's own layers, with the epsilon of Tensor2Tensor and statistics in float32.
"""

from __future__ import annotations

import keras

EPSILON = 1e-6


def make_norm(kind: str, *, name: str) -> keras.layers.Layer:
    """The norm called `kind`: 'layer', 'rms' or 'none'."""
    if kind == "layer":
        return keras.layers.LayerNormalization(epsilon=EPSILON, name=name)
    if kind == "rms":
        return keras.layers.RMSNormalization(epsilon=EPSILON, name=name)
    if kind == "none":
        return keras.layers.Identity(name=name)
    raise ValueError(f"norm is 'layer', 'rms' or 'none', not {kind!r}")
