"""Text without a network: `xz -9`, and n-grams of bytes by Witten and Bell.

Bits a byte as `t2t-eval` has them: of the bytes of the texts and one more a text.
"""

from __future__ import annotations

import lzma
import math
from collections import Counter, defaultdict
from collections.abc import Iterator

from t2t.baselines.examples import Examples

ORDER = 6  # bytes of an n-gram, the one that is told among them


def baselines(
    known: Examples, asked: Examples
) -> Iterator[tuple[str, dict[str, float]]]:
    """What xz makes of the split after the training texts, and what n-grams do."""
    seen, text = (_joined(examples) for examples in (known, asked))
    packed = _packed(seen + text) - _packed(seen)
    yield "xz -9, after training's", {"bits_per_byte": 8 * packed / len(text)}
    model = NGrams(ORDER)
    model.learn(seen)
    yield f"{ORDER}-grams of bytes", {"bits_per_byte": model.bits(text) / len(text)}


def _joined(examples: Examples) -> bytes:
    return b"".join(f"{t}\n".encode("utf-8", "surrogatepass") for t in examples.told)


def _packed(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


class NGrams:
    """Chances of a byte after those before it, shorter contexts mixed in.

    P_n(b | c) = (count(c, b) + kinds(c) · P_{n-1}(b | c less a byte))
                 / (count(c) + kinds(c))

    Witten and Bell, "The zero-frequency problem", 1991, interpolated as in Chen and
    Goodman 1998; P_0 is 1 / 256.

    Args:
      order: bytes of an n-gram.
    """

    def __init__(self, order: int) -> None:
        self.order = order
        self.after: dict[bytes, Counter[int]] = defaultdict(Counter)

    def learn(self, text: bytes) -> None:
        after, order = self.after, self.order
        for place, byte in enumerate(text):
            for size in range(min(order, place + 1)):
                after[text[place - size : place]][byte] += 1
        self._totals = {context: found.total() for context, found in after.items()}

    def chance(self, context: bytes, byte: int) -> float:
        """Of a byte after a context, of which the last order - 1 bytes count."""
        chance = 1 / 256
        for size in range(min(self.order, len(context) + 1)):
            shorter = context[len(context) - size :]
            found = self.after.get(shorter)
            if found is None:
                break
            kinds = len(found)
            chance = (found[byte] + kinds * chance) / (self._totals[shorter] + kinds)
        return chance

    def bits(self, text: bytes) -> float:
        """Of a whole text: -Σ log2 P."""
        return sum(
            -math.log2(self.chance(text[max(0, i - self.order + 1) : i], byte))
            for i, byte in enumerate(text)
        )
