"""What `t2t-zoo baseline` does: a table of what a model of the problem has to beat."""

from __future__ import annotations

from typing import Any

from t2t.bin.command import UsageError


def baseline(flags: dict[str, Any], words: list[str]) -> int:
    """Prints the table of --problem, or of the run in --output_dir.

    Raises:
      UsageError: when no problem is named.
    """
    if words:
        raise UsageError(f"baseline takes flags, not {words[0]!r}")
    if bool(flags["problem"]) == bool(flags["output_dir"]):
        raise UsageError(
            "give --problem=NAME and --data_dir=DATA, or --output_dir=RUN, whose "
            "problem is meant"
        )
    from t2t import baselines
    from t2t.config import Config
    from t2t.run.folder import open_run
    from t2t.run.problems import make_problem

    data_dir = flags["data_dir"]
    if flags["output_dir"]:
        folder, config = open_run(flags["output_dir"])
        data_dir = data_dir or folder.data_dir
    else:
        config = Config(knobs={"problem": flags["problem"]})
    problem = make_problem(config)
    found = list(baselines.scores(problem, flags["split"], data_dir=data_dir))
    print(f"{problem.name}, split {flags['split']}")
    for line in baselines.table(found):
        print(line)
    return 0
