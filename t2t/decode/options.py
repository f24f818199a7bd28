"""`--decode_hparams`: how to decode, with Tensor2Tensor's names where it has them."""

from __future__ import annotations

import dataclasses

from t2t import registry
from t2t.config import ConfigError, split_knobs


@dataclasses.dataclass(frozen=True)
class DecodeOptions:
    """How to decode.

    beam_size: hypotheses; 1 is greedy.
    alpha: length penalty of beam search, GNMT's; 0 for none.
    sampling: sample instead of searching, from `temperature`, `top_k`, `top_p`,
      `min_p` and `seed`; line N's output depends on the seed and N alone.
    num_samples: outputs of each line when sampling.
    extra_length: an output has at most this many tokens more than its input.
    return_beams: write all `beam_size` hypotheses, tab-separated.
    write_beam_scores: write log-probabilities (with penalty) after each output.
    batch_size: sentences decoded at a time.
    """

    beam_size: int = 4
    alpha: float = 0.6
    sampling: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    num_samples: int = 1
    extra_length: int = 50
    return_beams: bool = False
    write_beam_scores: bool = False
    batch_size: int = 32

    def __post_init__(self) -> None:
        least = {
            "beam_size": 1, "num_samples": 1, "batch_size": 1, "extra_length": 1,
            "top_k": 0, "alpha": 0, "min_p": 0,
        }  # fmt: skip
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(
                    f"decode_hparams: {name} is at least {value}, not "
                    f"{getattr(self, name)}"
                )
        if self.temperature <= 0 or not 0 < self.top_p <= 1 or self.min_p > 1:
            raise ConfigError(
                "decode_hparams: temperature is above 0, top_p in (0, 1], min_p in "
                f"[0, 1], not {self.temperature}, {self.top_p}, {self.min_p}"
            )

    @property
    def outputs(self) -> int:
        """How many outputs of a line are asked for."""
        if self.sampling:
            return self.num_samples
        return self.beam_size if self.return_beams else 1


def parse(text: str) -> DecodeOptions:
    """`beam_size=4,alpha=0.6` as options.

    Raises:
      ConfigError: for an unknown name or a value of another type.
    """
    fields = {f.name: f for f in dataclasses.fields(DecodeOptions)}
    values = {}
    for name, value in split_knobs(text):
        if name not in fields:
            raise ConfigError(
                f"decode_hparams has no {name!r}.{registry.close_to(name, fields)}"
            )
        kind = type(fields[name].default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ConfigError(
                f"decode_hparams: {name} is a {kind.__name__}, not {value!r}"
            )
        values[name] = value
    return DecodeOptions(**values)
