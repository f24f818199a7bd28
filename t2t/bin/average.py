"""t2t-avg-all: average a run's last checkpoints."""

from __future__ import annotations

from typing import Any

from t2t.bin.command import Command, UsageError

command = Command(
    "t2t-avg-all",
    "make a run whose weights are averages of another's checkpoints",
    [
        "t2t-avg-all --model_dir=RUN --output_dir=AVERAGED --n=5",
        "t2t-eval --output_dir=AVERAGED",
        "t2t-decoder --output_dir=AVERAGED --decode_from_file=FILE",
    ],
)
command.string("model_dir", None, "the run whose checkpoints are averaged")
command.string("output_dir", None, "the run that is made")
command.integer("n", 8, "checkpoints an average is of; all where there are fewer")


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> None:
    if words:
        raise UsageError(f"what is {words[0]!r}? Flags begin with --")
    for name, what in (("model_dir", "which run"), ("output_dir", "where to")):
        if not values[name].value:
            raise UsageError(f"no --{name}: say {what}")
    n = values["n"].value
    if n < 2:
        raise UsageError(f"--n is at least 2, not {n}")
    from t2t.run.average import average_all

    for path in average_all(values["model_dir"].value, values["output_dir"].value, n=n):
        print(path)


if __name__ == "__main__":
    main()
