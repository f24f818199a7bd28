"""What fuzzing t2t_bridge.h begins with: good files and near misses.

    python tests/bridge/seeds.py FOLDER

writes them; what libFuzzer has found of them since is in tests/bridge/corpus.zip.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from t2t.bridge import ring  # noqa: E402
from t2t.bridge.codecs import frames  # noqa: E402
from t2t.bridge.flat import Bucketise, Squares, Standardise, mlp  # noqa: E402
from t2t.bridge.specs import TensorSpec  # noqa: E402

FEATURES = (
    TensorSpec("c", "uint8_t", (3,)),
    TensorSpec("a", "int64_t"),
    TensorSpec("b", "float", (1, 3)),
)
CAPACITY = 512


def seeds() -> dict[str, bytes]:
    """The first byte tells fuzz_header.c what the others are."""
    rng = np.random.default_rng(0)
    n = lambda *shape: rng.normal(size=shape).astype("f4")  # noqa: E731
    before = [
        Standardise(n(7), n(7)),
        Bucketise(tuple(np.sort(n(k)) for k in range(7))),
        Squares(),
    ]
    whole, real = TensorSpec("y", "int64_t"), TensorSpec("y", "float")
    choice = mlp(
        FEATURES, whole, [(n(14, 4), n(4)), (n(4, 3), n(3))], before=before, mask="c"
    )
    other = (TensorSpec("d", "float"), *FEATURES[1:])
    side = frames.PolicySide()
    answer = side.advise(bytes(8))
    rings = bytearray(ring.size_of(CAPACITY))
    rings[:16] = ring.MAGIC + struct.pack("<Q", CAPACITY)
    second = ring.size_of(CAPACITY) - CAPACITY - 256
    rings[second : second + 8] = struct.pack("<Q", len(answer))
    rings[second + 256 : second + 256 + len(answer)] = answer
    nonsense = bytearray(rings)
    nonsense[second + 64 : second + 72] = struct.pack("<Q", 9999)
    return {
        "choice": b"\1" + choice.dump(),
        "value": b"\0" + mlp(FEATURES[1:], real, [(n(4, 1), n(1))]).dump(),
        "other_features": b"\0" + mlp(other, real, [(n(5, 1), n(1))]).dump(),
        "answers": b"\2" + 3 * answer,
        "refusal": b"\2" + answer + side.refuse("no more"),
        "wrong_size": b"\2" + answer + side.advise(bytes(4)),
        "ring": b"\3" + bytes(rings),
        "ring_nonsense": b"\3" + bytes(nonsense),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds().items():
        (folder / name).write_bytes(content)
