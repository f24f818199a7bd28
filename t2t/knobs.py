"""What values the bindings of the house may have: told before anything is made.

A target is `configurable.argument`; `*.argument` stands for the argument of any.
This is the one list of choices: the parts look theirs up with `check_choice`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from t2t import old_names, registry

LEAST = {
    1: (
        "train.steps train.log_frequency train.save_frequency evaluation.frequency "
        "experiment.keep_checkpoint_max batches.tokens_per_batch "
        "batches.examples_per_batch batches.max_length step.accumulate "
        "learning_rate.decay_steps blocks.filter_size blocks.num_heads "
        "blocks.num_kv_heads blocks.window blocks.dilation blocks.block_length "
        "blocks.max_relative_position blocks.filter_width blocks.expert_every "
        "blocks.experts_per_token blocks.max_length blocks.head_size *.hidden_size "
        "*.num_layers *.num_decoder_layers *.num_rec_steps *.act_max_steps "
        "*.num_blocks"
    ),
    0: (
        "adapters.rank distillation.temperature distillation.weight "
        "evaluation.steps evaluation.decode_examples evaluation.early_stopping_steps "
        "evaluation.early_stopping_delta experiment.seed step.clip_norm "
        "blocks.memory_length blocks.logit_softcap blocks.experts "
        "blocks.capacity_factor blocks.load_balance_weight blocks.router_z_weight "
        "*.act_loss_weight "
        "blocks.norm_epsilon optimizer.epsilon optimizer.weight_decay "
        "learning_rate.constant "
        "learning_rate.warmup_steps learning_rate.decay_rate"
    ),
}
# From 0, below 1.
SHARES = (
    "*.dropout *.attention_dropout *.relu_dropout *.label_smoothing step.ema_decay "
    "blocks.router_jitter *.act_epsilon "
    "optimizer.beta_1 optimizer.beta_2 optimizer.momentum"
).split()
CHOICES = {
    "experiment.strategy": ("auto", "none", "mirrored", "multiworker", "tpu"),
    "experiment.dtype": (
        "auto", "float32", "bfloat16", "mixed_bfloat16", "float16", "mixed_float16",
    ),
    "batches.batching": ("auto", "packed", "buckets", "examples"),
    "optimizer.name": (
        *("adam", "adamw", "adafactor", "lion", "muon", "sgd", "momentum"),
    ),
    "blocks.norm": ("layer", "rms", "none"),
    "blocks.norm_position": ("pre", "post"),
    "blocks.position": (
        "sinusoid", "sinusoid_formula", "learned", "rotary", "relative", "alibi",
        "relative_vectors", "relative_keys", "relative_sinusoid", "none",
    ),
    "transformer_encoder.pooling": ("mean", "first"),
    "lstm_seq2seq.attention": ("luong", "bahdanau"),
    "universal_transformer.recurrence_type": ("basic", "act"),
    "omni.audio_head": ("parallel", "delay", "depth"),
    "speech_codec.quantiser": ("finite_scalar", "residual"),
    "blocks.activation": (
        *("relu", "gelu", "gelu_exact", "silu", "swiglu", "geglu", "reglu"),
    ),
}  # fmt: skip
# Factors of a learning-rate schedule; `t2t.optimizers.schedules` has their formulas.
FACTORS = (
    "constant", "linear_warmup", "linear_decay", "rsqrt_decay",
    "rsqrt_normalized_decay", "rsqrt_hidden_size", "single_cycle_cos_decay",
    "exp_decay", "noam",
)  # fmt: skip

_LEAST = {target: least for least, text in LEAST.items() for target in text.split()}


def fault(target: str, value: Any, *, name: str) -> str:
    """What is wrong with a binding's value, or ''.

    Args:
      target: 'configurable.argument'.
      name: as the user knows it: of the knob, or the target.
    """
    anywhere = f"*.{target.rsplit('.', 1)[-1]}"
    if value is None:
        return ""
    for place in (target, anywhere):
        if place in CHOICES:
            return _choice(name, value, CHOICES[place])
        if place in _LEAST:
            return _number(name, value, _LEAST[place], below=math.inf)
        if place in SHARES:
            return _number(name, value, 0, below=1)
    if target == "learning_rate.schedule":
        faults = (_choice(name, f.strip(), FACTORS) for f in str(value).split("*"))
        return next(filter(None, faults), "")
    return ""


def check_choice(target: str, value: str) -> None:
    """Refuses a value that is none of the target's choices.

    Raises:
      ValueError: naming the choices and what is close.
    """
    wrong = _choice(target.rsplit(".", 1)[-1], value, CHOICES[target])
    if wrong:
        raise ValueError(wrong)


def check_factors(schedule: str) -> None:
    """Refuses a schedule with an unknown factor.

    Raises:
      ValueError: naming the factors and what is close.
    """
    for factor in schedule.split("*"):
        wrong = _choice("learning_rate.schedule", factor.strip(), FACTORS)
        if wrong:
            raise ValueError(wrong)


def misfit(values: Mapping[str, Any]) -> str:
    """What does not go together among the targets' values, or ''."""
    size, heads = values.get("blocks.hidden_size"), values.get("blocks.num_heads")
    groups = values.get("blocks.num_kv_heads")
    if size and heads and size % heads and not values.get("blocks.head_size"):
        return f"num_heads={heads} does not divide hidden_size={size}"
    if heads and groups and heads % groups:
        return f"num_kv_heads={groups} does not divide num_heads={heads}"
    experts, each = values.get("blocks.experts"), values.get("blocks.experts_per_token")
    if experts and each and each > experts:
        return f"experts_per_token={each} is more than experts={experts}"
    return ""


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value in choices:
        return ""
    hint = old_names.told(name, str(value)) or registry.close_to(str(value), choices)
    return f"{name} has no {value!r}.{hint} It takes {', '.join(choices)}"


def _number(name: str, value: Any, least: int, *, below: float) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{name} is a number, not {value!r}"
    if value < least:
        return f"{name} is at least {least}, not {value!r}"
    if below < math.inf and value >= below:
        return f"{name} is below {below}, not {value!r}"
    return "" if math.isfinite(value) else f"{name} is finite, not {value!r}"
