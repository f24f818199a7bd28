"""What Tensor2Tensor called what is served here under another name.

Names that are the same are not listed, nor those of what there is nothing like. A
line is: old name, new name, and what is needed beside it; after a plus, the knob or
the argument of the problem.
"""

from __future__ import annotations

_TABLES = {
    "model": """
attention_lm                  transformer_lm
attention_lm_moe              transformer_lm with --hparams_set=transformer_moe_base
basic_fc_relu                 mlp
imagetransformer              image_transformer
imagetransformer_moe          image_transformer with the knob experts
lstm_seq2seq_attention        lstm_seq2seq
lstm_seq2seq_attention_bidirectional_encoder  lstm_seq2seq
multi_model                   omni
transformer_memory            transformer_lm with --hparams_set=transformer_xl_enwik8
transformer_moe               transformer with --hparams_set=transformer_moe_base
transformer_scorer            transformer with t2t-decoder --score_file
""",
    "hparams_set": """
adaptive_universal_transformer_small  adaptive_universal_transformer_base
attention_lm_base             transformer_base with --model=transformer_lm
attention_lm_moe_base         transformer_moe_base with --model=transformer_lm
attention_lm_small            transformer_small with --model=transformer_lm
basic_fc_small                mlp_small
evolved_transformer_deep      evolved_transformer_big
image_transformer_base        image_transformer_cifar10_base
imagetransformer_base         image_transformer_cifar10_base
imagetransformer_cifar10_base image_transformer_cifar10_base
imagetransformer_tiny         image_transformer_tiny
lstm_attention                lstm_bahdanau_attention
lstm_luong_attention          lstm_seq2seq
text_cnn_base                 text_cnn
transformer_base_single_gpu   transformer_base
transformer_base_v2           transformer_base
transformer_base_v3           transformer_base
transformer_big_single_gpu    transformer_big
transformer_big_tpu           transformer_big
transformer_h16               transformer_base + num_heads=16
transformer_hs256             transformer_base + hidden_size=256
transformer_l2                transformer_base + num_layers=2
transformer_l4                transformer_base + num_layers=4
transformer_l8                transformer_base + num_layers=8
transformer_moe_2k            transformer_moe_base
transformer_moe_8k            transformer_moe_base
transformer_packed_tpu        transformer_base
transformer_relative_big      transformer_big + position=relative_vectors
transformer_relative_tiny     transformer_tiny + position=relative_vectors
transformer_tpu               transformer_base
transformer_wikitext103_l4k_memory_v0  transformer_xl_enwik8
universal_transformer_big     universal_transformer_base + hidden_size=2048
universal_transformer_small   universal_transformer_base + hidden_size=512
""",
    "problem": """
algorithmic_addition_decimal40        algorithmic_addition + max_length=40
algorithmic_identity_decimal40        algorithmic_copy + max_length=40
algorithmic_multiplication_decimal40  algorithmic_multiplication + max_length=40
algorithmic_reverse_decimal40         algorithmic_reverse + max_length=40
algorithmic_shift_decimal40           algorithmic_shift + max_length=40
algorithmic_sort_problem              algorithmic_sort
cola                          glue_cola
image_cifar10_plain           image_cifar10
image_cifar10_plain_gen       image_cifar10_gen
image_cifar10_plain_gen_flat  image_cifar10_gen
image_cifar100_plain          image_cifar100
image_imagenet224             image_imagenet
languagemodel_lm1b32k         language_model_lm1b
languagemodel_lm1b32k_packed  language_model_lm1b
languagemodel_lm1b_characters language_model_lm1b + vocabulary='bytes'
msr_paraphrase_corpus         glue_mrpc
multi_nli                     glue_mnli
question_nli                  glue_qnli
quora_question_pairs          glue_qqp
rte                           glue_rte
sentiment_sst_binary          glue_sst2
squad_text2text               question_squad
summarize_cnn_dailymail32k    summarize_cnn_dailymail
text2text_tmpdir              text2text_files
text2text_tmpdir_tokens       text2text_files
translate_ende_wmt32k         translate_ende_wmt14
translate_ende_wmt32k_packed  translate_ende_wmt14
translate_ende_wmt8k          translate_ende_wmt14 + vocabulary_size=8192
translate_ende_wmt_characters translate_ende_wmt14 + vocabulary='bytes'
translate_enfr_wmt32k         translate_enfr_wmt14
translate_enfr_wmt32k_packed  translate_enfr_wmt14
translate_enfr_wmt8k          translate_enfr_wmt14 + vocabulary_size=8192
winograd_nli                  glue_wnli
""",
    "knob": """
attention_key_channels        hidden_size
batch_size                    tokens_per_batch
clip_grad_norm                clip_norm
conv_first_kernel             filter_width
ffn_layer                     activation
layer_postprocess_sequence    norm_position
layer_prepostprocess_dropout  dropout
layer_preprocess_sequence     norm_position
learning_rate                 learning_rate_constant
moe_k                         experts_per_token
moe_loss_coef                 load_balance_weight
moe_num_experts               experts
norm_type                     norm
num_encoder_layers            num_layers
num_hidden_layers             num_layers
optimizer_adam_beta1          optimizer_beta_1
optimizer_adam_beta2          optimizer_beta_2
optimizer_adam_epsilon        optimizer_epsilon
pos                           position
self_attention_type           position
shared_embedding_and_softmax_weights  share_embeddings
""",
    "position": """
timing                        sinusoid
emb                           learned
dot_product_relative          relative_vectors
dot_product_relative_v2       relative_keys
""",
}

TABLES: dict[str, dict[str, tuple[str, str]]] = {
    kind: {
        old: (new, " ".join(beside))
        for old, new, *beside in map(str.split, text.strip().splitlines())
    }
    for kind, text in _TABLES.items()
}


def told(kind: str, name: str) -> str:
    """' Tensor2Tensor's NAME is … here.' for an old name of a kind, or ''."""
    if name not in TABLES.get(kind, {}):
        return ""
    new, beside = TABLES[kind][name]
    if beside.startswith("+ "):
        setting = beside.removeprefix("+ ")
        flag = f'--gin_param="{new}.{setting}"'
        beside = f"with {flag if kind == 'problem' else f'--hparams={setting}'}"
    return f" Tensor2Tensor's {name} is {' '.join(filter(None, (new, beside)))} here."
