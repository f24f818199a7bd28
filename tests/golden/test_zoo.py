"""Whole models against their papers in PyTorch and numpy, to 1e-4."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden import reference  # noqa: E402
from torch.nn import functional  # noqa: E402

from t2t.features import image as image_feature  # noqa: E402
from t2t.features import pixels as pixels_feature  # noqa: E402
from t2t.text import Pixels  # noqa: E402

RNG = np.random.default_rng(0)


def _weights(model: Any) -> dict[str, Any]:
    return {v.path.split("/", 1)[1]: torch.tensor(np.array(v)) for v in model.variables}


def _blocks(weights: dict[str, Any], stack: str, count: int) -> list[Any]:
    """PyTorch's blocks with the weights of a stack of ours."""
    found = []
    for i in range(count):
        prefix = f"{stack}/block_{i}/"
        own = {
            name.removeprefix(prefix): weight.numpy()
            for name, weight in weights.items()
            if name.startswith(prefix)
        }
        found.append(reference.Block(own, heads=2, pre=True, cross=False))
    return found


def _final(x: Any, weights: dict[str, Any], stack: str) -> Any:
    gamma, beta = (weights[f"{stack}/final_norm/{n}"] for n in ("gamma", "beta"))
    return functional.layer_norm(x, x.shape[-1:], gamma, beta, eps=1e-6)


def test_text_cnn() -> None:
    """Kim, section 2: c_i = f(w · x_{i:i+h-1} + b), max over time, softmax."""
    model = kit.make("text_cnn")
    kit.randomise(model)
    weights, batch = _weights(model), kit.batch(kit.features("text_cnn"), packed=False)
    table = weights["embedding/table"]
    for row in range(len(batch["inputs"])):
        ids = batch["inputs"][row][batch["inputs_segments"][row] > 0]
        words = table[torch.tensor(ids, dtype=torch.long)] * table.shape[1] ** 0.5
        pooled = []
        for width in (3, 4, 5):
            kernel = weights[f"filters_{width}/kernel"]
            kernel = kernel.reshape(width, table.shape[1], -1).permute(2, 1, 0)
            x = functional.pad(words.T, (0, max(0, width - len(ids))))
            bias = weights[f"filters_{width}/bias"]
            pooled.append(torch.relu(functional.conv1d(x, kernel, bias)).amax(-1))
        logits = torch.cat(pooled) @ weights["classes/kernel"] + weights["classes/bias"]
        np.testing.assert_allclose(kit.array(model(batch)[0])[row], logits, atol=1e-4)


def test_nbeats() -> None:
    """The authors' code: the rest loses each backcast, the forecast begins at the last
    number; here within a window of mean 0 and deviation 1."""
    model = kit.make("nbeats", num_blocks=2, num_layers=2)
    kit.randomise(model)
    weights, batch = _weights(model), kit.batch(kit.features("nbeats"))
    series = torch.tensor(batch["inputs"] * 5 + 40)
    centre = series.mean(dim=1, keepdim=True)
    scale = series.std(dim=1, keepdim=True, correction=0) + 0.01 * centre.abs()
    rest = (series - centre) / scale
    forecast = rest[:, -1:]
    for i in range(2):
        x = rest
        for part in ("hidden_0", "hidden_1"):
            kernel, bias = (
                weights[f"block_{i}/{part}/{n}"] for n in ("kernel", "bias")
            )
            x = torch.relu(x @ kernel + bias)
        kernel, bias = (weights[f"block_{i}/numbers/{n}"] for n in ("kernel", "bias"))
        backcast, part = (x @ kernel + bias).split([3, 3], dim=1)
        rest, forecast = rest - backcast, forecast + part
    found = kit.array(model({**batch, "inputs": series.numpy()})[0])
    np.testing.assert_allclose(found, forecast * scale + centre, atol=1e-4)


@pytest.mark.parametrize("name", ["ft_transformer", "ft_transformer_regressor"])
def test_ft_transformer(name: str) -> None:
    """Sections 3.1 and 3.2: x · w + b and e + b, [CLS], Linear(ReLU(LayerNorm(·)))."""
    features = kit.features(name)
    model = kit.make(name, blocks={"position": "none"}, offered=features)
    kit.randomise(model)
    weights, batch = _weights(model), kit.batch(features)
    numbers = torch.tensor(batch["numbers"])[..., None] * weights["cells/scale"]
    ids = torch.tensor(batch["categories"], dtype=torch.long)
    x = torch.cat([numbers, weights["cells/table"][ids]], dim=1) + weights["cells/bias"]
    x = torch.cat([weights["class_token/vector"].expand(len(x), 1, -1), x], dim=1)
    for block in _blocks(weights, "encoder", 2):
        x = block(x, np.ones((len(x), x.shape[1], x.shape[1]), bool))
    x = torch.relu(_final(x, weights, "encoder")[:, 0])
    told = x @ weights["head/kernel"] + weights["head/bias"]
    if name == "ft_transformer_regressor":
        deviation = torch.sqrt(weights["variance"] + 1e-6)
        told = told * deviation + weights["mean"]
    np.testing.assert_allclose(kit.array(model(batch)[0]), told.detach(), atol=1e-4)


def test_vision_transformer() -> None:
    """Equations 1 to 4: patches by a convolution, a class token, encoder blocks."""
    features = {**kit.features("vision_transformer"), "image": image_feature(8, 12, 3)}
    model = kit.make(
        "vision_transformer", blocks={"position": "learned"}, offered=features
    )
    kit.randomise(model)
    weights, batch = _weights(model), kit.batch(features)
    pictures = torch.tensor(batch["image"].astype("float32") / 127.5 - 1)
    kernel = weights["patches/kernel"].reshape(4, 4, 3, 16).permute(3, 2, 0, 1)
    x = functional.conv2d(
        pictures.permute(0, 3, 1, 2), kernel, weights["patches/bias"], stride=4
    )
    x = x.flatten(2).transpose(1, 2)
    token = weights["class_token/vector"].expand(len(x), 1, -1)
    x = torch.cat([token, x], dim=1) + weights["encoder/positions/table"]
    visible = np.ones((len(x), x.shape[1], x.shape[1]), bool)
    for block in _blocks(weights, "encoder", 2):
        x = block(x, visible)
    x = _final(x, weights, "encoder")[:, 0]
    logits = x @ weights["classes/kernel"] + weights["classes/bias"]
    found = kit.array(model(batch)[0])
    np.testing.assert_allclose(found, logits.detach(), atol=1e-4)


def _timing_signal_nd(rows: int, columns: int, channels: int) -> np.ndarray:
    """`add_timing_signal_nd` of common_attention.py, for two dimensions."""
    scales = channels // 4
    step = np.log(1e4) / (scales - 1)
    inverse = np.exp(np.arange(scales) * -step)
    signal = np.zeros((rows, columns, channels))
    for dim, length in enumerate((rows, columns)):
        scaled = np.arange(length)[:, None] * inverse
        waves = np.concatenate([np.sin(scaled), np.cos(scaled)], axis=1)
        waves = np.pad(
            waves, [[0, 0], [dim * 2 * scales, channels - (dim + 1) * 2 * scales]]
        )
        signal += waves[:, None] if dim == 0 else waves[None]
    return signal


def test_image_transformer() -> None:
    """Channels have embeddings of their own, and the sequence is shifted by a value."""
    height, width, channels, block = 3, 2, 3, 6
    features = {"targets": pixels_feature(Pixels((height, width, channels)))}
    model = kit.make(
        "image_transformer", blocks={"block_length": block}, offered=features
    )
    kit.randomise(model)
    weights = _weights(model)
    length, size = height * width * channels, 16
    pictures = RNG.integers(0, 256, (2, height, width, channels))
    ids = pictures.reshape(2, length).astype(np.int32) + 2
    positions = np.tile(np.arange(length, dtype=np.int32), (2, 1))
    batch = {
        "targets": ids,
        "targets_segments": np.ones_like(ids),
        "targets_positions": positions,
    }

    tables = weights["embedding/table"].reshape(channels, 258, size)
    x = torch.zeros(2, length, size)
    for i in range(1, length):
        x[:, i] = tables[(i - 1) % channels, ids[:, i - 1]] * size**0.5
    timing = _timing_signal_nd(height, width * channels, size).reshape(length, size)
    x = x + torch.tensor(timing, dtype=torch.float32)
    place = np.arange(length)
    start = place // block * block - block
    visible = (place[None] <= place[:, None]) & (place[None] >= start[:, None])
    for cell in _blocks(weights, "decoder", 2):
        x = cell(x, np.repeat(visible[None], 2, axis=0))
    x = _final(x, weights, "decoder")
    logits = x @ weights["output/kernel"] + weights["output/bias"]
    found = kit.array(model(batch)[0])
    np.testing.assert_allclose(found, logits.detach(), atol=1e-4)


def _padded(x: Any, size: int, stride: int, value: float = 0.0) -> Any:
    """Room as Keras makes it for 'same': what is odd comes after."""
    for axis in (2, 3):
        length = x.shape[axis]
        room = max((-(-length // stride) - 1) * stride + size - length, 0)
        pads = [0, 0, 0, 0]
        pads[2 * (3 - axis)], pads[2 * (3 - axis) + 1] = room // 2, room - room // 2
        x = functional.pad(x, pads, value=value)
    return x


class _ResNet:
    """arXiv:1603.05027, figure 1 (b), with group normalisation, in PyTorch."""

    def __init__(self, model: Any) -> None:
        self.weights = _weights(model)

    def conv(self, x: Any, name: str, stride: int = 1) -> Any:
        kernel = self.weights[f"{name}/kernel"].permute(3, 2, 0, 1)
        x = _padded(x, kernel.shape[-1], stride)
        return functional.conv2d(x, kernel, stride=stride)

    def norm(self, x: Any, name: str) -> Any:
        groups = int(np.gcd(x.shape[1], 8))
        gamma, beta = (self.weights[f"{name}/{n}"] for n in ("gamma", "beta"))
        return torch.relu(functional.group_norm(x, groups, gamma, beta, eps=1e-3))

    def block(self, x: Any, name: str, stride: int, bottleneck: bool) -> Any:
        y = self.norm(x, f"{name}/norm_1")
        if f"{name}/shortcut/kernel" in self.weights:
            x = self.conv(y, f"{name}/shortcut", stride)
        strides = (1, stride, 1) if bottleneck else (stride, 1)
        y = self.conv(y, f"{name}/conv_1", strides[0])
        for i, each in enumerate(strides[1:], 2):
            y = self.conv(self.norm(y, f"{name}/norm_{i}"), f"{name}/conv_{i}", each)
        return x + y

    def __call__(self, image: np.ndarray, blocks: list[str], bottleneck: bool) -> Any:
        x = torch.tensor(image.astype("float32") / 127.5 - 1).permute(0, 3, 1, 2)
        large = image.shape[1] > 64
        x = self.conv(x, "stem", 2 if large else 1)
        if large:
            x = functional.max_pool2d(_padded(x, 3, 2, -torch.inf), 3, 2)
        for name in blocks:
            first = name.endswith("block_0") and not name.startswith("stage_0")
            x = self.block(x, name, 2 if first else 1, bottleneck)
        x = self.norm(x, "final_norm").mean(dim=(2, 3))
        return x @ self.weights["classes/kernel"] + self.weights["classes/bias"]


@pytest.mark.parametrize("side, bottleneck", [(9, False), (9, True), (66, True)])
def test_resnet(side: int, bottleneck: bool) -> None:
    features = {**kit.features("resnet"), "image": image_feature(side, side, 3)}
    model = kit.make(
        "resnet", offered=features, bottleneck=bottleneck, blocks_per_stage=(1, 2)
    )
    kit.randomise(model)
    batch = kit.batch(features)
    names = [block.name for block in model.stages]
    assert names == ["stage_0_block_0", "stage_1_block_0", "stage_1_block_1"]
    expected = _ResNet(model)(batch["image"], names, bottleneck)
    np.testing.assert_allclose(kit.array(model(batch)[0]), expected, atol=1e-4)


class _LSTMSeq2Seq:
    """torch.nn.LSTM with our weights; the forget gate is opened by its bias."""

    def __init__(self, model: Any) -> None:
        self.weights = _weights(model)

    def dense(self, x: Any, name: str) -> Any:
        y = x @ self.weights[f"{name}/kernel"]
        return y + self.weights.get(f"{name}/bias", 0.0)

    def lstm(self, x: Any, name: str) -> Any:
        """[T, D'] -> [T, D]; ours has the gates i, f, o, g, PyTorch i, f, g, o."""
        size = self.weights[f"{name}/loop/cell/recurrent/kernel"].shape[0]
        layer = torch.nn.LSTM(x.shape[1], size)

        def ordered(weight: Any) -> Any:
            i, f, o, g = weight.T.chunk(4)
            return torch.cat([i, f, g, o])

        bias = self.weights[f"{name}/input/bias"].clone()
        bias[size : 2 * size] += 1.0
        with torch.no_grad():
            layer.weight_ih_l0.copy_(ordered(self.weights[f"{name}/input/kernel"]))
            layer.weight_hh_l0.copy_(
                ordered(self.weights[f"{name}/loop/cell/recurrent/kernel"])
            )
            layer.bias_ih_l0.copy_(ordered(bias[None])[:, 0])
            layer.bias_hh_l0.zero_()
            return layer(x)[0]

    def __call__(self, inputs: np.ndarray, targets: np.ndarray, additive: bool) -> Any:
        sides = [self.weights[f"{n}_embedding/table"] for n in ("input", "target")]
        scale = sides[0].shape[1] ** 0.5
        x = sides[0][torch.tensor(inputs, dtype=torch.long)] * scale
        backward = self.lstm(x.flip(0), "encoder_backward").flip(0)
        x = self.dense(
            torch.cat([self.lstm(x, "encoder_0"), backward], -1), "encoder_merge"
        )
        memory = self.lstm(x, "encoder_1")
        fed = torch.tensor(targets[:-1], dtype=torch.long)
        x = torch.cat([torch.zeros(1, sides[1].shape[1]), sides[1][fed] * scale])
        for layer in ("decoder_0", "decoder_1"):
            x = self.lstm(x, layer)
        keys = self.dense(memory, "memory_projection")
        if additive:  # arXiv:1409.0473, section A.1.2
            both = torch.tanh(self.dense(x, "query_projection")[:, None] + keys)
            scores = self.dense(both, "score")[..., 0]
        else:  # arXiv:1508.04025, equation 8, 'general'
            scores = x @ keys.T
        context = torch.softmax(scores, dim=-1) @ memory
        x = torch.tanh(self.dense(torch.cat([x, context], dim=-1), "combine"))
        return x @ sides[1].T


@pytest.mark.parametrize("attention", ["luong", "bahdanau"])
def test_lstm_seq2seq(attention: str) -> None:
    model = kit.make("lstm_seq2seq", attention=attention)
    kit.randomise(model)
    batch = kit.batch(kit.features("lstm_seq2seq"), rows=1)
    found = kit.array(model(batch)[0])[0]
    theirs = _LSTMSeq2Seq(model)
    for segment in (1, 2):
        inputs, targets = (
            batch[name][0][batch[f"{name}_segments"][0] == segment]
            for name in ("inputs", "targets")
        )
        expected = theirs(inputs, targets, attention == "bahdanau")
        own = batch["targets_segments"][0] == segment
        np.testing.assert_allclose(found[own], expected, atol=1e-4)
