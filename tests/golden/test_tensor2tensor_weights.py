"""Checkpoints of Tensor2Tensor 1.x, under the names that its code gives variables.

`transformer/body/{encoder,decoder}/layer_N/…` from transformer_layers.py and
transformer.py, `layer_prepostprocess/layer_norm/layer_norm_scale` from
common_layers.py, `symbol_modality_V_D/shared/weights_N` from modalities.py: 16 shards
of rows, the first ones a row longer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kit
import numpy as np
import pytest
import tensorflow as tf

from t2t.decode.decoder import Decoder
from t2t.features import text as text_feature
from t2t.published.importing import import_run
from t2t.published.reading import WeightsError
from t2t.text import Subwords

PARTS = {"self_attention": "self_attention", "cross_attention": "encdec_attention",
         "feed_forward": "ffn"}  # fmt: skip
INNER = {
    "query": "multihead_attention/q", "key": "multihead_attention/k",
    "value": "multihead_attention/v", "input": "conv1",
}  # fmt: skip


def _names(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    """A model of ours under Tensor2Tensor's names."""
    for variable in model.variables:
        array = np.array(variable)
        _, side, *rest = variable.path.split("/")
        if side == "target_embedding":
            rows, columns = array.shape
            stem = f"transformer/symbol_modality_{rows}_{columns}/shared"
            for i, shard in enumerate(np.array_split(array, 16)):
                yield f"{stem}/weights_{i}", shard
            continue
        stem = f"transformer/body/{side}"
        if rest[0].startswith("block_"):
            part = rest[1].removesuffix("_norm")
            stem += f"/layer_{rest[0][6:]}/{PARTS[part]}"
        if rest[-2].endswith("_norm"):
            kind = {"gamma": "scale", "beta": "bias"}[rest[-1]]
            yield f"{stem}/layer_prepostprocess/layer_norm/layer_norm_{kind}", array
            continue
        last = (
            "conv2"
            if part == "feed_forward"
            else "multihead_attention/output_transform"
        )
        yield f"{stem}/{INNER.get(rest[2], last)}/{rest[3]}", array


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As TensorFlow 1 does, with its optimizer's variables and the step beside."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for name, array in arrays.items():
            v1.get_variable(name, initializer=array)
            v1.get_variable(f"training/{name}/Adam", initializer=array)
        v1.get_variable("global_step", initializer=np.int64(7))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(path), global_step=7)


def test_the_same_logits(tmp_path: Path) -> None:
    vocabulary = Subwords("vocab", 100)
    vocabulary.build(["the quick brown fox jumps over the lazy dog"] * 5)
    feature = text_feature(vocabulary)
    offered = {"inputs": feature, "targets": feature}
    model = kit.make("transformer", offered=offered)
    kit.randomise(model)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    _save(theirs / "model.ckpt", dict(_names(model)))
    with pytest.raises(WeightsError, match="no vocabulary"):
        import_run(theirs, tmp_path / "run")
    vocabulary.save(theirs).rename(theirs / "vocab.translate_ende_wmt32k")
    (theirs / "hparams.json").write_text(json.dumps({"num_heads": 2}))

    report = import_run(theirs, tmp_path / "run")
    assert not report.fresh and not report.unused, report
    decoder = Decoder.from_run(tmp_path / "run")
    batch = kit.batch(offered)
    ours, wanted = decoder.model(batch)[0], model(batch)[0]
    np.testing.assert_allclose(ours, wanted, atol=1e-5, rtol=1e-5)
    own: Any = decoder.features["inputs"].vocabulary
    assert own.encode("lazy fox") == vocabulary.encode("lazy fox")


def test_a_truncated_one_is_told(tmp_path: Path) -> None:
    _save(tmp_path / "model.ckpt", {"transformer/body/x": np.ones(9, np.float32)})
    index = next(tmp_path.glob("*.index"))
    index.write_bytes(index.read_bytes()[:30])
    with pytest.raises(WeightsError, match="is damaged"):
        import_run(tmp_path, tmp_path / "run")
