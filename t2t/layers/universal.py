"""One block run again and again, as long as each token needs it.

The Universal Transformer (arXiv:1807.03819) with the adaptive computation time of
its appendix C (Graves, arXiv:1603.08983), as Tensor2Tensor computes it.

The surprise: a token that has halted goes on being transformed, since others may
still look at it; only its output stands. So all tokens take the same steps, and a
step's keys and values can be cached, which Tensor2Tensor never did.

Axis letters: B batch, T tokens, D model.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from t2t.layers.blocks import Block, BlockShape, Memory, Stack


@dataclasses.dataclass(frozen=True)
class Halting:
    """When a token has been pondered on for long enough.

    max_steps: that any token takes.
    epsilon: a token halts when its probabilities sum to 1 - epsilon.
    bias: of the halting probability at first.
    """

    max_steps: int
    epsilon: float = 0.01
    bias: float = 1.0


class UniversalStack(Stack):
    """One block, `steps` times or until each token halts; see `Stack`.

    Positions are added before each step, and a learned vector of the step.

    Args:
      steps: without `halting`.
      halting: for adaptive computation time. Then inner['steps'] [B, T] says how
        many each token took, and inner['ponder'] [B] is the mean of that and the
        remainder over the real tokens of a row: the ponder loss.
    """

    def __init__(
        self,
        shape: BlockShape,
        *,
        steps: int,
        causal: bool,
        cross: bool,
        halting: Halting | None = None,
        name: str,
    ) -> None:
        super().__init__(shape, num_layers=1, causal=causal, cross=cross, name=name)
        self.halting = halting
        self.steps = halting.max_steps if halting else steps
        if halting:
            self.halt = keras.layers.Dense(
                1,
                bias_initializer=keras.initializers.Constant(halting.bias),
                dtype="float32",
                name="halt",
            )

    def build(self, input_shape: Any = None) -> None:
        size = self.shape.hidden_size
        self.step_table = self.add_weight(
            name="steps",
            shape=(self.steps, size),
            initializer=keras.initializers.RandomNormal(stddev=size**-0.5),
        )

    def call(
        self,
        x: Any,
        *,
        segments: Any = None,
        visible: Any = None,
        positions: Any,
        key_positions: Any = None,
        memory: Memory | None = None,
        caches: list[Any] | None = None,
        slot: Any = None,
        training: bool = False,
    ) -> tuple[Any, dict[str, Any], list[Any]]:
        """See `Stack.call`; there is a cache for each step."""
        (block,) = self.blocks
        x = self.input_dropout(x, training=training)
        view = self.view(
            segments=segments,
            visible=visible,
            positions=positions,
            key_positions=key_positions,
            slot=slot,
        )
        pondering = _Pondering(x, self.halting)
        inner: dict[str, Any] = {}
        new_caches = []
        for step in range(self.steps):
            x = self.add_positions(x, positions)
            x = x + ops.cast(self.step_table[step], x.dtype)
            if self.halting:
                pondering.decide(ops.sigmoid(self.halt(x))[..., 0])
            x, found, cache = self.run_block(
                block,
                x,
                view=view,
                memory=None if memory is None else memory.values,
                memory_visible=None if memory is None else memory.visible,
                memory_cache=memory.caches[0] if memory and memory.caches else None,
                cache=caches[step] if caches is not None else None,
                training=training,
            )
            pondering.see(x)
            inner.update({f"step_{step}/{n}": v for n, v in found.items()})
            new_caches.append(cache)
        inner.update(pondering.inner(segments))
        return self.final_norm(pondering.output), inner, new_caches

    def empty_caches(self, batch_size: int, slots: int, dtype: str) -> list[Any]:
        block: Block = self.blocks[0]
        return [block.empty_cache(batch_size, slots, dtype) for _ in range(self.steps)]


class _Pondering:
    """The bookkeeping of appendix C: who still runs, and the output so far."""

    def __init__(self, x: Any, halting: Halting | None) -> None:
        self.halting, self.output = halting, x
        if halting:
            zeros = ops.zeros(ops.shape(x)[:2], "float32")  # [B, T]
            self.probability, self.remainder, self.updates = zeros, zeros, zeros
            self.weight, self.output = zeros, ops.zeros_like(x)

    def decide(self, chance: Any) -> None:
        """Takes the halting probability [B, T] of this step."""
        assert self.halting is not None
        threshold = 1.0 - self.halting.epsilon
        running = ops.cast(self.probability < 1.0, "float32")
        reached = self.probability + chance * running
        halted = ops.cast(reached > threshold, "float32") * running
        running = ops.cast(reached <= threshold, "float32") * running
        probability = self.probability + chance * running
        self.remainder = self.remainder + halted * (1.0 - probability)
        self.probability = probability + halted * self.remainder
        self.updates = self.updates + running + halted
        self.weight = chance * running + halted * self.remainder

    def see(self, x: Any) -> None:
        """Takes what the step made of the tokens, [B, T, D]."""
        if not self.halting:
            self.output = x
            return
        weight = ops.cast(self.weight, x.dtype)[..., None]
        self.output = x * weight + self.output * (1.0 - weight)

    def inner(self, segments: Any) -> dict[str, Any]:
        if not self.halting:
            return {}
        present = ops.ones_like(self.updates)
        if segments is not None:
            present = ops.cast(segments > 0, "float32")
        count = ops.maximum(ops.sum(present, axis=1), 1.0)
        ponder = ops.sum((self.updates + self.remainder) * present, axis=1) / count
        return {"steps": self.updates * present, "ponder": ponder}
