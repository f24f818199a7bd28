"""A compiler in Python that asks by `Client`, for tests and benchmarks.

    python bridge_asking.py ADDRESS CODEC COUNT SIZE SPIN [CHECK]

Each question is SIZE numbers and a float. It exits with 9 when an answer is not their
sum, unless CHECK is 0, and prints as bridge_asking.c does.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from t2t.bridge.client import Client  # noqa: E402
from t2t.bridge.specs import TensorSpec  # noqa: E402


def main() -> int:
    address, codec, count, size, spin, *check = sys.argv[1:]
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
            if answer != x.sum() and check != ["0"]:
                return 9
            ask.reward(n / 2)
    first = sorted(took)[len(took) // 2]
    print(len(took), 0, 0, f"{first:.9f} {sum(took):.9f} {took[0]:.9f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
