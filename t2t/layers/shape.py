"""The knobs that all blocks of a Transformer share, and those of its embeddings."""

from __future__ import annotations

import dataclasses
from typing import Any

from t2t import knobs, registry
from t2t.layers.embedding import Embedding
from t2t.layers.norm import EPSILON, make_norm
from t2t.layers.sight import Sight


@registry.configurable("blocks")
@dataclasses.dataclass(frozen=True)
class BlockShape:
    """The knobs that all blocks of a Transformer share.

    position: see `t2t.layers.relative` for those by distance.
    max_relative_position: of 'relative_vectors' and 'relative_keys'.
    window, dilation, block_length, memory_length: see `t2t.layers.sight.Sight`.
    memory_gradient: whether what lies outside of its block learns from a query; not
      so in Transformer-XL.
    qk_norm, logit_softcap: see `Attention`.
    filter_width: see `FeedForward`.
    head_size: of a head; None for hidden_size / num_heads.
    biases: whether projections have them; None for ungated feed-forward layers alone.
    norm_epsilon: added to variances.
    input_norm: whether what goes into the first block is normalised, as in BERT.
    embedding_scale, embedding_start, output_bias, tied_softmax: see `Embedding`.
    experts: of every `expert_every`-th block, in place of its feed-forward layer; 0
      for none. `experts_per_token`, `capacity_factor`, `router_jitter`: see
      `Experts`.
    load_balance_weight, router_z_weight: of these losses, in the model's.
    """

    hidden_size: int
    filter_size: int
    num_heads: int
    num_kv_heads: int | None = None
    activation: str = "relu"
    norm: str = "layer"
    norm_position: str = "pre"
    position: str = "sinusoid"
    max_relative_position: int = 16
    window: int | None = None
    dilation: int = 1
    block_length: int | None = None
    memory_length: int | None = None
    memory_gradient: bool = True
    qk_norm: bool = False
    logit_softcap: float | None = None
    filter_width: int = 1
    head_size: int | None = None
    biases: bool | None = None
    norm_epsilon: float = EPSILON
    input_norm: bool = False
    embedding_scale: bool = True
    embedding_start: bool = False
    output_bias: bool = False
    tied_softmax: bool = True
    experts: int = 0
    expert_every: int = 2
    experts_per_token: int = 1
    capacity_factor: float = 1.25
    router_jitter: float = 0.0
    load_balance_weight: float = 0.01
    router_z_weight: float = 0.0
    dropout: float = 0.0
    attention_dropout: float = 0.0
    relu_dropout: float = 0.0
    max_length: int = 256
    remat: bool = False

    def __post_init__(self) -> None:
        for name in ("norm", "norm_position", "position", "activation"):
            knobs.check_choice(f"blocks.{name}", getattr(self, name))
        if self.memory_length is not None and self.block_length is None:
            raise ValueError("memory_length goes with a block_length")
        if not self.memory_gradient and self.block_length is None:
            raise ValueError("memory_gradient=False goes with a block_length")

    def sight(self, *, causal: bool) -> Sight:
        return Sight(
            causal=causal,
            window=self.window,
            dilation=self.dilation,
            block_length=self.block_length,
            memory_length=self.memory_length,
        )

    def make_norm(self, name: str, *, wanted: bool = True) -> Any:
        """A norm of this kind, or what changes nothing."""
        kind = self.norm if wanted else "none"
        return make_norm(kind, epsilon=self.norm_epsilon, name=name)

    def make_embedding(self, size: int, name: str) -> Embedding:
        """Of so many ids, as these knobs say."""
        return Embedding(
            size,
            self.hidden_size,
            scale=self.embedding_scale,
            start=self.embedding_start,
            bias=self.output_bias,
            tied=self.tied_softmax,
            name=name,
        )

    @property
    def auxiliary(self) -> dict[str, float]:
        """Weights of the inner values that join the loss, see `losses.auxiliary`."""
        if not self.experts:
            return {}
        return {
            "load_balance": self.load_balance_weight,
            "router_z": self.router_z_weight,
        }
