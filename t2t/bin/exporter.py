"""t2t-exporter: a run in the form in which it is used elsewhere."""

from __future__ import annotations

from typing import Any

from t2t import registry
from t2t.bin.command import Command, UsageError, load_tensorflow

FORMATS = ("saved_model", "litert", "onnx", "safetensors", "transformers")
WEIGHTS = ("float32", "int8")

command = Command(
    "t2t-exporter",
    "write a trained run, tokenizer or policy in the form in which it is used",
    [
        "t2t-exporter --output_dir=runs/de-en --export_dir=served",
        "t2t-exporter --output_dir=runs/de-en --export_dir=phone --format=litert "
        "--weights=int8",
        "t2t-exporter --output_dir=runs/codec --export_dir=DATA",
    ],
    knobs="decode_hparams",
)
command.string("output_dir", None, "the run folder")
command.string(
    "export_dir",
    None,
    "where to write: a folder that is made; a tokenizer goes into the data folder of "
    "problems that use it, a compiler's policy is policy.h and so on",
)
command.string("checkpoint_path", None, "the best or newest one by default")
command.string("format", "saved_model", f"of texts and pictures: {', '.join(FORMATS)}")
command.string("weights", "float32", f"of texts and pictures: {', '.join(WEIGHTS)}")
command.string("data_dir", None, "where 100 real examples are, to check it with")
command.string("decode_hparams", "", "how it searches, as 'beam_size=4,alpha=0.6'")
command.integer("max_length", 0, "most tokens of an input; the run's own by default")
command.number(
    "least_agreement", None, "share of answers to be the run's; 0.99, or 0.9 of int8"
)


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> None:
    if words:
        raise UsageError(f"what is {words[0]!r}? Flags begin with --")
    flags = {name: values[name].value for name in values}
    for name, what in (("output_dir", "which run to export"), ("export_dir", "where")):
        if not flags[name]:
            raise UsageError(f"no --{name}: say {what}")
    for name, known in (("format", FORMATS), ("weights", WEIGHTS)):
        if flags[name] not in known:
            hint = registry.close_to(flags[name], known)
            raise UsageError(
                f"--{name} is one of {', '.join(known)}, not {flags[name]!r}.{hint}"
            )
    from t2t.decode.options import parse
    from t2t.run import checkpoints
    from t2t.run.folder import open_run

    # Wrong names before TensorFlow.
    run, config = open_run(flags["output_dir"])
    options = parse(flags["decode_hparams"])
    if options.sampling:
        raise UsageError("an export searches: sampling=True is for t2t-decoder")
    checkpoints.resolve(flags["checkpoint_path"] or run.path)
    zoo = registry.current()
    problem = zoo.load("problem", config.knob("problem"))
    load_tensorflow()
    model = zoo.load("model", config.knob("model"))
    if hasattr(problem, "gather"):
        from t2t.export.advice import export_advice as export
    elif hasattr(model, "act"):
        from t2t.export.policy import export_policy as export
    elif hasattr(model, "TOKENIZES"):
        from t2t.export.tokenizer import export_tokenizer as export
    else:
        _export_run(flags, options)
        return
    print(
        export(
            flags["output_dir"],
            flags["export_dir"],
            checkpoint_path=flags["checkpoint_path"],
        )
    )


def _export_run(flags: dict[str, Any], options: Any) -> None:
    from t2t.export.run import export_run

    folder, agreement = export_run(
        flags["output_dir"],
        flags["export_dir"],
        form=flags["format"],
        int8=flags["weights"] == "int8",
        checkpoint_path=flags["checkpoint_path"],
        data_dir=flags["data_dir"],
        options=options,
        max_length=flags["max_length"],
        least=flags["least_agreement"],
    )
    print(f"{folder}: {agreement}")


if __name__ == "__main__":
    main()
