"""Scores of decoded outputs against references, by name; no TensorFlow.

    score("bleu", references, hypotheses)  ->  {"bleu": 31.4}

BLEU and chrF are sacrebleu's, and `signature` gives the line to quote with them.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from t2t import registry

# {name}, ${name}, %s, %(name)s, %1$d, <b>, </b>, <br/>, &amp;
_PLACEHOLDER = re.compile(
    r"\$?\{[^{}]*\}"
    r"|%(?:\([^()\s]*\)|\d+\$)?[-+0#]*\d*(?:\.\d+)?(?:hh|ll|[hlzjt])?[sdifuxXcgGeEpr]\b"
    r"|</?[A-Za-z][^<>]*>"
    r"|&[A-Za-z]+;"
)


def placeholders(text: str) -> Counter[str]:
    """What a translation must keep: braces, printf conversions, tags, entities."""
    return Counter(_PLACEHOLDER.findall(text))


@dataclasses.dataclass(frozen=True)
class Metric:
    """A score of a corpus: `function(references, hypotheses)`, best at `perfect`."""

    function: Callable[[Sequence[str], Sequence[str]], float]
    perfect: float


def _share(pairs: Sequence[bool]) -> float:
    return sum(pairs) / len(pairs)


def _exact(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    return _share([r == h for r, h in zip(references, hypotheses, strict=True)])


def _placeholders_kept(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Share of outputs with just the placeholders of the reference.

    Lines without any placeholder in the reference count only when the output
    invents one, so that the score speaks of the lines at risk.
    """
    wanted = [placeholders(r) for r in references]
    given = [placeholders(h) for h in hypotheses]
    kept = [w == g for w, g in zip(wanted, given, strict=True) if w or g]
    return _share(kept) if kept else 1.0


def word_errors(reference: str, hypothesis: str) -> int:
    """Fewest words to replace, leave out or put in that make the one the other."""
    before = list(range(len(hypothesis.split()) + 1))
    for i, wanted in enumerate(reference.split(), 1):
        row = [i]
        for j, given in enumerate(hypothesis.split(), 1):
            replaced = before[j - 1] + (wanted != given)
            row.append(min(replaced, before[j] + 1, row[-1] + 1))
        before = row
    return before[-1]


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Word errors over the words of the references."""
    pairs = list(zip(references, hypotheses, strict=True))
    words = sum(len(r.split()) for r in references)
    return sum(word_errors(*pair) for pair in pairs) / max(words, 1)


def _sacrebleu(name: str) -> Any:
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise ImportError(
            f"{name} needs sacrebleu: pip install -e '.[metrics]'"
        ) from None
    # chrF2, sacrebleu's default, is what papers mean by chrF.
    return BLEU() if name == "bleu" else CHRF()


def _corpus_score(name: str) -> Callable[[Sequence[str], Sequence[str]], float]:
    def score(references: Sequence[str], hypotheses: Sequence[str]) -> float:
        result = _sacrebleu(name).corpus_score(list(hypotheses), [list(references)])
        return float(result.score)

    return score


def _number(text: str) -> float:
    """Of an output; 0 for what is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _pearson(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Correlation of numbers; 0 where one side does not vary."""
    sides = [[_number(t) for t in texts] for texts in (references, hypotheses)]
    means = [sum(side) / len(side) for side in sides]
    wanted, given = (
        [x - mean for x in side] for side, mean in zip(sides, means, strict=True)
    )
    scale = math.sqrt(sum(x * x for x in wanted) * sum(x * x for x in given))
    if not scale:
        return 0.0
    return sum(a * b for a, b in zip(wanted, given, strict=True)) / scale


METRICS = {
    "accuracy": Metric(_exact, 1.0),
    "bleu": Metric(_corpus_score("bleu"), 100.0),
    "chrf": Metric(_corpus_score("chrf"), 100.0),
    "pearson": Metric(_pearson, 1.0),
    "placeholders_kept": Metric(_placeholders_kept, 1.0),
    "sequence_accuracy": Metric(_exact, 1.0),
    "word_error_rate": Metric(word_error_rate, 0.0),
}


def metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
      ValueError: when there is none, with what is close.
    """
    if name not in METRICS:
        raise ValueError(
            f"there is no metric named {name!r} among {', '.join(METRICS)}."
            + registry.close_to(name, METRICS)
        )
    return METRICS[name]


def score(
    name: str, references: Sequence[str], hypotheses: Sequence[str]
) -> dict[str, float]:
    """{name: score of the whole corpus}; BLEU and chrF of 100, others of 1.

    Raises:
      ValueError: for an unknown name, no lines, or unequal numbers of lines.
      ImportError: when the metric's package is missing, with how to install it.
    """
    function = metric(name).function
    if len(references) != len(hypotheses) or not references:
        raise ValueError(
            f"{name} compares line by line: {len(references)} references, "
            f"{len(hypotheses)} outputs"
        )
    return {name: function(references, hypotheses)}


def scores(
    names: Sequence[str], references: Sequence[str], hypotheses: Sequence[str]
) -> dict[str, float]:
    """Several metrics of the same lines."""
    found: dict[str, float] = {}
    for name in names:
        found |= score(name, references, hypotheses)
    return found


def signature(name: str) -> str:
    """sacrebleu's signature of 'bleu' or 'chrf'; '' for the other metrics."""
    if name not in ("bleu", "chrf"):
        return ""
    measure = _sacrebleu(name)
    measure.corpus_score(["a"], [["a"]])  # the signature knows the reference count
    return str(measure.get_signature())
