"""The families of published models: their configuration as our knobs, and back.

| family | source | ours |
|---|---|---|
| marian | Marian and OPUS-MT (arXiv:1804.00344) | transformer |
| t5 | T5 and its version 1.1 (arXiv:1910.10683) | transformer |
| gpt2 | GPT-2 (Radford et al. 2019) | transformer_lm |
| bert | BERT (arXiv:1810.04805) | transformer_encoder |
| roberta | RoBERTa (arXiv:1907.11692) | transformer_encoder |
| vit | ViT (arXiv:2010.11929) | vision_transformer |

The configuration is the `config.json` that `transformers` writes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from t2t.published import names
from t2t.published.names import Link

Values = Mapping[str, Any]

ACTIVATIONS = {
    "relu": "relu",
    "swish": "silu",
    "silu": "silu",
    "gelu": "gelu_exact",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
}
GATED = {"gated-gelu": "geglu", "gated-silu": "swiglu", "relu": "relu"}


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of published models.

    model, problem, hparams_set: ours, where the user names no problem.
    architecture: theirs, for which weights go out.
    fixed: knobs that all of its models have.
    sizes: {knob: the name in their configuration}.
    kinds: {knob: (their name, {their value: ours})}.
    always: what their configuration also says.
    links: of knobs.
    start, end: the names of their ids of our 0 and 1.
    before: the name of the id that comes before every text; "" for none.
    offset: rows of their position table that are never used.
    """

    model: str
    problem: str
    architecture: str
    fixed: Values
    sizes: Mapping[str, str]
    links: Callable[[Values], Iterator[Link]]
    kinds: Mapping[str, tuple[str, Mapping[Any, Any]]] = dataclasses.field(
        default_factory=dict
    )
    always: Values = dataclasses.field(default_factory=dict)
    hparams_set: str = "transformer_base"
    start: str = "pad_token_id"
    end: str = "eos_token_id"
    before: str = ""
    offset: int = 0


DROPOUTS = {"dropout": 0.1, "attention_dropout": 0.1, "relu_dropout": 0.0}
BERT_SIZES = {
    "hidden_size": "hidden_size",
    "filter_size": "intermediate_size",
    "num_heads": "num_attention_heads",
    "num_layers": "num_hidden_layers",
    "max_length": "max_position_embeddings",
    "norm_epsilon": "layer_norm_eps",
}
BERT_FIXED = {
    **DROPOUTS,
    "norm": "layer", "norm_position": "post", "position": "learned", "biases": True,
    "input_norm": True, "embedding_scale": False, "embedding_start": True,
    "output_bias": False, "tied_softmax": True, "pooling": "first", "pooler": True,
    "label_smoothing": 0.0,
}  # fmt: skip
ACTIVATION = {"activation": ("hidden_act", ACTIVATIONS)}

FAMILIES = {
    "marian": Family(
        model="transformer",
        problem="text2text_files",
        architecture="MarianMTModel",
        fixed={
            **DROPOUTS,
            "norm": "layer", "norm_position": "post", "position": "sinusoid_formula",
            "biases": True, "norm_epsilon": 1e-5, "embedding_start": True,
            "output_bias": True, "tied_softmax": True, "share_embeddings": True,
        },
        sizes={
            "hidden_size": "d_model",
            "filter_size": "encoder_ffn_dim",
            "num_heads": "encoder_attention_heads",
            "num_layers": "encoder_layers",
            "num_decoder_layers": "decoder_layers",
            "max_length": "max_position_embeddings",
            "embedding_scale": "scale_embedding",
        },
        kinds={"activation": ("activation_function", ACTIVATIONS)},
        always={
            "share_encoder_decoder_embeddings": True, "tie_word_embeddings": True,
            "is_encoder_decoder": True,
        },
        links=lambda k: names.marian(k["num_layers"], k["num_decoder_layers"]),
        start="decoder_start_token_id",
    ),
    "t5": Family(
        model="transformer",
        problem="text2text_files",
        architecture="T5ForConditionalGeneration",
        fixed={
            **DROPOUTS,
            "norm": "rms", "norm_position": "pre", "position": "relative",
            "biases": False, "embedding_start": True, "embedding_scale": True,
            "output_bias": False, "share_embeddings": True,
        },
        sizes={
            "hidden_size": "d_model",
            "filter_size": "d_ff",
            "num_heads": "num_heads",
            "head_size": "d_kv",
            "num_layers": "num_layers",
            "num_decoder_layers": "num_decoder_layers",
            "max_length": "n_positions",
            "norm_epsilon": "layer_norm_epsilon",
            "tied_softmax": "tie_word_embeddings",
        },
        kinds={"activation": ("feed_forward_proj", GATED)},
        always={
            "relative_attention_num_buckets": 32,
            "relative_attention_max_distance": 128,
            "is_encoder_decoder": True,
        },
        links=lambda k: names.t5(
            k["num_layers"], k["num_decoder_layers"], gated=k["activation"] != "relu"
        ),
    ),
    "gpt2": Family(
        model="transformer_lm",
        problem="language_model_files",
        architecture="GPT2LMHeadModel",
        fixed={
            **DROPOUTS,
            "norm": "layer", "norm_position": "pre", "position": "learned",
            "biases": True, "embedding_scale": False, "embedding_start": True,
            "output_bias": True, "tied_softmax": True, "label_smoothing": 0.0,
        },
        sizes={
            "hidden_size": "n_embd",
            "filter_size": "n_inner",
            "num_heads": "n_head",
            "num_layers": "n_layer",
            "max_length": "n_positions",
            "norm_epsilon": "layer_norm_epsilon",
        },
        kinds={"activation": ("activation_function", ACTIVATIONS)},
        links=lambda k: names.gpt2(k["num_layers"]),
        start="bos_token_id",
    ),
    "bert": Family(
        model="transformer_encoder",
        problem="text_class_files",
        architecture="BertForSequenceClassification",
        fixed=BERT_FIXED,
        sizes={**BERT_SIZES, "token_types": "type_vocab_size"},
        kinds=ACTIVATION,
        links=lambda k: names.bert(k["num_layers"], stem="bert"),
        end="sep_token_id",
        before="cls_token_id",
    ),
    "roberta": Family(
        model="transformer_encoder",
        problem="text_class_files",
        architecture="RobertaForSequenceClassification",
        fixed=BERT_FIXED,
        sizes={**BERT_SIZES, "token_types": "type_vocab_size"},
        kinds=ACTIVATION,
        links=lambda k: names.bert(k["num_layers"], stem="roberta"),
        before="bos_token_id",
        offset=2,
    ),
    "vit": Family(
        model="vision_transformer",
        problem="image_class_files",
        architecture="ViTForImageClassification",
        hparams_set="vit_base",
        fixed={
            "norm": "layer", "norm_position": "pre", "position": "learned",
            "biases": True, "label_smoothing": 0.0,
        },
        sizes={
            **{n: t for n, t in BERT_SIZES.items() if n != "max_length"},
            "patch_size": "patch_size",
        },
        kinds=ACTIVATION,
        links=lambda k: names.vit(k["num_layers"]),
    ),
}  # fmt: skip

# What `transformers` leaves out of a configuration where it is the default.
DEFAULTS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new",
        "bos_token_id": 50256, "eos_token_id": 50256,
    },
    "t5": {
        "layer_norm_epsilon": 1e-6, "tie_word_embeddings": True, "n_positions": 512,
        "pad_token_id": 0, "eos_token_id": 1, "feed_forward_proj": "relu",
    },
    "bert": {
        "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 0,
        "type_vocab_size": 2,
    },
    "roberta": {
        "layer_norm_eps": 1e-5, "hidden_act": "gelu", "type_vocab_size": 1,
        "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
    },
    "vit": {"layer_norm_eps": 1e-12, "hidden_act": "gelu", "num_channels": 3},
    "marian": {"scale_embedding": True, "activation_function": "swish"},
}  # fmt: skip


def completed(name: str, config: Values) -> dict[str, Any]:
    """Their configuration with what it leaves out."""
    found = {**DEFAULTS[name], **{k: v for k, v in config.items() if v is not None}}
    if name == "gpt2":
        found.setdefault("n_inner", 4 * found.get("n_embd", 0))
    if name == "t5":
        found.setdefault("num_decoder_layers", found.get("num_layers"))
    return found


def knobs_of(name: str, config: Values) -> dict[str, Any]:
    """Our knobs for a completed configuration.

    Raises:
      ValueError: naming what it lacks, or a value that we have nothing for.
    """
    family, knobs = FAMILIES[name], dict(FAMILIES[name].fixed)
    for knob, theirs in family.sizes.items():
        if theirs not in config:
            raise ValueError(f"config.json of a {name} has no {theirs!r}")
        knobs[knob] = config[theirs]
    for knob, (theirs, values) in family.kinds.items():
        if config.get(theirs) not in values:
            raise ValueError(
                f"{theirs}={config.get(theirs)!r} is not read: "
                f"{', '.join(map(str, values))} are"
            )
        knobs[knob] = values[config[theirs]]
    if family.offset:
        knobs["max_length"] -= family.offset
    if name == "marian" and config.get("normalize_before"):
        raise ValueError("a Marian model with normalize_before=True is not read")
    return knobs


def config_of(name: str, knobs: Values) -> dict[str, Any]:
    """Their configuration for our knobs, without its ids.

    Raises:
      ValueError: naming the first knob that is not the family's.
    """
    family = FAMILIES[name]
    for knob, value in family.fixed.items():
        if knob in DROPOUTS or knob == "label_smoothing":
            continue
        if knobs.get(knob) != value:
            raise ValueError(
                f"as a {name} a run has {knob}={value!r}, not {knobs.get(knob)!r}"
            )
    config: dict[str, Any] = {
        theirs: knobs.get(knob) for knob, theirs in family.sizes.items()
    }
    for knob, (theirs, values) in family.kinds.items():
        back = [t for t, ours in values.items() if ours == knobs.get(knob)]
        if not back:
            raise ValueError(f"a {name} has no {knob}={knobs.get(knob)!r}")
        config[theirs] = back[0]
    if family.offset:
        config["max_position_embeddings"] += family.offset
    if name == "marian":
        for part in ("ffn_dim", "attention_heads"):
            config[f"decoder_{part}"] = config[f"encoder_{part}"]
    return {
        **config, **family.always,
        "model_type": name, "architectures": [family.architecture],
    }  # fmt: skip
