"""A layer whose parts are built where they are first called."""

from __future__ import annotations

from typing import Any

import keras


class Composite(keras.layers.Layer):
    """A layer with no weights but those of its parts, made in its constructor.

    Without a `build` Keras traces `call` to build the parts, at each depth once more:
    a part five layers down is traced five times before it runs.
    """

    def build(self, input_shape: Any = None) -> None:
        """Nothing is left to build."""
