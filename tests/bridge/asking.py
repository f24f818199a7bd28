"""A compiler in Python that asks by `Client`, for the tests of transports.

    python asking.py ADDRESS CODEC COUNT SIZE SPIN

Each question is SIZE numbers; it exits with 9 unless the answer is their sum, and
prints the seconds of a round trip.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from t2t.bridge.client import Client  # noqa: E402
from t2t.bridge.specs import TensorSpec  # noqa: E402


def main() -> int:
    address, codec, count, size, spin = sys.argv[1:6]
    features = [TensorSpec("x", "int64_t", (int(size),)), TensorSpec("n", "float")]
    advice = TensorSpec("sum", "int64_t")
    rng, took = np.random.default_rng(int(size)), []
    with Client(address, features, advice, codec=codec, spin=float(spin)) as ask:
        ask.context("all")
        for n in range(int(count)):
            x = rng.integers(-1000, 1000, int(size))
            begun = time.perf_counter()
            answer = ask({"x": x, "n": n}, default=-1)
            took.append(time.perf_counter() - begun)
            if answer != x.sum():
                return 9
            ask.reward(n / 2)
    print(*took)
    return 0


if __name__ == "__main__":
    sys.exit(main())
