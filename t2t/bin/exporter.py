"""t2t-exporter: a run in the form in which it is used elsewhere."""

from __future__ import annotations

from typing import Any

from t2t import registry
from t2t.bin.command import Command, UsageError, load_tensorflow

command = Command(
    "t2t-exporter",
    "write a trained tokenizer or policy in the form in which it is used",
    [
        "t2t-exporter --output_dir=runs/cart_pole --export_dir=policy",
        "t2t-exporter --output_dir=runs/codec --export_dir=DATA",
        "t2t-datagen --problem=omni_tasks --data_dir=DATA",
    ],
)
command.string("output_dir", None, "the run folder")
command.string(
    "export_dir",
    None,
    "where to write: a tokenizer into the data folder of problems that use it, a "
    "policy as a SavedModel that is made, one for a compiler as policy.h and so on",
)
command.string("checkpoint_path", None, "the best or newest one by default")


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> None:
    if words:
        raise UsageError(f"what is {words[0]!r}? Flags begin with --")
    for name, what in (("output_dir", "which run to export"), ("export_dir", "where")):
        if not values[name].value:
            raise UsageError(f"no --{name}: say {what}")
    from t2t.run.folder import open_run

    _, config = open_run(values["output_dir"].value)  # wrong names before TensorFlow
    problem = registry.current().load("problem", config.knob("problem"))
    load_tensorflow()
    if hasattr(problem, "gather"):
        from t2t.export.advice import export_advice as export
    elif hasattr(registry.current().load("model", config.knob("model")), "act"):
        from t2t.export.policy import export_policy as export
    else:
        from t2t.export.tokenizer import export_tokenizer as export

    path = export(
        values["output_dir"].value,
        values["export_dir"].value,
        checkpoint_path=values["checkpoint_path"].value,
    )
    print(path)


if __name__ == "__main__":
    main()
