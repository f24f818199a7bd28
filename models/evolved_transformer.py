"""The Evolved Transformer. So et al. 2019 (arXiv:1901.11117).

Notable features: cells that an evolutionary search found, of gated units, separable
convolutions and more heads than usual; each as deep as two blocks of a Transformer.
What Tensor2Tensor's code has is what counts, where the paper's figure leaves it open.
"""

from __future__ import annotations

from t2t import registry
from t2t.features import Feature
from t2t.layers.blocks import BlockShape
from t2t.layers.evolved import EvolvedStack
from t2t.models.transformer import EncoderDecoder


@registry.model
class EvolvedTransformer(EncoderDecoder):
    """Encoder-decoder of the Evolved Transformer's cells.

    Args:
      features: of the problem; `inputs` and `targets` are texts.
      blocks: the knobs of all cells; `filter_size` is 4·D in the paper, activations
        are the cells' own.
      num_layers: encoder cells.
      num_decoder_layers: decoder cells.
      label_smoothing, share_embeddings: see `EncoderDecoder`.
    """

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        num_layers: int = 3,
        num_decoder_layers: int | None = 4,
        label_smoothing: float = 0.0,
        share_embeddings: bool = True,
    ) -> None:
        encoder = EvolvedStack(
            blocks, num_layers=num_layers, causal=False, cross=False, name="encoder"
        )
        decoder = EvolvedStack(
            blocks,
            num_layers=num_decoder_layers or num_layers,
            causal=True,
            cross=True,
            name="decoder",
        )
        super().__init__(
            features,
            encoder=encoder,
            decoder=decoder,
            label_smoothing=label_smoothing,
            share_embeddings=share_embeddings,
            name="evolved_transformer",
        )
