"""What a report shows of the inside of a model: pondering, experts, pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kit
import numpy as np
import pytest
import tensorflow as tf

from t2t.config import Config
from t2t.decode import insides
from t2t.decode.decoder import DecodeError, Decoder
from t2t.decode.options import DecodeOptions
from t2t.evaluate import Losses
from t2t.run.folder import RunFolder, create
from t2t.run.insides import heat_map
from t2t.run.insides import insides as shown


class Texts:
    """A problem as far as a decoder and an evaluation look at it."""

    TARGET = "targets"

    def __init__(self, model: str) -> None:
        self._features = kit.features(model)

    def offered(self) -> Any:
        return self._features


def _decoder(name: str, **blocks: Any) -> Decoder:
    model = kit.make(name, shallow=True, blocks=blocks)
    kit.randomise(model)
    return Decoder(Texts(name), model, max_length=16)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create(tmp_path / "run", Config(), data_dir=None)


def test_pondering_is_told_by_token(run: RunFolder) -> None:
    decoder = _decoder("universal_transformer")
    insides.save(run, decoder, step=3, shares={}, pair=("1 2 3", "4 5"))
    record = json.loads(run.insides.read_text())
    assert record["step"] == 3
    sides = {side["side"]: side for side in record["pondering"]}
    assert sides["encoder"]["pieces"] == ["1", "2", "3", "</s>"]
    assert sides["decoder"]["pieces"] == ["4", "5", "</s>"]
    for side in sides.values():
        assert len(side["steps"]) == len(side["pieces"])
        assert set(side["steps"]) <= {1, 2}
    page = shown(run)
    assert page.count("<sub>") == 7 and "at step 3" in page


def test_shares_are_those_of_all_batches(run: RunFolder) -> None:
    name = "transformer_lm"
    decoder = _decoder(name, **{**kit.EXPERTS, "experts_per_token": 1})
    losses = Losses(Texts(name), decoder.model, jit=False)
    batches = [kit.batch(kit.features(name), seed=seed) for seed in (1, 2)]
    source: Any = batches
    values = losses(source, 0)
    (layer,) = losses.shares
    assert layer == "decoder/block_0/expert_share"
    expected = np.sum([kit.array(decoder.inner(b)[layer]) for b in batches], (0, 1))
    np.testing.assert_allclose(
        losses.shares[layer], expected / expected.sum(), atol=1e-4
    )
    assert sum(values[f"expert_{i}"] for i in range(4)) == pytest.approx(1.0)
    insides.save(run, decoder, step=1, shares=losses.shares)
    page = shown(run)
    assert "decoder block 0" in page and page.count("<rect") == 4


def test_pictures_are_drawn_from_nothing(run: RunFolder) -> None:
    decoder = _decoder("image_transformer")
    options = DecodeOptions(sampling=True, seed=5)
    pictures = insides.draw(decoder, 5, options)
    assert pictures.shape == (5, 2, 1, 3) and len(np.unique(pictures, axis=0)) > 1
    np.testing.assert_array_equal(pictures, insides.draw(decoder, 5, options))
    insides.save(run, decoder, step=5, shares={}, drawn=5)
    (path,) = run.pictures.iterdir()
    sheet = tf.io.decode_png(path.read_bytes()).numpy()
    assert sheet.shape == (2 * 3 - 1, 3 * 2 - 1, 3)
    np.testing.assert_array_equal(sheet[:2, 0], pictures[0, :, 0])
    assert not run.insides.exists() and "data:image/png;base64" in shown(run)


def test_other_runs_draw_nothing_and_show_nothing(run: RunFolder) -> None:
    decoder = _decoder("transformer")
    with pytest.raises(DecodeError, match="draws no pictures"):
        insides.draw(decoder, 1, DecodeOptions())
    insides.save(run, decoder, step=1, shares={}, pair=("1", "2"), drawn=4)
    assert shown(run) == ""


def test_a_heat_map_of_many_experts_stays_on_the_page() -> None:
    page = heat_map({"layer": [1 / 128] * 128}, alone=True)
    assert page.count("<rect") == 128 and "even would be 0.8%" in page
