"""FT-Transformer: a row of a table as a sentence of its cells. Gorishniy et al. 2021
(arXiv:2106.11959).

Notable features: each number has a direction of its own, scaled by it, each category
a vector, and both a bias of their column; a class token reads them all. The first norm
of the first block stays, which the paper leaves out.

Axis letters: B batch, N numbers, K categories, D model, V classes, X numbers told.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from t2t import losses as losses_lib
from t2t import registry
from t2t.features import Feature
from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.embedding import ClassToken
from t2t.layers.standard import Standard


class Cells(keras.Model):
    """What both models of a row share: its cells, read by a class token."""

    PROMPT = "numbers"
    JIT = True

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        num_layers: int,
        outputs: int,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.auxiliary = blocks.auxiliary
        self.cells = FeatureTokens(features, blocks.hidden_size, name="cells")
        self.class_token = ClassToken(blocks.hidden_size, name="class_token")
        self.encoder = Stack(
            blocks, num_layers=num_layers, causal=False, cross=False, name="encoder"
        )
        self.head = keras.layers.Dense(outputs, name="head")

    def read(self, batch: dict[str, Any], *, training: bool) -> tuple[Any, Any]:
        """What is told, float32 [B, outputs], and inner values."""
        x = self.class_token(self.cells(batch["numbers"], batch["categories"]))
        shape = x.shape[:2]  # [B, 1 + N + K]
        x, inner, _ = self.encoder(
            x,
            segments=ops.ones(shape, "int32"),
            positions=ops.broadcast_to(ops.arange(shape[1], dtype="int32"), shape),
            training=training,
        )
        inner = {f"encoder/{name}": value for name, value in inner.items()}
        inner["pooled"] = x[:, 0]
        return ops.cast(self.head(ops.relu(x[:, 0])), "float32"), inner


@registry.model
class FTTransformer(Cells):
    """Transformer encoder over the cells of a table's row, for classification.

    Args:
      features: of the problem; `numbers` is real [N], `categories` labels [K], `label`
        a label.
      blocks: the knobs of all blocks.
      num_layers: blocks.
      label_smoothing: see `losses.cross_entropy`.
    """

    FEATURES = {"numbers": "real", "categories": "label", "label": "label"}

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        num_layers: int = 3,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            features,
            blocks=blocks,
            num_layers=num_layers,
            outputs=features["label"].size,
            name="ft_transformer",
        )
        self.label_smoothing = label_smoothing

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [B, V], and inner values ('pooled' [B, D] among them)."""
        return self.read(batch, training=training)

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, losses_lib.Sum], dict[str, Any]]:
        """({'all': (sum, weight)} over examples, inner values)."""
        logits, inner = self(batch, training=training)
        return losses_lib.of_labels(
            logits,
            batch["label"],
            batch["weights"],
            inner,
            label_smoothing=self.label_smoothing,
            training=training,
            auxiliary=self.auxiliary,
        )


@registry.model
class FTTransformerRegressor(Cells):
    """Transformer encoder over the cells of a table's row, for numbers.

    Args:
      features: of the problem; `numbers` is real [N], `categories` labels [K],
        `targets` real [X].
      blocks: the knobs of all blocks.
      num_layers: blocks.
    """

    FEATURES = {"numbers": "real", "categories": "label", "targets": "real"}
    METRICS = ("absolute_error", "squared_error", "normalised_deviation")

    def __init__(
        self, features: dict[str, Feature], *, blocks: BlockShape, num_layers: int = 3
    ) -> None:
        size = int(features["targets"].shape[0] or 1)
        super().__init__(
            features,
            blocks=blocks,
            num_layers=num_layers,
            outputs=size,
            name="ft_transformer_regressor",
        )
        self.standard = Standard(size, active=True)

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Numbers [B, X], and inner values ('standardised' [B, X] among them)."""
        told, inner = self.read(batch, training=training)
        return self.standard.restored(told), {**inner, "standardised": told}

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, losses_lib.Sum], dict[str, Any]]:
        """({'all': (squared errors of the standardised, examples)}, inner values)."""
        found, inner = self(batch, training=training)
        return losses_lib.of_numbers(
            found,
            batch["targets"],
            batch["weights"],
            inner,
            standard=self.standard,
            training=training,
            auxiliary=self.auxiliary,
        )

    def followers(self) -> list[tuple[Any, ...]]:
        return [*self.standard.followers()]


class FeatureTokens(keras.layers.Layer):
    """Numbers [B, N] and ids of categories [B, K] -> cells [B, N + K, D].

    Section 3.1 of the paper: x_j · w_j + b_j, and e_j + b_j.
    """

    def __init__(self, features: dict[str, Feature], size: int, *, name: str) -> None:
        super().__init__(name=name)
        self.size = size
        self.numbers = int(features["numbers"].shape[0] or 0)
        self.categories = int(features["categories"].shape[0] or 0)
        self.ids = features["categories"].size if self.categories else 0

    def build(self, numbers_shape: Any, categories_shape: Any) -> None:
        start = keras.initializers.RandomUniform(-(self.size**-0.5), self.size**-0.5)
        counts = {"scale": self.numbers, "table": self.ids}
        counts["bias"] = self.numbers + self.categories
        self.parts = {
            part: self.add_weight(
                shape=(count, self.size), initializer=start, name=part
            )
            for part, count in counts.items()
            if count
        }

    def call(self, numbers: Any, categories: Any) -> Any:
        cells = []
        if self.numbers:
            cells.append(numbers[..., None] * self.parts["scale"])
        if self.categories:
            cells.append(ops.take(self.parts["table"], categories, axis=0))
        x = ops.concatenate(cells, axis=1) + self.parts["bias"]
        return ops.cast(x, self.compute_dtype)
