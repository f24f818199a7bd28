"""t2t-zoo baseline: a table of what is to be beaten, of a problem or of a run's."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import call

pytest.importorskip("sklearn")


def _table(out: str) -> dict[str, dict[str, float]]:
    """{baseline: {metric: value}}; names end where two spaces stand."""
    _, head, *rows = out.splitlines()
    names = head.split()
    found = {}
    for row in rows:
        *words, values = row.split(None, len(row.split()) - len(names))
        numbers = [float(n) for n in values.split()]
        found[" ".join(words)] = dict(zip(names, numbers, strict=True))
    return found


def test_of_a_run_on_a_table(tmp_path: Path) -> None:
    """The run knows its data, and that its problem has a file of the user's."""
    path, run = tmp_path / "houses.csv", tmp_path / "run"
    rows = [f"{i % 50},{'ab'[i % 2]},{3 * (i % 50) + i % 2}" for i in range(400)]
    path.write_text("\n".join(["size,town,price", *rows]))
    answer = call(
        f"t2t-trainer --problem=table_real_files --inputs={path} --column=price "
        f"--output_dir={run} --train_steps=2 --debug_nans --hparams=hidden_size=16,"
        "num_heads=2,examples_per_batch=16,log_frequency=1"
    )
    assert answer.status == 0, answer.err
    answer = call(f"t2t-zoo baseline --output_dir={run}")
    assert answer.status == 0, answer.err
    assert answer.out.startswith("table_real_files, split test\n")
    found = _table(answer.out)
    assert list(found) == ["mean", "linear regression", "gradient boosting"]
    errors = {name: values["absolute_error"] for name, values in found.items()}
    assert errors["linear regression"] < 0.1 < errors["mean"]

    answer = call(f"t2t-decoder --output_dir={run}", stdin=b"4,a\n\n5,b\n")
    assert answer.status == 0, answer.err
    first, empty, last = answer.out.split("\n")[:3]
    assert float(first) != float(last) and not empty
    answer = call(f"t2t-decoder --output_dir={run}", stdin=b"4\n")
    assert answer.status == 2 and "line 1: 1 cells, expected 2: size,town" in answer.err
    answer = call(f"t2t-decoder --output_dir={run} --split=test --write_inputs")
    assert answer.status == 0 and all("\t" in line for line in answer.out.splitlines())
