"""Published weights give the logits of `transformers`, and go back unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from t2t.decode.decoder import Decoder  # noqa: E402
from t2t.export.formats import safetensors  # noqa: E402
from t2t.published.exporting import write_published  # noqa: E402
from t2t.published.importing import import_run  # noqa: E402
from t2t.published.reading import WeightsError  # noqa: E402

V, RNG = 40, np.random.default_rng(0)
SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2,
                         "num_attention_heads": 2, "intermediate_size": 32}  # fmt: skip
T5 = {"vocab_size": V, "d_model": 16, "d_ff": 32, "num_layers": 2, "num_heads": 2}
MODELS = {
    "marian": lambda: transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=V, d_model=16, encoder_layers=2, decoder_layers=1,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
            decoder_ffn_dim=32, max_position_embeddings=64, pad_token_id=V - 1,
            eos_token_id=0, decoder_start_token_id=V - 1, forced_eos_token_id=0,
            scale_embedding=True, activation_function="swish",
        )
    ),
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=V, n_positions=32, n_embd=16, n_layer=2, n_head=2,
            bos_token_id=V - 1, eos_token_id=V - 1,
        )
    ),
    "bert": lambda: transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=V, max_position_embeddings=64, num_labels=3, **SIZES
        )
    ),
    "roberta": lambda: transformers.RobertaForSequenceClassification(
        transformers.RobertaConfig(
            vocab_size=V, max_position_embeddings=66, num_labels=3, type_vocab_size=1,
            **SIZES,
        )
    ),
    "t5": lambda: transformers.T5ForConditionalGeneration(
        transformers.T5Config(d_kv=8, **T5)
    ),
    "t5 gated": lambda: transformers.T5ForConditionalGeneration(
        transformers.T5Config(d_kv=6, feed_forward_proj="gated-gelu", **T5)
    ),
    "vit": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(
            image_size=8, patch_size=4, num_channels=1, num_labels=10, **SIZES
        )
    ),
}  # fmt: skip


def _published(name: str, folder: Path) -> Any:
    """A model of random weights, biases and norms among them, on disk."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    with torch.no_grad():
        for path, variable in model.named_parameters():
            if "embed_positions" not in path:  # sinusoids, which are never written
                variable.add_(torch.randn_like(variable) * 0.2)
        if name == "marian":
            model.final_logits_bias.add_(torch.randn(1, V))
    model.save_pretrained(folder)
    return model


def _ids(decoder: Decoder, feature: str, length: int) -> tuple[np.ndarray, Any]:
    """(ours [2, T], theirs), ending with the end of a sequence."""
    vocabulary: Any = decoder.features[feature].vocabulary
    ours = RNG.integers(2, vocabulary.size, (2, length)).astype(np.int32)
    ours[:, -1] = 1
    return ours, torch.tensor(np.array(vocabulary.theirs)[ours])


def _batch(**ids: np.ndarray) -> dict[str, np.ndarray]:
    found = dict(ids)
    for name, value in ids.items():
        found[f"{name}_segments"] = np.ones_like(value)
        found[f"{name}_positions"] = np.broadcast_to(
            np.arange(value.shape[1], dtype=np.int32), value.shape
        ).copy()
    return found


def _both(name: str, model: Any, decoder: Decoder) -> tuple[np.ndarray, np.ndarray]:
    """(our logits, theirs in our order)."""
    if name == "vit":
        pictures = RNG.integers(0, 256, (2, 8, 8, 1)).astype(np.uint8)
        values = torch.tensor(pictures.astype(np.float32) / 127.5 - 1)
        theirs = model(pixel_values=values.permute(0, 3, 1, 2)).logits
        return np.array(decoder.model({"image": pictures})[0]), theirs.numpy()
    if name == "gpt2":
        ours, ids = _ids(decoder, "targets", 7)
        order = decoder.features["targets"].vocabulary.theirs  # type: ignore[union-attr]
        start = torch.full((2, 1), order[0])
        theirs = model(torch.cat([start, ids[:, :-1]], 1)).logits[..., order[1:]]
        return np.array(decoder.model(_batch(targets=ours))[0])[..., 1:], theirs.numpy()
    inputs, ids = _ids(decoder, "inputs", 9)
    if name in ("bert", "roberta"):
        vocabulary: Any = decoder.features["inputs"].vocabulary
        first = vocabulary.encode("")
        inputs[:, 0], ids[:, 0] = first[0], vocabulary.facts["before"][0]
        inputs[0, 4], ids[0, 4] = 1, vocabulary.theirs[1]  # a pair of texts
        types = np.zeros_like(inputs)
        if name == "bert":
            types[0, 5:] = 1
        theirs = model(ids, token_type_ids=torch.tensor(types)).logits
        return np.array(decoder.model(_batch(inputs=inputs))[0]), theirs.numpy()
    targets, told = _ids(decoder, "targets", 6)
    order = decoder.features["targets"].vocabulary.theirs  # type: ignore[union-attr]
    shifted = torch.cat([torch.full((2, 1), order[0]), told[:, :-1]], 1)
    theirs = model(input_ids=ids, decoder_input_ids=shifted).logits[..., order]
    found = decoder.model(_batch(inputs=inputs, targets=targets))[0]
    return np.array(found), theirs.numpy()


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_the_same_and_weights_go_back(name: str, tmp_path: Path) -> None:
    model = _published(name, tmp_path / "theirs")
    report = import_run(tmp_path / "theirs", tmp_path / "run")
    assert not report.fresh, report.fresh
    decoder = Decoder.from_run(tmp_path / "run")
    with torch.no_grad():
        ours, theirs = _both(name, model, decoder)
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)

    back = tmp_path / "back"
    back.mkdir()
    assert decoder.config is not None
    write_published(
        decoder.model, decoder.features, decoder.config, back, safetensors().save_file
    )
    again = type(model).from_pretrained(back)
    for path, variable in model.state_dict().items():
        # RoBERTa's first two positions are never used, and not kept.
        unused = 2 if name == "roberta" and "position_embeddings" in path else 0
        found = again.state_dict()[path]
        np.testing.assert_allclose(
            found[unused:] if unused else found,
            variable[unused:] if unused else variable,
            atol=1e-5,
            err_msg=path,
        )


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such folder"):
        import_run(tmp_path / "none", tmp_path / "run")
    theirs = tmp_path / "theirs"
    _published("gpt2", theirs)
    path, config = theirs / "model.safetensors", theirs / "config.json"
    whole, said = path.read_bytes(), json.loads(config.read_text())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="model.safetensors is damaged"):
        import_run(theirs, tmp_path / "run")
    path.write_bytes(whole)
    config.write_text(json.dumps({**said, "n_embd": 8}))
    with pytest.raises(WeightsError, match=r"shape \(\d+.*other sizes"):
        import_run(theirs, tmp_path / "run")
    config.write_text(json.dumps({**said, "model_type": "gpt3"}))
    with pytest.raises(WeightsError, match="'gpt3'.*gpt2"):
        import_run(theirs, tmp_path / "run")
    path.unlink()
    (theirs / "pytorch_model.bin").write_bytes(b"")
    config.write_text(json.dumps(said))
    with pytest.raises(WeightsError, match="pytorch_model.bin is a pickle"):
        import_run(theirs, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not list(tmp_path.glob(".run*"))
