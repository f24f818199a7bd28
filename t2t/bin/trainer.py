"""t2t-trainer: train a model on a problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from t2t import registry
from t2t.bin.command import (
    Command,
    UsageError,
    add_usr_dir,
    load_tensorflow,
    report_unread,
)

# Flags that are knobs of every set: they keep Tensor2Tensor's names.
KNOB_FLAGS = {
    "train_steps": ("integer", "stop after so many steps, earlier restarts included"),
    "eval_steps": ("integer", "dev batches that an evaluation reads; 0 for all"),
    "local_eval_frequency": ("integer", "steps between evaluations"),
    "keep_checkpoint_max": ("integer", "checkpoints kept, besides the best"),
    "random_seed": ("integer", "of weights, data order and dropout"),
    "strategy": ("string", "devices: auto, none, mirrored, multiworker, tpu"),
    "debug_nans": ("boolean", "look at each layer of each step: names what blew up"),
    "jit": ("boolean", "XLA on or off; the model's own choice by default"),
    "eval_early_stopping_metric": ("string", "also names the best checkpoint"),
    "eval_early_stopping_steps": ("integer", "stop after so many steps without better"),
    "eval_early_stopping_metric_delta": ("number", "what counts as better"),
    "eval_early_stopping_metric_minimize": ("boolean", "whether lower is better"),
}

# Flags that are arguments of the problems made from the user's own files.
FILE_FLAGS = {
    "inputs": "the problem's input file (text2text_files and its kin)",
    "targets": "its target file, line for line",
    "labels": "its label file, line for line",
    "corpus": "of problems about compilers: the folder that t2t-datagen wrote",
}

command = Command(
    "t2t-trainer",
    "train a model on a problem",
    [
        "t2t-trainer --problem=translate_ende_interface "
        "--hparams_set=transformer_small --output_dir=RUN",
        "t2t-trainer --problem=text2text_files --inputs=a.en --targets=a.de "
        "--output_dir=RUN",
        "t2t-zoo list",
    ],
    knobs="hparams",
)
command.string("problem", None, "name of the problem; `t2t-zoo list` shows them")
command.string("model", None, "name of the model; the set's own by default")
command.string("hparams_set", None, "name of the hparams set")
command.string("hparams", "", "knobs to change, as 'num_layers=2,dropout=0.2'")
command.many("gin_file", "a gin file over the set")
command.many("gin_param", "a binding 'name.argument=value'")
command.string("output_dir", None, "the run folder; a run that is there goes on")
command.string(
    "data_dir",
    None,
    "where t2t-datagen wrote; by default the run's own, or OUTPUT_DIR/data made now",
)
command.string("tmp_dir", None, "where downloads are kept")
command.string("t2t_usr_dir", None, "folder of your own problems, models and sets")
command.boolean("generate_data", False, "write the problem's data first")
command.boolean("registry_help", False, "list what there is, as `t2t-zoo list` does")
command.string(
    "schedule",
    "train_and_evaluate",
    "train, train_and_evaluate, continuous_eval, evaluate or actor",
)
command.string(
    "replay",
    None,
    "address of the replay table: where an actor connects, or HOST:PORT at which a "
    "learner lets actors of other hosts come",
)
command.string("secret_file", None, "a file with the secret of --replay")
command.string("weights", None, "for an actor: a run to take weights from")
command.integer("actor", 0, "number of the actor; each has seeds of its own")
command.string("warm_start_from", None, "a run or checkpoint to take weights from")
command.boolean("dry_run", False, "say what the run would be, and write nothing")
command.boolean("eval_use_test_set", False, "evaluate on the test split, not dev")
command.string("checkpoint_path", None, "for --schedule=evaluate: which checkpoint")
command.string("column", None, "of problems of tables: the column to be told")
for _name, _help in FILE_FLAGS.items():
    command.string(_name, None, _help)
for _name, (_kind, _help) in KNOB_FLAGS.items():
    getattr(command, _kind)(_name, None, _help)


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> int | None:
    flags = {name: values[name].value for name in values}
    if words:
        raise UsageError(f"what is {words[0]!r}? Flags begin with --")
    add_usr_dir(values)
    if flags["registry_help"]:
        from t2t.bin.zoo import list_zoo

        return list_zoo()
    report_unread()
    if not flags["output_dir"] and not flags["dry_run"]:
        raise UsageError("no --output_dir: say which folder the run is to be in")
    return _dispatch(flags)


def _dispatch(flags: dict[str, Any]) -> int | None:
    schedules = {
        "train": _train,
        "train_and_evaluate": _train,
        "continuous_train_and_eval": _train,  # Tensor2Tensor's name of the same
        "continuous_eval": _evaluate,
        "evaluate": _evaluate,
        "actor": _act,
    }
    schedule = flags["schedule"]
    if schedule not in schedules:
        hint = registry.close_to(schedule, schedules)
        raise UsageError(f"there is no schedule {schedule!r}.{hint}")
    return schedules[schedule](flags)


def configuration(flags: dict[str, Any]) -> Any:
    """The checked configuration that the flags describe.

    A run folder that exists supplies what no flag says.
    """
    from t2t import config

    files = list(flags["gin_file"])
    saved = Path(flags["output_dir"] or "") / "config.gin"
    if not flags["hparams_set"] and not files and saved.is_file():
        files = [str(saved)]
    loaded = config.load(
        hparams_set=flags["hparams_set"],
        gin_files=files,
        problem=flags["problem"],
        model=flags["model"],
        hparams=flags["hparams"] or "",
        gin_params=flags["gin_param"],
    )
    for name in KNOB_FLAGS:
        if flags[name] is not None:
            loaded.set_knob(name, flags[name])
    problem = registry.current().declaration("problem", loaded.knob("problem")).name
    for name in FILE_FLAGS:
        if flags[name] is not None:
            # The run may be gone on with from another folder.
            paths = ",".join(str(Path(p).absolute()) for p in flags[name].split(","))
            loaded.bindings[problem, name] = paths
    if flags["column"] is not None:
        loaded.bindings[problem, "column"] = flags["column"]
    loaded.check()
    return loaded


def _train(flags: dict[str, Any]) -> int | None:
    config = configuration(flags)
    from t2t.features import check_match
    from t2t.run.folder import refuse_another
    from t2t.run.problems import ready_data

    check_match(config.knob("problem"), config.knob("model"))
    if flags["dry_run"]:
        return _dry_run(flags, config)
    refuse_another(flags["output_dir"], config)
    data_dir = ready_data(
        config,
        output_dir=flags["output_dir"],
        data_dir=flags["data_dir"],
        tmp_dir=flags["tmp_dir"],
        write=flags["generate_data"],
    )
    load_tensorflow()
    from t2t import experiment

    result = experiment.train(
        config,
        output_dir=flags["output_dir"],
        data_dir=data_dir,
        schedule="train" if flags["schedule"] == "train" else "train_and_evaluate",
        warm_start_from=flags["warm_start_from"],
        test_set=flags["eval_use_test_set"],
        remote=_remote(flags, experiment.Remote),
    )
    return 130 if result.reason == "SIGINT" else 0


def _dry_run(flags: dict[str, Any], config: Any) -> int:
    from t2t.run.folder import RunFolder
    from t2t.run.problems import make_problem

    data_dir = flags["data_dir"]
    if data_dir is None and flags["output_dir"]:
        data_dir = RunFolder(Path(flags["output_dir"])).data_dir
    if make_problem(config).stored and data_dir is None:
        name = config.knob("problem")
        raise UsageError(
            f"a dry run makes no data: t2t-datagen --problem={name} "
            "--data_dir=DATA first, then --data_dir=DATA"
        )
    load_tensorflow()
    from t2t import experiment

    experiment.dry_run(config, data_dir=data_dir)
    return 0


def _remote(flags: dict[str, Any], remote: Any) -> Any:
    """Where the replay table is, if the flags say."""
    if not flags["replay"]:
        return None
    secret, path = "", flags["secret_file"]
    if path:
        if not Path(path).is_file():
            raise UsageError(f"--secret_file: there is no file {path!r}")
        secret = Path(path).read_text(encoding="utf-8").strip()
    return remote(flags["replay"], secret)


def _act(flags: dict[str, Any]) -> int | None:
    if not flags["replay"]:
        raise UsageError("an actor needs --replay=ADDRESS: where its experience goes")
    config = configuration(flags)
    load_tensorflow()
    from t2t import experiment

    remote = _remote(flags, experiment.Remote)
    weights = flags["weights"] or ""
    experiment.act(config, remote, weights=weights, number=flags["actor"])
    return 0


def _evaluate(flags: dict[str, Any]) -> int | None:
    load_tensorflow()
    from t2t import experiment

    split = "test" if flags["eval_use_test_set"] else "dev"
    if flags["schedule"] == "continuous_eval":
        experiment.continuous_eval(
            flags["output_dir"], data_dir=flags["data_dir"], split=split
        )
        return 0
    values = experiment.evaluate(
        flags["output_dir"],
        data_dir=flags["data_dir"],
        checkpoint_path=flags["checkpoint_path"],
        split=split,
        eval_steps=flags["eval_steps"],
    )
    for name, value in values.items():
        print(f"{name}\t{value:.4f}")
    return 0


if __name__ == "__main__":
    main()
