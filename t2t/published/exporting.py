"""From a run to the weights that `transformers` loads, by the same tables of names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from t2t.config import Config
from t2t.layers import adapters
from t2t.published import families, names
from t2t.published.families import FAMILIES
from t2t.published.names import Layout, Link
from t2t.published.reading import WeightsError
from t2t.text.published import Published, written


def family_of(config: Config, vocabulary: Any = None) -> str:
    """The family that a run's knobs are of.

    Args:
      vocabulary: that it came with, if any: it knows of BERT and RoBERTa which.

    Raises:
      WeightsError: saying what another family would want.
    """
    model, reasons = config.knob("model"), []
    knobs = {name: config.knob(name) for name in config.knobs}
    own = (getattr(vocabulary, "facts", None) or {}).get("family")
    for name, family in FAMILIES.items():
        if family.model != model or own not in (None, name):
            continue
        try:
            families.config_of(name, _filled(knobs))
            return name
        except ValueError as error:
            reasons.append(str(error))
    raise WeightsError(
        f"transformers has no {model} like this run: "
        + ("; ".join(reasons) or f"{', '.join(FAMILIES)} are written")
    )


def _filled(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """With what stands for None."""
    size, heads = knobs["hidden_size"], knobs["num_heads"]
    return {
        **knobs,
        "num_decoder_layers": knobs.get("num_decoder_layers") or knobs["num_layers"],
        "head_size": knobs.get("head_size") or size // heads,
    }


def write_published(
    model: Any, features: Mapping[str, Any], config: Config, folder: Path, save: Any
) -> dict[str, np.ndarray]:
    """Writes config.json, the weights and the tokenizer's files.

    Args:
      save: of safetensors, (arrays, path).

    Returns:
      Our arrays by path, as they are in what was written.

    Raises:
      WeightsError: when the run is of no family.
    """
    vocabulary = _vocabulary(config.knob("model"), features)
    name = family_of(config, vocabulary)
    family = FAMILIES[name]
    knobs = _filled({n: config.knob(n) for n in config.knobs})
    theirs = families.config_of(name, knobs)
    layout, more = _layout(family, features, knobs)
    arrays, back = _arrays(model, list(family.links(knobs)), layout)
    save(arrays, str(folder / "model.safetensors"))
    content = json.dumps({**theirs, **more}, indent=2, sort_keys=True) + "\n"
    (folder / "config.json").write_text(content, encoding="utf-8")
    if isinstance(vocabulary, Published) and vocabulary.facts is not None:
        for file, data in written(vocabulary.facts):
            (folder / file).write_bytes(data)
    return back


def _vocabulary(model: str, features: Mapping[str, Any]) -> Any:
    name = "targets" if model == "transformer_lm" else "inputs"
    return features[name].vocabulary if name in features else None


def _layout(
    family: families.Family, features: Mapping[str, Any], knobs: Mapping[str, Any]
) -> tuple[Layout, dict[str, Any]]:
    """How arrays lie, and the part of their configuration that tells of ids."""
    told: dict[str, Any] = {}
    ids: list[int] = []
    vocabulary = _vocabulary(family.model, features)
    if vocabulary is not None:
        published = isinstance(vocabulary, Published)
        ids = vocabulary.theirs if published else list(range(vocabulary.size))
        told = {"vocab_size": max(ids) + 1, "pad_token_id": ids[0]}
        told.update({family.start: ids[0], family.end: ids[1], "eos_token_id": ids[1]})
        if family.model == "transformer":
            told["decoder_start_token_id"] = ids[0]
        if published and vocabulary.facts is not None and family.before:
            told[family.before] = vocabulary.facts["before"][0]
    if "label" in features:
        label = features["label"]
        listed = getattr(label.vocabulary, "labels", None) or range(label.size)
        told["id2label"] = {str(i): str(text) for i, text in enumerate(listed)}
        told["label2id"] = {str(text): i for i, text in enumerate(listed)}
    channels = 0
    if "image" in features:
        height, width, channels = (int(n or 0) for n in features["image"].shape)
        if height != width:
            raise WeightsError(f"a ViT has square pictures, not {height} x {width}")
        told.update(image_size=height, num_channels=channels)
    return Layout(
        ids=ids,
        size=told.get("vocab_size", 0),
        head_size=knobs["head_size"],
        offset=family.offset,
        patch=(int(knobs.get("patch_size", 0)), channels),
    ), told


def _arrays(
    model: Any, links: list[Link], layout: Layout
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(theirs by name, ours by path as they come back)."""
    variables = {
        v.path.split("/", 1)[1]: v
        for v in model.variables
        if not adapters.own(v.path)  # merged
    }
    found = [link for link in links if link.ours in variables]
    lacking = sorted(set(variables) - {k.ours for k in found} - {_bias(variables)})
    if lacking:
        raise WeightsError(f"transformers has no place for {lacking[0]}")
    by_name: dict[str, list[Link]] = {}
    for link in found:
        by_name.setdefault(link.theirs, []).append(link)
    theirs, back = {}, {}
    for name, parts in by_name.items():
        parts.sort(key=lambda link: link.part)
        values = [np.array(variables[link.ours]) for link in parts]
        theirs[name] = names.given(parts, values, layout)
        for link in parts:
            back[variables[link.ours].path] = names.taken(link, theirs[name], layout)
    return theirs, back


def _bias(variables: Mapping[str, Any]) -> str:
    """Of GPT-2's logits, which only bars what is never told."""
    return "embedding/bias" if "embedding/bias" in variables else ""
