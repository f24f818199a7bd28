"""A toy model for tests of search: its next token's chances are a function of the
last tokens, looked up in a random table, so every output can be scored in numpy.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from keras import ops

from t2t.features import EOS


class TableModel:
    """log p(next | input, last token, number of tokens so far, last but one).

    The state keeps each hypothesis's last but one token and follows `parents`, so
    a search that mixes hypotheses up gets other chances.

    Args:
      size: V; ids 0 and 1 are padding and end.
      length: L, the longest output.
      sharpness: how far chances lie apart.
    """

    PROMPT = "inputs"

    def __init__(
        self, size: int, length: int, *, seed: int = 0, sharpness: float = 2.0
    ) -> None:
        rng = np.random.default_rng(seed)
        # [input, time, last but one, last, next]
        table = rng.normal(size=(3, length, size, size, size)) * sharpness
        self.size, self.length = size, length
        self.table = table.astype("float32")

    def begin(self, batch: dict[str, Any], *, width: int, length: int) -> Any:
        which = ops.cast(batch["inputs"][:, 0], "int32")  # [B]
        zeros = ops.zeros((ops.shape(which)[0], width), "int32")
        return zeros[:, 0], {"which": which}, {"before": zeros}

    def decode_step(
        self,
        ids: Any,
        constants: dict[str, Any],
        state: dict[str, Any],
        *,
        time: Any,
        visible: Any,
        parents: Any,
        slot: Any = None,
    ) -> Any:
        before = ops.take_along_axis(state["before"], parents, axis=1)  # [B, W]
        place = constants["which"][:, None] * self.length + ops.reshape(time, (-1, 1))
        place = (place * self.size + before) * self.size + ids
        logits = ops.take(self.table.reshape(-1, self.size), place, axis=0)
        return logits, {"before": ids}

    # -- the same in numpy ---------------------------------------------------------

    def log_chances(self, which: int, tokens: tuple[int, ...]) -> np.ndarray:
        """[V] after some tokens; padding has chances of its own but is never taken."""
        last = (0, 0, *tokens)[-2:]
        row = self.table[which, len(tokens), last[0], last[1]].astype("float64")
        chances = row - row.max() - np.log(np.exp(row - row.max()).sum())
        chances[0] = -np.inf
        return chances

    def score(self, which: int, tokens: tuple[int, ...]) -> float:
        return float(
            sum(
                self.log_chances(which, tokens[:i])[token]
                for i, token in enumerate(tokens)
            )
        )

    def outputs(self) -> list[tuple[int, ...]]:
        """Every output that ends within `length` tokens."""
        words = range(2, self.size)
        return [
            (*middle, EOS)
            for n in range(self.length)
            for middle in itertools.product(words, repeat=n)
        ]


def batch(which: list[int]) -> dict[str, Any]:
    return {"inputs": np.array(which, np.int32)[:, None]}


def tokens_of(row: np.ndarray) -> tuple[int, ...]:
    """A row of output ids as a tuple, up to its end."""
    ids = row.tolist()
    return tuple(ids[: ids.index(EOS) + 1] if EOS in ids else ids)
