"""t2t-eval: a run's loss and scores on a split."""

from __future__ import annotations

import json
from typing import Any

from t2t.bin.command import Command, UsageError, load_tensorflow

command = Command(
    "t2t-eval",
    "evaluate a run on a split: loss, and what it decodes against the references",
    [
        "t2t-eval --output_dir=RUN",
        "t2t-eval --output_dir=RUN --eval_use_test_set",
        "t2t-eval --output_dir=OMNI_RUN --problem=omni_matrix",
    ],
    knobs="decode_hparams",
)
command.string("output_dir", None, "the run folder")
command.string("problem", None, "another than the run's; an examination, too")
command.integer("questions", None, "of each part of an examination")
command.string("data_dir", None, "where the data are; where the run was trained from")
command.string("checkpoint_path", None, "the best or newest one by default")
command.boolean("eval_use_test_set", False, "the test split, not dev")
command.string("split", None, "any other split of the problem")
command.integer("eval_steps", 0, "batches to read; 0 for all")
command.integer(
    "decode_examples", None, "sentences to decode, 0 for none; all by default"
)
command.string("decode_hparams", "", "as of t2t-decoder")
command.boolean("json", False, "print one JSON object")


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> None:
    if words:
        raise UsageError(f"what is {words[0]!r}? Flags begin with --")
    if not values["output_dir"].value:
        raise UsageError("no --output_dir: say which run to evaluate")
    from t2t.run.folder import open_run

    open_run(values["output_dir"].value)  # wrong names are told before TensorFlow
    load_tensorflow()
    from t2t import experiment, metrics
    from t2t.decode.options import parse
    from t2t.run.problems import is_examination

    problem = values["problem"].value
    if problem and is_examination(problem):
        experiment.examine(
            values["output_dir"].value,
            problem,
            data_dir=values["data_dir"].value,
            checkpoint_path=values["checkpoint_path"].value,
            questions=values["questions"].value,
            as_json=values["json"].value,
        )
        return

    split = values["split"].value
    if split is None:
        split = "test" if values["eval_use_test_set"].value else "dev"
    found = experiment.evaluate(
        values["output_dir"].value,
        problem=problem,
        data_dir=values["data_dir"].value,
        checkpoint_path=values["checkpoint_path"].value,
        split=split,
        eval_steps=values["eval_steps"].value,
        decode_examples=values["decode_examples"].value,
        options=parse(values["decode_hparams"].value),
    )
    if values["json"].value:
        print(json.dumps({"split": split, **found}))
        return
    for name, value in found.items():
        signature = metrics.signature(name) if name in metrics.METRICS else ""
        print(f"{name:20} {value:10.4f}  {signature}".rstrip())


if __name__ == "__main__":
    main()
