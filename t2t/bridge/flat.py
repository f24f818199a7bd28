"""Policies as flat weights: a few layers in numpy, and the file that compilers load.

`FlatPolicy` answers a host's questions with numpy alone; t2t_bridge.h answers the same
from the file, as model:FILE, in microseconds and without a host. `t2t.export` writes
C, LiteRT and ONNX from it.

The file is little-endian and packed; text has a u32 length before it:

    "t2tflat1"
    u32 features, then each: name, u32 type, u32 axes, i64 shape[axes]
    the advice, likewise
    u32 output (0 the values themselves, 1 the place of the largest)
    i32 mask: the feature that says which places are allowed, -1 for all
    u32 layers, then each: u32 kind, u32 in, u32 out, and

    1 standardise  f32 mean[in], scale[in]          (x - mean) * scale
    2 bucketise    u32 edges[in], f32 of each       share of the edges at or below x
    3 squares                                       x and x * x, out = 2 in
    4 dense        f32 kernel[in][out], bias[out]   x kernel + bias
    5 relu                                          max(x, 0)

Types are numbered as `TYPES` has them. The features, as float32, one after another in
this order, are the first layer's input.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from t2t.bridge.episodes import Questions
from t2t.bridge.specs import (
    TYPES,
    BadSpec,
    Header,
    TensorSpec,
    difference,
    matrix,
)

MAGIC = b"t2tflat1"
MOST_WIDTH = 1 << 16
_KINDS = tuple(TYPES)
_VALUES, _ARGMAX = 0, 1


class BadPolicy(ValueError):
    """No policy, or one of other features than a compiler has."""


@dataclasses.dataclass(frozen=True)
class Standardise:
    """(x - mean) * scale, float32 [in] each."""

    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) * self.scale

    def sizes(self, width: int) -> tuple[int, bytes]:
        _expect(self.mean.shape == self.scale.shape == (width,), self, width)
        return width, _floats(self.mean, self.scale)


@dataclasses.dataclass(frozen=True)
class Bucketise:
    """The share of a feature's edges that are not above it; MLGO's quantiles.

    Args:
      edges: float32, ascending, one array for each input.
    """

    edges: tuple[np.ndarray, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        found = np.zeros_like(x)
        for n, edges in enumerate(self.edges):
            if len(edges):
                ranks = np.searchsorted(edges, x[:, n], side="right")
                found[:, n] = ranks.astype(np.float32) / np.float32(len(edges))
        return found

    def sizes(self, width: int) -> tuple[int, bytes]:
        _expect(len(self.edges) == width, self, width)
        counts = struct.pack(f"<{width}I", *(len(edges) for edges in self.edges))
        return width, counts + _floats(*self.edges)


@dataclasses.dataclass(frozen=True)
class Squares:
    """x and its squares, as MLGO has them beside each other."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, x * x], axis=1)

    def sizes(self, width: int) -> tuple[int, bytes]:
        return 2 * width, b""


@dataclasses.dataclass(frozen=True)
class Dense:
    """x kernel + bias: float32 [in, out] and [out], as Keras has them."""

    kernel: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x @ self.kernel + self.bias

    def sizes(self, width: int) -> tuple[int, bytes]:
        _expect(self.kernel.shape == (width, *self.bias.shape), self, width)
        return len(self.bias), _floats(self.kernel, self.bias)


@dataclasses.dataclass(frozen=True)
class Relu:
    """max(x, 0)."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    def sizes(self, width: int) -> tuple[int, bytes]:
        return width, b""


Layer = Standardise | Bucketise | Squares | Dense | Relu
_LAYERS: tuple[type[Layer], ...] = (Standardise, Bucketise, Squares, Dense, Relu)


def _expect(good: bool, layer: object, width: int) -> None:
    if not good:
        raise BadPolicy(f"{type(layer).__name__} is not for {width} inputs")


def _floats(*arrays: np.ndarray) -> bytes:
    return b"".join(np.ascontiguousarray(a, "<f4").tobytes() for a in arrays)


@dataclasses.dataclass(frozen=True)
class FlatPolicy:
    """Layers between named features and advice.

    Args:
      features: what it looks at; a compiler may send more.
      advice: what it gives: the place of the last layer's largest value for whole
        numbers, the values themselves for float and double.
      layers: one after another.
      mask: the feature that says which places are allowed; '' for all.
    """

    features: tuple[TensorSpec, ...]
    advice: TensorSpec
    layers: tuple[Layer, ...]
    mask: str = ""

    def __post_init__(self) -> None:
        width = self.width
        for layer in self.layers:
            width, _ = layer.sizes(width)
            if not 0 < width <= MOST_WIDTH:
                raise BadPolicy(f"a layer of {width} values: at most {MOST_WIDTH}")
        sizes = {spec.name: spec.size for spec in self.features}
        if self.mask and sizes.get(self.mask) != width:
            raise BadPolicy(f"{self.mask!r} is no mask of {width} places")
        if self.advice.size != (1 if self.chooses else width):
            raise BadPolicy(f"the last layer's {width} values are no {self.advice}")

    @property
    def width(self) -> int:
        """Numbers that are looked at."""
        return sum(spec.size for spec in self.features)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.features)

    @property
    def chooses(self) -> bool:
        """Whether the advice is a place, and not the values themselves."""
        return self.advice.dtype.kind != "f"

    def check(self, header: Header) -> None:
        """Refuses a compiler of other features.

        Raises:
          BadPolicy: which names the difference.
        """
        wanted = difference(self.features, header.features)
        advice = header.advice or self.advice
        if self.advice != dataclasses.replace(advice, port=self.advice.port):
            wanted = "; ".join(filter(None, [wanted, f"the advice is {advice}"]))
        if wanted:
            raise BadPolicy(f"the policy is of other features: {wanted}")

    def values(self, inputs: np.ndarray) -> np.ndarray:
        """float32 [B, width] -> the last layer's, [B, out]."""
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    def decide(self, inputs: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
        """float32 [B, width], mask [B, out] -> advice [B, …] or places [B].

        Where no place is allowed it is the first one.
        """
        values = self.values(inputs)
        if not self.chooses:
            shape = (len(values), *self.advice.shape)
            return values.astype(self.advice.dtype).reshape(shape)
        if allowed is not None:
            values = np.where(allowed != 0, values, -np.inf)
        return values.argmax(axis=1).astype(self.advice.dtype)

    def __call__(self, questions: Questions) -> np.ndarray:
        """For a `Host`: checks the header, then decides."""
        self.check(questions.header)
        records = questions.observations
        mask = matrix(records, [self.mask]) if self.mask else None
        return self.decide(matrix(records, self.names), mask)

    def save(self, path: Path) -> Path:
        """Writes the file, to a temporary name first."""
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(self.dump())
        os.replace(temporary, path)
        return path

    def dump(self) -> bytes:
        """The file's content."""
        parts = [MAGIC, struct.pack("<I", len(self.features))]
        parts += [_spec(spec) for spec in (*self.features, self.advice)]
        mask = self.names.index(self.mask) if self.mask else -1
        output = _ARGMAX if self.chooses else _VALUES
        parts.append(struct.pack("<IiI", output, mask, len(self.layers)))
        width = self.width
        for layer in self.layers:
            out, content = layer.sizes(width)
            kind = _LAYERS.index(type(layer)) + 1
            parts += [struct.pack("<III", kind, width, out), content]
            width = out
        return b"".join(parts)


def _spec(spec: TensorSpec) -> bytes:
    name = spec.name.encode()
    axes = len(spec.shape)
    return struct.pack(
        f"<I{len(name)}sII{axes}q",
        *(len(name), name, _KINDS.index(spec.type), axes, *spec.shape),
    )


def load(path: Path) -> FlatPolicy:
    """The policy in a file.

    Raises:
      BadPolicy: when it holds none.
    """
    try:
        return _read(_Bytes(path.read_bytes()))
    except (BadSpec, IndexError, UnicodeDecodeError) as error:
        raise BadPolicy(f"{path} holds no flat weights: {error}") from None


class _Bytes:
    """Takes one thing after another; asks for no more than there is."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def take(self, size: int) -> bytes:
        part = self._raw[self._at : self._at + size]
        if len(part) != size:
            raise IndexError(f"it ends {size - len(part)} bytes too early")
        self._at += size
        return part

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def floats(self, *shape: int) -> np.ndarray:
        size = 4 * int(np.prod(shape, dtype=object))
        return np.frombuffer(self.take(size), "<f4").reshape(shape)

    def spec(self) -> TensorSpec:
        name, kind, axes = self.take(self.u32()).decode(), self.u32(), self.u32()
        shape = struct.unpack(f"<{axes}q", self.take(8 * axes))
        return TensorSpec(name, _KINDS[kind], shape)

    def end(self) -> None:
        if self._at < len(self._raw):
            raise IndexError(f"{len(self._raw) - self._at} bytes too many")


def _read(raw: _Bytes) -> FlatPolicy:
    if raw.take(len(MAGIC)) != MAGIC:
        raise IndexError("its first bytes are others")
    features = [raw.spec() for _ in range(_most(raw.u32(), 4096))]
    advice = raw.spec()
    output, mask = raw.u32(), struct.unpack("<i", raw.take(4))[0]
    layers = [_layer(raw) for _ in range(_most(raw.u32(), 1024))]
    raw.end()
    name = features[mask].name if mask >= 0 else ""
    policy = FlatPolicy(tuple(features), advice, tuple(layers), name)
    if output != (_ARGMAX if policy.chooses else _VALUES):
        raise IndexError(f"output {output} for {advice}")
    return policy


def _most(count: int, most: int) -> int:
    if count > most:
        raise IndexError(f"{count} of what there are {most} at most")
    return count


def _layer(raw: _Bytes) -> Layer:
    kind, width, out = raw.u32(), _most(raw.u32(), MOST_WIDTH), raw.u32()
    cls = _LAYERS[kind - 1] if kind else None
    if cls is Standardise:
        return Standardise(raw.floats(width), raw.floats(width))
    if cls is Bucketise:
        counts = struct.unpack(f"<{width}I", raw.take(4 * width))
        return Bucketise(tuple(raw.floats(count) for count in counts))
    if cls is Dense:
        return Dense(raw.floats(width, _most(out, MOST_WIDTH)), raw.floats(out))
    if cls in (Squares, Relu):
        return cls()  # type: ignore[misc]
    raise IndexError(f"no layer is of kind {kind}")


def mlp(
    features: Sequence[TensorSpec],
    advice: TensorSpec,
    kernels: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    before: Sequence[Layer] = (),
    mask: str = "",
) -> FlatPolicy:
    """Dense layers with ReLU between them.

    Args:
      features, advice, mask: see `FlatPolicy`.
      kernels: (kernel [in, out], bias [out]) of each.
      before: what comes before the first, such as `Standardise`.
    """
    layers: list[Layer] = list(before)
    for n, (kernel, bias) in enumerate(kernels):
        layers += [Relu()] * bool(n)
        layers.append(Dense(np.asarray(kernel, "f4"), np.asarray(bias, "f4")))
    return FlatPolicy(tuple(features), advice, tuple(layers), mask)
