"""From published weights on disk to a run folder like any other."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2t import config as config_lib
from t2t import registry
from t2t.config import Config
from t2t.features import check_match
from t2t.published import families, names
from t2t.published.families import FAMILIES, Family
from t2t.published.names import Layout, Link
from t2t.published.reading import (
    WeightsError,
    is_tensor2tensor,
    read_arrays,
    read_config,
    read_tensor2tensor,
)
from t2t.run import build
from t2t.run.checkpoints import Checkpoints
from t2t.run.folder import create
from t2t.run.problems import make_problem
from t2t.text import ClassLabels
from t2t.text.published import Published, found_in

# Arguments of the user's own pictures, and what config.json calls them.
PICTURES = {
    "height": "image_size", "width": "image_size", "channels": "num_channels",
}  # fmt: skip
NEVER = -1e9  # the bias of a start symbol that stands for another id


@dataclasses.dataclass(frozen=True)
class Report:
    """What an import did.

    loaded: variables of ours. fresh: those that have nothing published, as they are
    made. unused: published arrays that have no place.
    """

    run: Path
    model: str
    loaded: list[str]
    fresh: list[str]
    unused: list[str]

    def lines(self) -> list[str]:
        found = [f"{self.run}: a {self.model}, {len(self.loaded)} arrays loaded"]
        for title, listed in (
            ("fresh, to be trained", self.fresh),
            ("not used", self.unused),
        ):
            if listed:
                found.append(f"{title}: {', '.join(listed[:6])}" + _more(listed))
        return found


def _more(listed: Sequence[str]) -> str:
    return f" and {len(listed) - 6} more" if len(listed) > 6 else ""


def import_run(
    source: str | Path, output_dir: str | Path, *, problem: str | None = None
) -> Report:
    """Makes a run of published weights: t2t-decoder, t2t-eval and warm starts take it.

    Args:
      source: a folder as `transformers` writes it, or Tensor2Tensor's of a Transformer
        (checkpoint, and its vocabulary file beside it).
      output_dir: is made.
      problem: that the run is of; by default one of the user's own files.

    Raises:
      WeightsError: for what is missing, damaged, or of another family.
      ValueError, ImportError: in one line.
    """
    source, output_dir = Path(source), Path(output_dir)
    if output_dir.exists() and any(output_dir.iterdir()):
        raise WeightsError(f"{output_dir} is there: name a folder to be made")
    if not (source / "config.json").is_file() and is_tensor2tensor(source):
        return _import_tensor2tensor(source, output_dir, problem)
    theirs = read_config(source)
    name = str(theirs.get("model_type"))
    if name not in FAMILIES:
        raise WeightsError(
            f"{source} is a {name!r}.{registry.close_to(name, FAMILIES)} "
            f"{', '.join(FAMILIES)} are read"
        )
    family, theirs = FAMILIES[name], families.completed(name, theirs)
    arrays = _stemmed(name, read_arrays(source))
    if name == "t5" and "lm_head.weight" not in arrays:
        theirs["tie_word_embeddings"] = True
    try:
        knobs = families.knobs_of(name, theirs)
    except ValueError as error:
        raise WeightsError(f"{source}: {error}") from error
    problem = problem or family.problem
    check_match(problem, family.model)
    config = _configuration(family, problem, knobs)
    if problem == "image_class_files":
        for argument, key in PICTURES.items():
            config.bindings[problem, argument] = theirs.get(key, 224)
    facts = (
        _facts(source, name, theirs) if family.model != "vision_transformer" else None
    )
    layout = Layout(
        ids=Published("", facts).theirs if facts else (),
        size=int(theirs.get("vocab_size", 0)),
        head_size=int(
            knobs.get("head_size") or knobs["hidden_size"] // knobs["num_heads"]
        ),
        offset=family.offset,
        patch=(int(knobs.get("patch_size", 0)), int(theirs.get("num_channels", 0))),
    )
    links = list(family.links(knobs))
    with _Writer(config, output_dir) as writer:
        if facts:
            writer.vocabulary(facts)
        writer.labels(theirs)
        return writer.write(links, arrays, layout, heads=("classes", "pooler"))


def _stemmed(name: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names as a model with its head has them: one without has no stem."""
    stems = {
        "gpt2": "transformer.",
        "bert": "bert.",
        "roberta": "roberta.",
        "vit": "vit.",
    }
    stem = stems.get(name, "")
    if not stem or any(key.startswith(stem) for key in arrays):
        return arrays
    return {f"{stem}{key}": array for key, array in arrays.items()}


def _configuration(family: Family, problem: str, knobs: Mapping[str, Any]) -> Config:
    config = config_lib.load(
        hparams_set=family.hparams_set, problem=problem, model=family.model
    )
    for knob, value in knobs.items():
        config.set_knob(knob, value)
    return config


def _facts(source: Path, name: str, theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Of the vocabulary: its files, and the ids that have a part of their own."""
    facts, family = found_in(source), FAMILIES[name]

    def id_of(key: str) -> int:
        said = theirs.get(key)
        if said is None and key == "decoder_start_token_id":
            said = theirs.get("pad_token_id")
        if said is None:
            said = _special(facts, key)
        if said is None:
            raise WeightsError(f"{source}/config.json does not say its {key}")
        return int(said[0] if isinstance(said, list) else said)

    return {
        **facts,
        "family": name,
        "size": int(theirs["vocab_size"]),
        "start": id_of(family.start),
        "end": id_of(family.end),
        "before": [id_of(family.before)] if family.before else [],
    }


def _special(facts: Mapping[str, Any], key: str) -> int | None:
    """BERT says its marks' ids in its vocabulary alone."""
    mark = {"sep_token_id": "[SEP]", "cls_token_id": "[CLS]"}.get(key)
    if facts["kind"] == "tokenizers":
        said = json.loads(facts["content"])["model"]["vocab"]
        return said.get(mark) if isinstance(said, dict) else None
    return (
        {"sep_token_id": 3, "cls_token_id": 2}.get(key)
        if facts["kind"] == "ids"
        else None
    )


class _Writer:
    """Writes a run folder, or nothing."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.temporary = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        self.vocabularies = self.temporary / "vocabularies"

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.temporary, ignore_errors=True)

    def vocabulary(self, facts: dict[str, Any]) -> None:
        """Puts the tokenizer where the problem looks for it."""
        zoo = registry.current()
        declared = zoo.declaration("problem", self.config.knob("problem")).name
        self.config.bindings[declared, "vocabulary"] = Published.suffix
        try:
            own = make_problem(self.config).vocabularies.values()
        except TypeError as error:
            raise WeightsError(
                f"{declared} takes no vocabulary but its own: give another --problem"
            ) from error
        name = next(v.name for v in own if isinstance(v, Published))
        place = (self.folder / "vocabularies" / f"{name}{Published.suffix}").absolute()
        self.config.bindings[declared, "vocabulary"] = str(place)
        Published(name, facts).save(self.vocabularies)

    def labels(self, theirs: Mapping[str, Any]) -> None:
        """Puts the names of classes where the problem looks for them."""
        said = theirs.get("id2label")
        problem = make_problem(self.config)
        label = problem.features.get("label")
        vocabulary = label.vocabulary if label else None
        if not isinstance(vocabulary, ClassLabels) or vocabulary.built:
            return
        count = int(theirs.get("num_labels") or len(said or ()) or 2)
        listed = [str((said or {}).get(str(i), f"LABEL_{i}")) for i in range(count)]
        ClassLabels(vocabulary.name, listed).save(self.vocabularies)

    def write(
        self,
        links: Sequence[Link],
        arrays: Mapping[str, np.ndarray],
        layout: Layout,
        *,
        heads: tuple[str, ...] = (),
    ) -> Report:
        """Builds the model, gives it the arrays and writes the run.

        Args:
          heads: parts that may be fresh, where the arrays are of a model without.

        Raises:
          WeightsError: naming what is missing or of another shape.
        """
        problem = make_problem(self.config)
        if self.vocabularies.is_dir():
            problem.load_vocabularies(self.vocabularies)
        build.apply(self.config, strict=False)
        model = build.make_model(self.config, problem.offered())
        loaded, fresh, used = _load(model, links, arrays, layout, heads)
        run = create(self.temporary, self.config, data_dir=None)
        problem.save_vocabularies(run.vocabularies)
        store = Checkpoints(run.checkpoints)
        named = {f"model/{v.path}": v for v in model.variables}
        store.save(0, named, {"source": None}, block=True)
        if self.folder.is_dir():
            self.folder.rmdir()
        self.temporary.replace(self.folder)
        unused = sorted(set(arrays) - used)
        return Report(self.folder, model.name, loaded, fresh, unused)


def _load(
    model: Any,
    links: Sequence[Link],
    arrays: Mapping[str, np.ndarray],
    layout: Layout,
    heads: tuple[str, ...],
) -> tuple[list[str], list[str], set[str]]:
    """(variables loaded, left fresh, arrays used)."""
    variables = {v.path.split("/", 1)[1]: v for v in model.variables}
    by_name = {
        link.ours: link
        for link in links
        if link.ours in variables and link.theirs in arrays
    }
    fresh = []
    for path, variable in variables.items():
        link = by_name.get(path)
        if link is None and path.endswith("embedding/bias"):
            value = np.zeros(variable.shape, np.float32)
            value[0] = NEVER
            variable.assign(value)
            continue
        if link is None:
            if path.split("/")[0] not in heads:
                wanted = [k.theirs for k in links if k.ours == path]
                raise WeightsError(
                    f"the weights lack {wanted[0] if wanted else path!r}: are they "
                    "of another model, or of a part of it?"
                )
            fresh.append(path)
            continue
        value = names.taken(link, arrays[link.theirs], layout)
        if tuple(value.shape) != tuple(variable.shape):
            raise WeightsError(
                f"{link.theirs} gives {path} the shape {tuple(value.shape)}, but this "
                f"model has {tuple(variable.shape)}: other sizes or labels?"
            )
        variable.assign(value)
    used = {link.theirs for link in by_name.values()}
    return [p for p in variables if p in by_name], fresh, used


# -- Tensor2Tensor 1.x -----------------------------------------------------------------

LAYER = re.compile(r"transformer/body/(encoder|decoder)/layer_(\d+)/")


def _import_tensor2tensor(
    source: Path, output_dir: Path, problem: str | None
) -> Report:
    arrays = read_tensor2tensor(source)
    tables = [n for n in arrays if "symbol_modality" in n and n.endswith("/weights")]
    shared = [name for name in tables if name.endswith("/shared/weights")]
    if len(shared) != 1:
        raise WeightsError(
            f"{source} has no table that inputs, targets and softmax share "
            f"(shared_embedding_and_softmax_weights), but {', '.join(tables) or 'none'}"
        )
    counts = {"encoder": 0, "decoder": 0}
    for match in filter(None, map(LAYER.match, arrays)):
        counts[match[1]] = max(counts[match[1]], int(match[2]) + 1)
    folder = source if source.is_dir() else source.parent
    query = arrays[
        "transformer/body/encoder/layer_0/self_attention/multihead_attention/q/kernel"
    ]
    filters = arrays["transformer/body/encoder/layer_0/ffn/conv1/kernel"]
    said = _said(folder)
    knobs = {
        "hidden_size": int(query.shape[0]),
        "filter_size": int(filters.shape[1]),
        "num_heads": int(said.get("num_heads", 8)),
        "num_layers": counts["encoder"],
        "num_decoder_layers": counts["decoder"],
    }
    family = dataclasses.replace(FAMILIES["marian"], fixed={})
    config = _configuration(family, problem or "text2text_files", knobs)
    vocabulary = next(iter(sorted(folder.glob("vocab*"))), None)
    if vocabulary is None:
        raise WeightsError(
            f"there is no vocabulary in {folder}: put Tensor2Tensor's vocab.* there"
        )
    declared = registry.current().declaration("problem", config.knob("problem")).name
    config.bindings[declared, "vocabulary"] = "subwords"
    own = next(iter(make_problem(config).vocabularies.values()))
    links = list(
        names.tensor2tensor(counts["encoder"], counts["decoder"], target=shared[0])
    )
    with _Writer(config, output_dir) as writer:
        writer.vocabularies.mkdir()
        shutil.copy(vocabulary, writer.vocabularies / f"{own.name}{own.suffix}")
        return writer.write(links, arrays, Layout())


def _said(folder: Path) -> dict[str, Any]:
    """Its hparams.json, which has what no array shows: the number of heads."""
    path = folder / "hparams.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
