"""The Universal Transformer. Dehghani et al. 2018 (arXiv:1807.03819).

Notable features: one block for all depths on each side, with a position and a step
embedding before each; by request each token halts by itself (adaptive computation
time), and what it costs joins the loss; decoding is cached.

Axis letters: B batch, T time.
"""

from __future__ import annotations

from t2t import knobs, registry
from t2t.features import Feature
from t2t.layers.blocks import BlockShape
from t2t.layers.universal import Halting, UniversalStack
from t2t.models.transformer import EncoderDecoder


@registry.model
class UniversalTransformer(EncoderDecoder):
    """Encoder-decoder that repeats one block, a fixed or an adaptive number of times.

    Args:
      features: of the problem; `inputs` and `targets` are texts.
      blocks: the knobs of the block.
      recurrence_type: 'basic' for `num_rec_steps` steps, or 'act': adaptive.
      num_rec_steps: steps of each side.
      act_max_steps, act_epsilon, act_halting_bias_init: see `Halting`.
      act_loss_weight: of the mean number of steps and remainder, in the loss.
      label_smoothing, share_embeddings: see `EncoderDecoder`.
    """

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        recurrence_type: str = "act",
        num_rec_steps: int = 6,
        act_max_steps: int = 12,
        act_epsilon: float = 0.01,
        act_halting_bias_init: float = 1.0,
        act_loss_weight: float = 0.01,
        label_smoothing: float = 0.0,
        share_embeddings: bool = True,
    ) -> None:
        knobs.check_choice("universal_transformer.recurrence_type", recurrence_type)
        halting = None
        if recurrence_type == "act":
            halting = Halting(act_max_steps, act_epsilon, act_halting_bias_init)
        sides = {
            name: UniversalStack(
                blocks,
                steps=num_rec_steps,
                causal=name == "decoder",
                cross=name == "decoder",
                halting=halting,
                name=name,
            )
            for name in ("encoder", "decoder")
        }
        super().__init__(
            features,
            **sides,
            label_smoothing=label_smoothing,
            share_embeddings=share_embeddings,
            auxiliary={**blocks.auxiliary, "ponder": act_loss_weight},
            name="universal_transformer",
        )
