"""Which of our variables is which array of a published checkpoint, by tables.

A table is a list of modules: our path, their name, how the arrays lie. `{i}` stands
for the number of a block. What a model does not have is passed over: one table
serves norms with and without a shift, layers with and without biases.

Axis letters: D model, F feed-forward, V vocabulary, H heads, K head size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Layout:
    """What is asked to lay an array out.

    ids: their id of each of ours.
    size: V of theirs.
    head_size: K.
    offset: of their position tables, whose first rows are never used.
    patch: (pixels of a side, channels) of a patch.
    """

    ids: Sequence[int] = ()
    size: int = 0
    head_size: int = 0
    offset: int = 0
    patch: tuple[int, int] = (0, 0)


@dataclasses.dataclass(frozen=True)
class Link:
    """One variable of ours, without the model's name, and one array of theirs.

    part: (number, of how many) where theirs is several of ours side by side.
    """

    ours: str
    theirs: str
    how: str = "same"
    part: tuple[int, int] = (0, 1)


def taken(link: Link, array: Array, layout: Layout) -> Array:
    """Their array as ours."""
    number, count = link.part
    if count > 1:
        array = np.split(array, count, axis=-1)[number]
    return np.ascontiguousarray(WAYS[link.how][0](array, layout))


def given(links: Sequence[Link], arrays: Sequence[Array], layout: Layout) -> Array:
    """Our arrays, the parts of one of theirs, as theirs."""
    parts = [WAYS[k.how][1](a, layout) for k, a in zip(links, arrays, strict=True)]
    array = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
    return np.ascontiguousarray(array)


def _to_ids(array: Array, layout: Layout) -> Array:
    return array.reshape(layout.size, -1)[list(layout.ids)]


def _from_ids(array: Array, layout: Layout) -> Array:
    # Id 0 first: where it stands for one that has a row of its own, that one counts.
    found = np.zeros((layout.size, *array.shape[1:]), array.dtype)
    found[list(layout.ids)[:1]] = array[:1]
    found[list(layout.ids)[1:]] = array[1:]
    return found


def _patches(array: Array, layout: Layout) -> Array:
    return array.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])


def _from_patches(array: Array, layout: Layout) -> Array:
    side, channels = layout.patch
    return array.reshape(side, side, channels, -1).transpose(3, 2, 0, 1)


Way = Callable[[Array, Layout], Array]
# How an array is laid out: (theirs to ours, ours to theirs).
WAYS: dict[str, tuple[Way, Way]] = {
    "same": (lambda a, _: a, lambda a, _: a),
    "turned": (lambda a, _: a.T, lambda a, _: a.T),
    # T5 divides no product of queries and keys by √K: its queries are small.
    "turned query": (
        lambda a, layout: a.T * np.float32(layout.head_size**0.5),
        lambda a, layout: a.T / np.float32(layout.head_size**0.5),
    ),
    # T5 divides what it multiplies with its table by √D, we multiply what goes in.
    "ids": (_to_ids, _from_ids),
    "small ids": (
        lambda a, layout: _to_ids(a, layout) / np.float32(a.shape[1] ** 0.5),
        lambda a, layout: _from_ids(a * np.float32(a.shape[1] ** 0.5), layout),
    ),
    "id biases": (
        lambda a, layout: _to_ids(a, layout)[:, 0],
        lambda a, layout: _from_ids(a, layout)[None],
    ),
    "positions": (
        lambda a, layout: a.reshape(-1, a.shape[-1])[layout.offset :],
        lambda a, layout: np.pad(a, [[layout.offset, 0], [0, 0]]),
    ),
    "picture positions": (lambda a, _: a[0], lambda a, _: a[None]),
    "vector": (lambda a, _: a.reshape(-1), lambda a, _: a.reshape(1, 1, -1)),
    "patches": (_patches, _from_patches),
}


def dense(ours: str, theirs: str, how: str = "turned") -> Iterator[Link]:
    yield Link(f"{ours}/kernel", f"{theirs}.weight", how)
    yield Link(f"{ours}/bias", f"{theirs}.bias")


def norm(ours: str, theirs: str) -> Iterator[Link]:
    yield Link(f"{ours}/gamma", f"{theirs}.weight")
    yield Link(f"{ours}/scale", f"{theirs}.weight")  # RMS
    yield Link(f"{ours}/beta", f"{theirs}.bias")


def many(
    kind: Callable[[str, str], Iterable[Link]], ours: str, theirs: str, names: str
) -> Iterator[Link]:
    """Modules of one parent: names are 'our:their our:their'."""
    for pair in names.split():
        one, other = pair.split(":")
        yield from kind(f"{ours}/{one}", f"{theirs}.{other}")


def blocks(links: Iterable[Link], count: int) -> Iterator[Link]:
    """The links with `{i}` from 0 to count-1."""
    for link in list(links):
        for i in range(count):
            yield dataclasses.replace(
                link,
                ours=link.ours.replace("{i}", str(i)),
                theirs=link.theirs.replace("{i}", str(i)),
            )


# -- the tables ------------------------------------------------------------------------


def marian(layers: int, decoder_layers: int) -> Iterator[Link]:
    for side, count in (("encoder", layers), ("decoder", decoder_layers)):
        block, theirs = f"{side}/block_{{i}}", f"model.{side}.layers.{{i}}"
        yield from blocks(
            [
                *_marian_attention(f"{block}/self_attention", f"{theirs}.self_attn"),
                *_marian_attention(
                    f"{block}/cross_attention", f"{theirs}.encoder_attn"
                ),
                *many(dense, f"{block}/feed_forward", theirs, "input:fc1 output:fc2"),
                *many(
                    norm, block, theirs,
                    "self_attention_norm:self_attn_layer_norm "
                    "cross_attention_norm:encoder_attn_layer_norm "
                    "feed_forward_norm:final_layer_norm",
                ),
            ],
            count,
        )  # fmt: skip
    yield Link("target_embedding/table", "model.shared.weight", "ids")
    yield Link("target_embedding/bias", "final_logits_bias", "id biases")


def _marian_attention(ours: str, theirs: str) -> Iterator[Link]:
    yield from many(
        dense, ours, theirs, "query:q_proj key:k_proj value:v_proj output:out_proj"
    )


def gpt2(layers: int) -> Iterator[Link]:
    block, theirs = "decoder/block_{i}", "transformer.h.{i}"
    packed = []
    for number, name in enumerate(("query", "key", "value")):
        for own, other in (("kernel", "weight"), ("bias", "bias")):
            ours = f"{block}/self_attention/{name}/{own}"
            packed.append(Link(ours, f"{theirs}.attn.c_attn.{other}", part=(number, 3)))

    def straight(ours: str, name: str) -> Iterator[Link]:
        return dense(f"{block}/{ours}", f"{theirs}.{name}", "same")

    yield from blocks(
        [
            *packed,
            *straight("self_attention/output", "attn.c_proj"),
            *straight("feed_forward/input", "mlp.c_fc"),
            *straight("feed_forward/output", "mlp.c_proj"),
            *many(
                norm, block, theirs, "self_attention_norm:ln_1 feed_forward_norm:ln_2"
            ),
        ],
        layers,
    )
    yield from norm("decoder/final_norm", "transformer.ln_f")
    yield Link("embedding/table", "transformer.wte.weight", "ids")
    yield Link("decoder/positions/table", "transformer.wpe.weight")


def bert(layers: int, *, stem: str) -> Iterator[Link]:
    """BERT and RoBERTa, which differ in the stem's name and in the head."""
    block, theirs = "encoder/block_{i}", f"{stem}.encoder.layer.{{i}}"
    yield from blocks(
        [
            *many(
                dense, f"{block}/self_attention", f"{theirs}.attention",
                "query:self.query key:self.key value:self.value output:output.dense",
            ),
            *many(
                dense, f"{block}/feed_forward", theirs,
                "input:intermediate.dense output:output.dense",
            ),
            *many(
                norm, block, theirs,
                "self_attention_norm:attention.output.LayerNorm "
                "feed_forward_norm:output.LayerNorm",
            ),
        ],
        layers,
    )  # fmt: skip
    inputs = f"{stem}.embeddings"
    yield from norm("encoder/input_norm", f"{inputs}.LayerNorm")
    yield Link("embedding/table", f"{inputs}.word_embeddings.weight", "ids")
    yield Link(
        "encoder/positions/table", f"{inputs}.position_embeddings.weight", "positions"
    )
    yield Link("token_types/embeddings", f"{inputs}.token_type_embeddings.weight")
    if stem == "bert":
        yield from dense("pooler", "bert.pooler.dense")
        yield from dense("classes", "classifier")
    else:
        yield from dense("pooler", "classifier.dense")
        yield from dense("classes", "classifier.out_proj")


def t5(layers: int, decoder_layers: int, *, gated: bool) -> Iterator[Link]:
    inputs = "input:wi_1 gate:wi_0" if gated else "input:wi"
    for side, count in (("encoder", layers), ("decoder", decoder_layers)):
        block, theirs = f"{side}/block_{{i}}", f"{side}.block.{{i}}.layer"
        last = 1 if side == "encoder" else 2
        feed = f"{theirs}.{last}.DenseReluDense"
        yield from blocks(
            [
                *_t5_attention(f"{block}/self_attention", f"{theirs}.0.SelfAttention"),
                *_t5_attention(
                    f"{block}/cross_attention", f"{theirs}.1.EncDecAttention"
                ),
                *many(dense, f"{block}/feed_forward", feed, f"{inputs} output:wo"),
                *norm(f"{block}/self_attention_norm", f"{theirs}.0.layer_norm"),
                *norm(f"{block}/cross_attention_norm", f"{theirs}.1.layer_norm"),
                *norm(f"{block}/feed_forward_norm", f"{theirs}.{last}.layer_norm"),
            ],
            count,
        )
        first = f"{side}.block.0.layer.0.SelfAttention"
        bias = f"{first}.relative_attention_bias.weight"
        yield Link(f"{side}/relative_bias/table", bias)
        yield from norm(f"{side}/final_norm", f"{side}.final_layer_norm")
    yield Link("target_embedding/table", "shared.weight", "small ids")
    yield Link("target_embedding/softmax", "lm_head.weight", "ids")


def _t5_attention(ours: str, theirs: str) -> Iterator[Link]:
    yield Link(f"{ours}/query/kernel", f"{theirs}.q.weight", "turned query")
    yield from many(dense, ours, theirs, "key:k value:v output:o")


def vit(layers: int) -> Iterator[Link]:
    block, theirs = "encoder/block_{i}", "vit.encoder.layer.{i}"
    yield from blocks(
        [
            *many(
                dense, f"{block}/self_attention", f"{theirs}.attention",
                "query:attention.query key:attention.key value:attention.value "
                "output:output.dense",
            ),
            *many(
                dense, f"{block}/feed_forward", theirs,
                "input:intermediate.dense output:output.dense",
            ),
            *many(
                norm, block, theirs,
                "self_attention_norm:layernorm_before "
                "feed_forward_norm:layernorm_after",
            ),
        ],
        layers,
    )  # fmt: skip
    yield from norm("encoder/final_norm", "vit.layernorm")
    inputs = "vit.embeddings"
    yield Link("class_token/vector", f"{inputs}.cls_token", "vector")
    yield Link(
        "encoder/positions/table", f"{inputs}.position_embeddings", "picture positions"
    )
    patches = f"{inputs}.patch_embeddings.projection"
    yield Link("patches/kernel", f"{patches}.weight", "patches")
    yield Link("patches/bias", f"{patches}.bias")
    yield from dense("classes", "classifier")


def tensor2tensor(layers: int, decoder_layers: int, *, target: str) -> Iterator[Link]:
    """Tensor2Tensor 1.x, `transformer/body/…`; `target` is where its table is."""
    for side, count in (("encoder", layers), ("decoder", decoder_layers)):
        block = f"{side}/block_{{i}}"
        theirs = f"transformer/body/{side}/layer_{{i}}"
        parts = [("self_attention", "self_attention"), ("feed_forward", "ffn")]
        found: list[Link] = []
        if side == "decoder":
            parts.insert(1, ("cross_attention", "encdec_attention"))
        for ours, name in parts:
            found += _tensor2tensor_norm(f"{block}/{ours}_norm", f"{theirs}/{name}")
            if ours != "feed_forward":
                found += [
                    Link(
                        f"{block}/{ours}/{mine}/kernel",
                        f"{theirs}/{name}/multihead_attention/{other}/kernel",
                    )
                    for mine, other in (
                        ("query", "q"), ("key", "k"), ("value", "v"),
                        ("output", "output_transform"),
                    )
                ]  # fmt: skip
        for mine, other in (("input", "conv1"), ("output", "conv2")):
            for array in ("kernel", "bias"):
                found.append(
                    Link(
                        f"{block}/feed_forward/{mine}/{array}",
                        f"{theirs}/ffn/{other}/{array}",
                    )
                )
        yield from blocks(found, count)
        yield from _tensor2tensor_norm(f"{side}/final_norm", f"transformer/body/{side}")
    yield Link("target_embedding/table", target)


def _tensor2tensor_norm(ours: str, theirs: str) -> Iterator[Link]:
    for own, other in (("gamma", "scale"), ("beta", "bias")):
        stem = f"{theirs}/layer_prepostprocess/layer_norm"
        yield Link(f"{ours}/{own}", f"{stem}/layer_norm_{other}")
