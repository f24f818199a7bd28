"""Our BLEU and chrF are sacrebleu's, to the last digit."""

from __future__ import annotations

import pytest
import sacrebleu

from t2t import metrics
from t2t.problems import made_up

PAIRS = list(made_up.pairs("test"))[:50]
REFERENCES = [german for _, german in PAIRS]
OUTPUTS = [" ".join(text.split()[:-1]) + " und mehr." for text in REFERENCES]


def test_scores() -> None:
    bleu = sacrebleu.corpus_bleu(OUTPUTS, [REFERENCES]).score
    chrf = sacrebleu.corpus_chrf(OUTPUTS, [REFERENCES]).score
    assert 1 < bleu < 99 and 1 < chrf < 99
    assert metrics.score("bleu", REFERENCES, OUTPUTS)["bleu"] == bleu
    assert metrics.score("chrf", REFERENCES, OUTPUTS)["chrf"] == chrf


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_signature_says_the_version(name: str) -> None:
    assert f"version:{sacrebleu.__version__}" in metrics.signature(name)
