"""Parameter counts: exact formulas, and within 4 % of what the papers say."""

from __future__ import annotations

from typing import Any

import pytest

from t2t import config as config_lib
from t2t import features as features_lib
from t2t.features import Feature
from t2t.run import build
from t2t.text import Pixels

VOCABULARY = 37_000  # section 5.1 of the Transformer's paper


class Numbered:
    """A vocabulary of which only the size matters."""

    name, suffix, built = "numbered", "", True

    def __init__(self, size: int) -> None:
        self.size = size


def _text(size: int) -> Feature:
    vocabulary: Any = Numbered(size)
    return features_lib.text(vocabulary)


def _pair(size: int = VOCABULARY) -> dict[str, Feature]:
    return dict.fromkeys(("inputs", "targets"), _text(size))


PICTURES = {
    "image": features_lib.image(224, 224, 3),
    "label": Feature("label", (), "int32", "", classes=1000),
}


def _parameters(
    hparams_set: str,
    offered: dict[str, Feature],
    hparams: str = "",
    problem: str = "translate_ende_wmt14",
    model: str | None = None,
) -> int:
    """Counts the variables that would be made."""
    import t2t.data.pipeline  # noqa: F401  registers `batches`
    import t2t.evaluate  # noqa: F401  registers `evaluation`
    import t2t.experiment  # noqa: F401  registers `experiment`

    config = config_lib.load(
        hparams_set=hparams_set, hparams=hparams, problem=problem, model=model
    )
    build.apply(config)
    return build.count_parameters(config, offered)


def _attention(size: int) -> int:
    return 4 * size * size  # no biases


def _dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _feed_forward(size: int, filter_size: int) -> int:
    return _dense(size, filter_size) + _dense(filter_size, size)


def _expected(
    size: int, filter_size: int, layers: int = 6, vocabulary: int = VOCABULARY
) -> int:
    norm = 2 * size
    encoder = layers * (_attention(size) + _feed_forward(size, filter_size) + 2 * norm)
    decoder = layers * (
        2 * _attention(size) + _feed_forward(size, filter_size) + 3 * norm
    )
    return vocabulary * size + encoder + decoder + 2 * norm


@pytest.mark.parametrize(
    "hparams_set, size, filter_size, papers",
    [
        ("transformer_base", 512, 2048, 65e6),
        ("transformer_big", 1024, 4096, 213e6),
    ],
)
def test_transformer(
    hparams_set: str, size: int, filter_size: int, papers: float
) -> None:
    found = _parameters(hparams_set, _pair())
    assert found == _expected(size, filter_size)
    assert found == pytest.approx(papers, rel=0.04)


def test_post_norm_has_no_final_norms() -> None:
    found = _parameters("transformer_base_v1", _pair(), "num_layers=1")
    assert found == _expected(512, 2048, layers=1) - 2 * 2 * 512


def test_transformer_relative() -> None:
    """Vectors for keys and for values of 41 distances, in each self-attention."""
    found = _parameters("transformer_relative", _pair())
    assert found == _expected(512, 2048) + 12 * 2 * 41 * 64


def test_nbeats_generic() -> None:
    """30 blocks of four layers of 512, whose last gives backcast and forecast."""
    series = {
        name: Feature("real", (size,), "float32", "T")
        for name, size in (("inputs", 168), ("targets", 24))
    }
    each = _dense(168, 512) + 3 * _dense(512, 512) + _dense(512, 168 + 24)
    found = _parameters("nbeats_generic", series, problem="timeseries_electricity")
    assert found == 30 * each


def test_ft_transformer_base() -> None:
    """Appendix E of the paper: 929 k with 100 numbers and one number told."""
    cells = {
        "numbers": Feature("real", (100,), "float32", "N"),
        "categories": Feature("label", (0,), "int32", "K", classes=1),
        "targets": Feature("real", (1,), "float32", "X"),
    }
    size, filter_size = 192, 256
    gated = _dense(size, 2 * filter_size) + _dense(filter_size, size)
    block = 4 * _dense(size, size) + gated + 2 * 2 * size
    found = _parameters(
        "ft_transformer_base",
        cells,
        problem="table_diamonds",
        model="ft_transformer_regressor",
    )
    assert found == 3 * block + 2 * 100 * size + size + 2 * size + _dense(size, 1)
    assert found == pytest.approx(929e3, rel=0.04)


def test_switch_base() -> None:
    """The sizes of the paper's table 7; T5-Base is 223 M."""
    size, filter_size, vocabulary = 768, 3072, 32_128
    dense = _expected(size, filter_size, 12, vocabulary)
    dense -= (2 * 12 + 3 * 12 + 2) * size  # RMS norms have no offset
    dense += 2 * 32 * 12  # T5's biases
    each = _feed_forward(size, filter_size)

    def expected(experts: int) -> int:
        return dense + 12 * ((experts - 1) * each + experts * size)

    assert _parameters("switch_base", _pair(vocabulary)) == expected(128)
    for experts, papers in ((16, 1.1e9), (64, 3.8e9), (128, 7.4e9), (256, 14.7e9)):
        assert expected(experts) == pytest.approx(papers, rel=0.04)


def test_transformer_xl() -> None:
    """The 12 layers for enwik8, of 204 characters and the two reserved ids."""
    size, vocabulary = 512, 206
    found = _parameters(
        "transformer_xl_enwik8",
        {"targets": _text(vocabulary)},
        problem="language_model_files",
    )
    own = 5 * size * size + 2 * size  # and the projection of distances, u and v
    layer = own + _feed_forward(size, 2048) + 2 * 2 * size
    assert found == vocabulary * size + 12 * layer
    assert found == pytest.approx(41e6, rel=0.04)


@pytest.mark.parametrize("adaptive", [False, True])
def test_universal_transformer(adaptive: bool) -> None:
    """One block a side; as many as the base Transformer has, says the paper."""
    name = f"{'adaptive_' if adaptive else ''}universal_transformer_base"
    steps, halting = (12, 2 * (1024 + 1)) if adaptive else (6, 0)
    found = _parameters(name, _pair())
    assert found == _expected(1024, 4096, layers=1) + 2 * steps * 1024 + halting
    assert found == pytest.approx(65e6, rel=0.04)


def _separable(width: int, inputs: int, outputs: int) -> int:
    return width * inputs + _dense(inputs, outputs)


@pytest.mark.parametrize(
    "hparams_set, size, papers",
    [
        ("evolved_transformer_base", 512, 64.1e6),
        ("evolved_transformer_big", 1024, 221.7e6),
    ],
)
def test_evolved_transformer(hparams_set: str, size: int, papers: float) -> None:
    """With Tensor2Tensor's 33 708 pieces of WMT14; the Transformer is 61.1 M then."""
    vocabulary, norm = 33_708, 2 * size
    encoder = (
        2 * _dense(size, size)
        + _dense(size, 4 * size)
        + _dense(3 * size, size // 2)
        + _separable(9, 4 * size, size // 2)
        + _attention(size)
        + _feed_forward(size, 4 * size)
        + 4 * norm
        + 2 * 4 * size
    )
    decoder = (
        4 * _attention(size)
        + _separable(11, size, 2 * size)
        + _separable(7, size, size // 2)
        + _separable(7, 2 * size, size)
        + _feed_forward(size, 4 * size)
        + 5 * norm
        + 2 * 2 * size
        + 2 * 4 * size
    )
    found = _parameters(hparams_set, _pair(vocabulary))
    assert found == vocabulary * size + 3 * encoder + 4 * decoder + 2 * norm
    assert found == pytest.approx(papers, rel=0.04)


def test_vision_transformer() -> None:
    """ViT-B/16, table 1."""
    size, patches = 768, 14 * 14
    block = _attention(size) + _feed_forward(size, 3072) + 2 * 2 * size
    expected = _dense(16 * 16 * 3, size) + size + (patches + 1) * size
    expected += 12 * block + 2 * size + _dense(size, 1000)
    found = _parameters("vit_base", PICTURES, problem="image_imagenet")
    assert found == expected
    assert found == pytest.approx(86e6, rel=0.04)


@pytest.mark.parametrize(
    "depth, counts, bottleneck, papers",
    [
        (18, (2, 2, 2, 2), False, 11.7e6),
        (34, (3, 4, 6, 3), False, 21.8e6),
        (50, (3, 4, 6, 3), True, 25.6e6),
        (101, (3, 4, 23, 3), True, 44.5e6),
        (152, (3, 8, 36, 3), True, 60.2e6),
    ],
)
def test_resnet(
    depth: int, counts: tuple[int, ...], bottleneck: bool, papers: float
) -> None:
    """Table 1; the sums that everybody quotes are of the published weights."""
    expected, inputs = 7 * 7 * 3 * 64, 64
    for stage, (width, count) in enumerate(
        zip((64, 128, 256, 512), counts, strict=True)
    ):
        outputs = 4 * width if bottleneck else width
        for block in range(count):
            if bottleneck:
                convs = inputs * width + 9 * width * width + width * outputs
                norms = 2 * (inputs + 2 * width)
            else:
                convs, norms = 9 * width * (inputs + width), 2 * (inputs + width)
            projected = block == 0 and (stage > 0 or bottleneck)
            expected += convs + norms + (inputs * outputs if projected else 0)
            inputs = outputs
    expected += 2 * inputs + _dense(inputs, 1000)
    found = _parameters(f"resnet_{depth}", PICTURES, problem="image_imagenet")
    assert found == expected
    assert found == pytest.approx(papers, rel=0.04)


def test_image_transformer() -> None:
    size = 512
    found = _parameters(
        "image_transformer_cifar10_base",
        {"targets": features_lib.pixels(Pixels((32, 32, 3)))},
        problem="image_cifar10_gen",
    )
    block = _attention(size) + _feed_forward(size, 2048) + 2 * 2 * size
    assert found == 3 * 258 * size + 12 * block + _dense(size, 258)


def test_text_cnn() -> None:
    offered = {"inputs": _text(20_000), "label": PICTURES["label"]}
    found = _parameters("text_cnn", offered, problem="text_class_files")
    filters = sum(_dense(width * 300, 100) for width in (3, 4, 5))
    assert found == 20_000 * 300 + filters + _dense(300, 1000)
