"""N-BEATS: forecasts by blocks that explain a series away. Oreshkin et al. 2019
(arXiv:1905.10437), the generic form, after the authors' code.

Notable features: each block sees what the blocks before it have not explained, tells
what of it is explained now (the backcast), and adds its part to the forecast, which
begins at the last known number. Ours: a window is brought to mean 0 and deviation 1
first, so that series of any scale are learned side by side.

Axis letters: B batch, S known numbers, T wanted numbers, D units of a layer.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers.composite import Composite
from t2t.layers.dropout import Dropout
from t2t.layers.standard import BOUND


@registry.model("nbeats")
class NBeats(keras.Model):
    """Blocks of fully connected layers that forecast a series.

    Args:
      features: of the problem; `inputs` is real [S], `targets` real [T].
      hidden_size: D.
      num_blocks: blocks, of one stack each.
      num_layers: fully connected layers of a block.
      dropout: rate on what each block has found.
    """

    FEATURES = {"inputs": "real", "targets": "real"}
    PROMPT = "inputs"
    METRICS = ("absolute_error", "squared_error", "normalised_deviation")
    JIT = True

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        hidden_size: int = 512,
        num_blocks: int = 30,
        num_layers: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(name="nbeats")
        known, wanted = (
            int(features[name].shape[0] or 1) for name in ("inputs", "targets")
        )
        self.blocks = [
            ForecastBlock(
                known,
                wanted,
                hidden_size=hidden_size,
                num_layers=num_layers,
                dropout=dropout,
                name=f"block_{i}",
            )
            for i in range(num_blocks)
        ]

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Numbers [B, T], and inner values.

        'standardised' [B, T], 'centre' and 'scale' [B, 1] of each window, and 'block_i'
        [B, T], what each block adds.
        """
        series = ops.cast(batch["inputs"], "float32")
        centre, scale = window_scale(series)
        rest = (series - centre) / scale
        forecast, inner = rest[:, -1:], {}
        for block in self.blocks:
            explained, part = block(rest, training=training)
            rest, forecast = rest - explained, forecast + part
            inner[block.name] = part
        inner |= {"standardised": forecast, "centre": centre, "scale": scale}
        return forecast * scale + centre, inner

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, losses_lib.Sum], dict[str, Any]]:
        """({'all': (absolute errors in units of the window, examples)}, inner)."""
        found, inner = self(batch, training=training)
        wanted, weights = ops.cast(batch["targets"], "float32"), batch["weights"]
        scaled = (wanted - inner["centre"]) / inner["scale"]
        error = inner["standardised"] - ops.clip(scaled, -BOUND, BOUND)
        loss = losses_lib.weighted_sum(ops.mean(ops.abs(error), axis=-1), weights)
        if training:
            return {"all": loss}, inner
        told = losses_lib.number_metrics(found, wanted, weights)
        return {"all": loss}, {**inner, "metrics": told}


class ForecastBlock(Composite):
    """What is not explained yet [B, S] -> (its backcast [B, S], a forecast [B, T])."""

    def __init__(
        self,
        known: int,
        wanted: int,
        *,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.known = known
        self.hidden = [
            keras.layers.Dense(hidden_size, activation="relu", name=f"hidden_{i}")
            for i in range(num_layers)
        ]
        self.dropout = Dropout(dropout, name="dropout")
        self.numbers = keras.layers.Dense(known + wanted, name="numbers")

    def call(self, x: Any, *, training: bool = False) -> tuple[Any, Any]:
        for layer in self.hidden:
            x = layer(x)
        both = ops.cast(self.numbers(self.dropout(x, training=training)), "float32")
        return both[:, : self.known], both[:, self.known :]


def window_scale(series: Any) -> tuple[Any, Any]:
    """(mean, deviation) [B, 1] of each window [B, S].

    A window that hardly moves is measured by a hundredth of its size.
    """
    centre = ops.mean(series, axis=-1, keepdims=True)
    spread = ops.sqrt(ops.mean(ops.square(series - centre), axis=-1, keepdims=True))
    return centre, spread + 0.01 * ops.abs(centre) + 1e-6
