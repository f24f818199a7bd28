"""t2t-datagen: write a problem's data as shards."""

from __future__ import annotations

from typing import Any

from t2t.bin.command import (
    Command,
    UsageError,
    add_usr_dir,
    load_tensorflow,
    report_unread,
)

command = Command(
    "t2t-datagen",
    "write a problem's examples as shards, with their vocabularies",
    [
        "t2t-datagen --problem=translate_ende_interface --data_dir=DATA",
        "t2t-datagen --problem=text2text_files --data_dir=DATA "
        "--gin_param=\"text2text_files.inputs='a.en'\" "
        "--gin_param=\"text2text_files.targets='a.de'\"",
        "t2t-zoo list",
    ],
)
command.string("problem", None, "name of the problem, or several by commas")
command.string("data_dir", None, "where shards, vocabularies and the manifest go")
command.string("tmp_dir", None, "where downloads are kept; DATA_DIR/tmp by default")
command.string("t2t_usr_dir", None, "folder of your own problems")
command.integer("num_concurrent_processes", None, "workers that encode; one a core")
command.integer("random_seed", 0, "of the vocabulary's sample")
command.many("gin_param", "a binding 'problem.argument=value'")


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> None:
    if words:
        raise UsageError(f"what is {words[0]!r}? Flags begin with --")
    names = [n for n in (values["problem"].value or "").split(",") if n]
    if not names:
        raise UsageError("no --problem: `t2t-zoo list` shows them")
    if not values["data_dir"].value:
        raise UsageError("no --data_dir: say where the shards are to go")
    processes = values["num_concurrent_processes"].value
    if processes is not None and processes < 1:
        raise UsageError(f"--num_concurrent_processes is at least 1, not {processes}")
    add_usr_dir(values)
    report_unread()
    from t2t.config import Config
    from t2t.run.problems import generate_data, make_problem

    config = Config()
    config.add_bindings(values["gin_param"].value)
    for name in names:
        config.knobs["problem"] = name
        if _tokenizes(make_problem(config)):
            load_tensorflow()  # quietly
        generate_data(
            config,
            data_dir=values["data_dir"].value,
            tmp_dir=values["tmp_dir"].value,
            processes=processes,
            seed=values["random_seed"].value,
        )


def _tokenizes(problem: Any) -> bool:
    """Whether its data are made by trained tokenizers, which need TensorFlow."""
    from t2t.media.tokenizers import Tokenizer

    return any(isinstance(v, Tokenizer) for v in problem.vocabularies.values())


if __name__ == "__main__":
    main()
