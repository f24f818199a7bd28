"""What all image models do to pixels first."""

from __future__ import annotations

from typing import Any

from keras import ops


def standardise(image: Any) -> Any:
    """uint8 [B, H, W, C] -> float32 in [-1, 1]."""
    return ops.cast(image, "float32") / 127.5 - 1.0
