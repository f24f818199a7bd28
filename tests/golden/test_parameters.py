"""Parameter counts: exact formulas, and the paper's table at V = 37 000."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from t2t import config as config_lib
from t2t import features as features_lib
from t2t.run import build

VOCABULARY = 37_000  # section 5.1 of the paper


class Numbered:
    """A vocabulary of which only the size matters."""

    name, suffix, built, size = "numbered", "", True, VOCABULARY


def _parameters(hparams_set: str, hparams: str = "") -> int:
    """Counts the variables that are made; none is filled with numbers."""
    import t2t.data.pipeline  # noqa: F401  registers `batches`
    import t2t.evaluate  # noqa: F401  registers `evaluation`
    import t2t.experiment  # noqa: F401  registers `experiment`

    config = config_lib.load(
        hparams_set=hparams_set, hparams=hparams, problem="translate_ende_wmt14"
    )
    build.apply(config)
    text: Any = features_lib.text(Numbered())  # type: ignore[arg-type]
    offered = {"inputs": text, "targets": text}
    with tf.Graph().as_default():
        model = config_lib.build(f"model.{config.knob('model')}")(offered)
        blank = build.blank_batch(offered)
        model({name: tf.constant(value) for name, value in blank.items()})
        return sum(int(np.prod(v.shape)) for v in model.variables)


def _expected(size: int, filter_size: int, layers: int = 6) -> int:
    attention = 4 * size * size  # no biases
    feed_forward = 2 * size * filter_size + filter_size + size
    norm = 2 * size
    encoder = layers * (attention + feed_forward + 2 * norm) + norm
    decoder = layers * (2 * attention + feed_forward + 3 * norm) + norm
    return VOCABULARY * size + encoder + decoder


@pytest.mark.parametrize(
    "hparams_set, size, filter_size, papers",
    [
        ("transformer_base", 512, 2048, 65e6),
        ("transformer_big", 1024, 4096, 213e6),
    ],
)
def test_parameters(
    hparams_set: str, size: int, filter_size: int, papers: float
) -> None:
    found = _parameters(hparams_set)
    assert found == _expected(size, filter_size)
    assert found == pytest.approx(papers, rel=0.04)


def test_post_norm_has_no_final_norms() -> None:
    found = _parameters("transformer_base_v1", "num_layers=1")
    assert found == _expected(512, 2048, layers=1) - 2 * 2 * 512
