"""The card beside an export: what it is, of what data, how good, under which licence.

After Mitchell et al., Model Cards for Model Reporting (arXiv:1810.03993).
"""

from __future__ import annotations

import json

import keras
import numpy as np

from t2t import registry
from t2t.config import Config
from t2t.decode.decoder import Decoder
from t2t.run.folder import RunFolder

HIDDEN = {"split", "seconds"}  # of a record of metrics

CARD = """# {title}

{summary}

| | |
|---|---|
| model | {model}, {parameters:,} parameters{paper} |
| problem | {problem}: {what} |
| licence of the data | {licence} |
| checkpoint | {checkpoint} |
| form | {form} |
| checked against the run | {agreement} |
| made with | t2t, keras {keras} |

## Use

{usage}

## Numbers

{metrics}

## Limits

Only what stands above was measured: on held-out data of the same source. Nothing is
known of other texts, of bias or of misuse.

## Configuration

```
{config}```
"""


def card(
    run: RunFolder,
    config: Config,
    decoder: Decoder,
    *,
    form: str,
    usage: str,
    agreement: str,
    checkpoint: str,
) -> str:
    """Markdown."""
    zoo = registry.current()
    model, problem = (
        zoo.declaration(kind, config.knob(kind)) for kind in ("model", "problem")
    )
    variables = decoder.model.trainable_variables
    return CARD.format(
        title=f"{run.path.resolve().name}, as {form}",
        summary=model.summary,
        model=model.name,
        parameters=sum(int(np.prod(v.shape)) for v in variables),
        paper=f" ({model.paper})" if model.paper else "",
        problem=config.knob("problem"),
        what=problem.summary,
        licence=decoder.problem.licence,
        checkpoint=checkpoint,
        form=form,
        agreement=agreement,
        keras=keras.__version__,
        usage=f"```\n{usage}\n```"
        if usage
        else "The arrays are in the features' own form.",
        metrics=_metrics(run),
        config=config.text(),
    )


def _metrics(run: RunFolder) -> str:
    """The newest numbers of each split, as a table."""
    newest: dict[str, dict[str, object]] = {}
    if run.metrics.is_file():
        for line in run.metrics.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            newest[record["split"]] = record
    rows = [
        f"| {split} | {name} | {value:.5g} |"
        for split, record in newest.items()
        for name, value in record.items()
        if name not in HIDDEN and isinstance(value, int | float)
    ]
    if not rows:
        return "none were written"
    return "\n".join(["| split | number | value |", "|---|---|---|", *rows])
