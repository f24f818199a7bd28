"""A model over a split: its loss and accuracy, and what it decodes against the
references.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from t2t import config as config_lib
from t2t import metrics as metrics_lib
from t2t import registry
from t2t.data import pipeline  # noqa: F401  registers `batches`
from t2t.decode.decoder import Decoder
from t2t.decode.options import DecodeOptions
from t2t.features import EOS, number_text
from t2t.run.folder import RunFolder, write_text
from t2t.run.problems import decoded_examples
from t2t.sources import Batch, Source
from t2t.training.backend import backend

VIDEOS = ("mp4", "gif")


@registry.configurable("evaluation")
@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
    """When and how a run is evaluated.

    steps: batches of the split that are read; 0 for all.
    frequency: training steps between evaluations.
    decode_examples: sentences decoded and scored; 0 for none.
    episodes: played where the problem is interactive.
    video: 'mp4' or 'gif': what the first of them looks like is kept; '' for none.
    early_stopping_*: stop when `metric` has not improved by `delta` for `steps`
      training steps; 0 never. The metric also says which checkpoint is the best.
    """

    steps: int = 100
    frequency: int = 1000
    decode_examples: int = 100
    episodes: int = 10
    video: str = ""
    early_stopping_metric: str = "loss"
    early_stopping_steps: int = 0
    early_stopping_delta: float = 0.0
    early_stopping_minimize: bool = True

    @property
    def decodes(self) -> int:
        """`decode_examples`, or 0 where no TensorFlow decodes."""
        return self.decode_examples if backend().name == "tensorflow" else 0

    def __post_init__(self) -> None:
        if self.video not in ("", *VIDEOS):
            raise ValueError(f"eval_video={self.video!r}: {' or '.join(VIDEOS)}")


# What `Losses` gives for the models of the house; others name theirs in METRICS.
OF_LOSSES = (
    *("loss", "accuracy", "cross_entropy", "perplexity"),
    *("bits_per_byte", "bits_per_dim"),
)


def check_metric(options: EvaluationOptions, problem: Any, model: Any) -> None:
    """Refuses an early-stopping metric that no evaluation will give.

    Raises:
      ValueError: naming those that there are.
    """
    names = [*OF_LOSSES, *getattr(model, "METRICS", ())]
    if problem.interactive:
        names = [*problem.METRICS]
    elif options.decodes:
        names += problem.METRICS
    name = options.early_stopping_metric
    if name not in names:
        raise ValueError(
            f"eval_early_stopping_metric={name!r} is none of this problem's."
            f"{registry.close_to(name, names)} Metrics: {', '.join(names)}"
        )


class Losses:
    """A model's loss and metrics over batches, compiled once.

    Args:
      problem: says how to count bytes, for language models.
      model: as in training.
      jit: XLA or not.
    """

    def __init__(self, problem: Any, model: Any, *, jit: bool) -> None:
        self.problem, self.model = problem, model

        def run(batch: dict[str, Any]) -> Any:
            losses, inner = model.losses(batch, training=False)
            shares = {
                name: ops.sum(value, axis=0)
                for name, value in inner.items()
                if name.endswith("/expert_share")
            }
            return losses, inner.get("metrics", {}), shares

        self._run = backend().devices.compiled(run, model.variables, jit=jit)
        self._unit = "bits_per_byte"
        self.shares: dict[str, list[float]] = {}  # of each expert, by layer

    def __call__(self, source: Source, steps: int) -> dict[str, float]:
        """{'loss', 'accuracy', …} over `steps` batches of the source, 0 for all."""
        sums: dict[str, np.ndarray] = {}
        counts: dict[str, np.ndarray] = {}
        size = 0
        for batch in itertools.islice(source, steps or None):
            losses, metrics, shares = self._run(batch)
            for name, row in shares.items():
                counts[name] = counts.get(name, 0.0) + np.asarray(row)
            named = {
                f"loss/{g}" if len(losses) > 1 else "loss": v for g, v in losses.items()
            }
            for name, (total, weight) in {**named, **metrics}.items():
                pair = np.array([float(total), float(weight)])
                sums[name] = sums.get(name, 0.0) + pair
            size += self._units(batch)
        self.shares = {
            name: np.round(row / max(row.sum(), 1e-9), 4).tolist()
            for name, row in counts.items()
        }
        values = {name: float(s / max(w, 1e-9)) for name, (s, w) in sums.items()}
        if "cross_entropy" in values:
            values["perplexity"] = math.exp(min(values["cross_entropy"], 50.0))
            if size:
                bits = sums["cross_entropy"][0] / math.log(2)
                values[self._unit] = float(bits / size)
        return values

    def _units(self, batch: Batch) -> int:
        """Bytes of the texts, or values of the pictures, of a language model's batch,
        else 0."""
        features = self.problem.offered()
        if set(features) != {"targets"} or not features["targets"].sequence:
            return 0
        if features["targets"].kind == "pixels":
            self._unit = "bits_per_dim"
            return int((batch["targets"] > EOS).sum())
        return sum(
            len(text.encode("utf-8", "surrogatepass")) + 1
            for text in segment_texts(batch, "targets", features["targets"].vocabulary)
        )


def segment_texts(batch: Batch, name: str, vocabulary: Any) -> Iterator[str]:
    """The text of every packed example of a text feature."""
    for ids, segments in zip(batch[name], batch[f"{name}_segments"], strict=True):
        for segment in range(1, segments.max(initial=0) + 1):
            yield vocabulary.decode(ids[segments == segment].tolist())


@dataclasses.dataclass(frozen=True)
class Decodes:
    """Texts of a split: what went in, what was wanted, what came out."""

    inputs: list[str]
    references: list[str]
    outputs: list[str]

    @property
    def shown(self) -> tuple[str, str] | None:
        """An input and its output that are easy to look at: of a middling length."""
        pairs = zip(self.inputs, self.outputs, strict=True)
        return next((p for p in pairs if 4 <= len(p[1].split()) <= 12), None)

    def scores(self, names: tuple[str, ...]) -> dict[str, float]:
        return metrics_lib.scores(names, self.references, self.outputs)


def decode_split(
    decoder: Decoder,
    split: str,
    *,
    data_dir: str | Path | None,
    limit: int,
    options: DecodeOptions | None = None,
) -> Decodes | None:
    """Decodes a split's inputs; None for models that have no text to start from."""
    problem = decoder.problem
    features = problem.offered()
    if problem.TARGET not in features or features.get("inputs") is None:
        return None
    if features["inputs"].kind != "text":
        return None
    examples = list(decoded_examples(problem, split, data_dir=data_dir, limit=limit))
    inputs = [example["inputs"] for example in examples]
    references = [example[problem.TARGET] for example in examples]
    if features[problem.TARGET].kind == "real":
        references = [number_text(np.ravel(value)) for value in references]
    return Decodes(inputs, references, decoder.decode(inputs, options))


def one_pass(problem: Any, split: str, *, data_dir: str | Path | None) -> Any:
    """One pass over a split, in order, in batches of the size of training's."""
    return config_lib.build("batches")(
        problem,
        split,
        data_dir=data_dir,
        shuffle=False,
        repeat=False,
        drop_long=False,
    )


@contextmanager
def averaged(model: Any, average: list[Any]) -> Iterator[None]:
    """The model with its moving average in place of its weights, if it has one."""
    if not average:
        yield
        return
    own = [np.array(v) for v in model.variables]
    for variable, value in zip(model.variables, average, strict=True):
        variable.assign(value)
    try:
        yield
    finally:
        for variable, value in zip(model.variables, own, strict=True):
            variable.assign(value)


def save_decodes(
    run: RunFolder, decodes: Decodes, decoder: Decoder, *, step: int, count: int = 12
) -> None:
    """Keeps some decodes and an attention picture for the report."""
    rows = list(zip(decodes.inputs, decodes.references, decodes.outputs, strict=True))
    record: dict[str, Any] = {"step": step, "rows": rows[:count]}
    if decodes.shown is not None and decoder.translates:
        targets, inputs, weights = decoder.attention(*decodes.shown)
        record["attention"] = {
            "targets": targets,
            "inputs": inputs,
            "weights": np.round(weights, 3).tolist(),
        }
    write_text(run.path / "decodes.json", json.dumps(record, ensure_ascii=False))
