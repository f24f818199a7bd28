"""t2t-zoo: what there is. Reads declarations only, so it answers at once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

from t2t import old_names, registry
from t2t.bin import completion
from t2t.bin.command import Command, UsageError, add_usr_dir, load_tensorflow

KINDS = ("problem", "model", "hparams_set")
ACTIONS = (
    *("list", "show", "compare", "baseline", "import", "sweep", "card", "completion"),
)

command = Command(
    "t2t-zoo",
    "list and show what there is; compare and sweep runs; what is to be beaten",
    [
        "t2t-zoo list [problems|models|hparams_sets]",
        "t2t-zoo import FOLDER --output_dir=RUN",
        "t2t-zoo sweep --output_dir=SWEEP --problem=NAME --space='num_layers=[2,4]' "
        "-- --hparams_set=NAME --train_steps=500",
    ],
)
command.string("t2t_usr_dir", None, "folder of your own problems, models and sets")
command.boolean("examples", False, "with show PROBLEM: three decoded examples")
command.string("data_dir", None, "with --examples and baseline: where shards are")
command.string("split", "test", "with baseline: what it is judged by")
command.string("html", None, "with compare: also write a page with the curves")
command.string(
    "output_dir", None, "of what import and sweep make; the run of baseline and card"
)
command.string("problem", None, "with baseline; with import and sweep: of the runs")
command.string("space", None, "with sweep: 'num_layers=[2,4],dropout=(0.0,0.3)'")
command.string("method", "grid", "with sweep: grid, random or optuna")
command.integer("trials", 0, "with sweep: how many; of a grid all by default")
command.string("metric", "loss", "with sweep: of the dev split, at its best")
command.boolean("minimize", True, "with sweep: whether lower is better")
command.integer("seed", 0, "with sweep: of what is drawn at random")
command.string("before", None, "with card: the run before its safety fine-tuning")
command.string("card_dir", None, "with card: where to write; OUTPUT_DIR/card")
command.integer("questions", 200, "with card: of each cell of an examination")


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> int | None:
    add_usr_dir(values)
    if not words:
        raise UsageError(f"say what to do: {', '.join(ACTIONS)}. {command.examples[0]}")
    action, *names = words
    if action == "complete":  # the shell asks, see `completion`
        print("\n".join(completion.complete(" ".join(names))))
        return 0
    if action not in ACTIONS:
        raise UsageError(
            f"there is no action {action!r}.{registry.close_to(action, ACTIONS)} "
            f"Actions: {', '.join(ACTIONS)}"
        )
    if action == "list":
        return list_zoo(*names)
    if action == "compare":
        return compare(names, values["html"].value)
    if action == "sweep":
        from t2t.bin.sweep import sweep

        return sweep({name: values[name].value for name in values}, names)
    if action == "baseline":
        from t2t.bin.baseline import baseline

        return baseline({name: values[name].value for name in values}, names)
    if action == "card" and not names and values["output_dir"].value:
        names = [values["output_dir"].value]
    if len(names) != 1:
        raise UsageError(
            f"{action} takes one name, not {len(names)}: t2t-zoo {action} NAME"
        )
    if action == "card":
        return card(values, names[0])
    if action == "import":
        return import_weights(values, names[0])
    if action == "completion":
        print(completion.script(names[0]))
        return 0
    show(names[0])
    if values["examples"].value:
        show_examples(names[0], values["data_dir"].value)
    return 0


def list_zoo(only: str = "") -> int:
    """Prints every name with the first sentence of its documentation, on a terminal
    as much of it as there is room for."""
    titles = {f"{kind}s": kind for kind in KINDS}
    if only and only not in titles:
        hint = registry.close_to(only, titles)
        raise UsageError(f"list takes {', '.join(titles)}, not {only!r}.{hint}")
    zoo = registry.current()
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for title, kind in titles.items():
        if only and title != only:
            continue
        names = zoo.names(kind)
        print(f"{title} ({len(names)})")
        width = max(map(len, names), default=0)
        for name in names:
            line = f"  {name:{width}}  {zoo.declaration(kind, name).summary}"
            print(line if room is None or len(line) <= room else line[: room - 1] + "…")
    for place in zoo.unread:
        print(f"unread: {place.place}: {place.reason}")
    return 0


def show(name: str) -> None:
    """Prints what a name is, where it stands and what it goes with."""
    zoo = registry.current()
    found = [kind for kind in KINDS if _has(kind, name)]
    if not found:
        everything = [n for kind in KINDS for n in zoo.names(kind)]
        hint = "".join(old_names.told(kind, name) for kind in KINDS)
        hint = hint or registry.close_to(name, everything)
        raise registry.UnknownName(f"there is nothing named {name!r}.{hint}")
    for kind in found:
        declaration = zoo.declaration(kind, name)
        print(f"{kind.replace('_', ' ')} {name}")
        print(f"  at        {declaration.place}")
        if declaration.paper:
            print(f"  paper     {declaration.paper}")
        features = zoo.features(declaration)
        if features:
            verb = "accepts" if kind == "model" else "offers"
            listed = ", ".join(f"{n} ({k})" for n, k in features.items())
            print(f"  {verb:9} {listed}")
        for title, names in _companions(kind, name, features):
            print(f"  {title:9} {', '.join(names) or 'none'}")
        print()
        for line in declaration.doc.strip().splitlines():
            print(f"  {line}".rstrip())
        if kind == "hparams_set":
            _show_knobs(name)


def _has(kind: str, name: str) -> bool:
    try:
        registry.current().declaration(kind, name)
    except registry.UnknownName:
        return False
    return True


def _companions(
    kind: str, name: str, features: dict[str, str]
) -> Iterator[tuple[str, list[str]]]:
    """The sets and the problems of a model, the models of a problem."""
    from t2t.features import accepts

    zoo = registry.current()

    def features_of(kind: str, other: str) -> dict[str, str]:
        return zoo.features(zoo.declaration(kind, other))

    if kind == "model":
        yield "sets", [s for s in zoo.names("hparams_set") if name in _models_of(s)]
        yield (
            "problems",
            [
                p
                for p in zoo.names("problem")
                if accepts(features, features_of("problem", p))
            ],
        )
    if kind == "problem":
        fitting = [
            m
            for m in zoo.names("model")
            if (wanted := features_of("model", m)) and accepts(wanted, features)
        ]
        yield "models", fitting


def _models_of(set_name: str) -> set[str]:
    """The models that a set has wiring for."""
    from t2t.config import Config

    config = Config()
    config.add_file(registry.current().declaration("hparams_set", set_name).file)
    return {selector for selector, _ in config.bindings}


def _show_knobs(name: str) -> None:
    from t2t.config import Config

    config = Config()
    config.add_file(registry.current().declaration("hparams_set", name).file)
    width = max(map(len, config.knobs))
    print("\n  knobs")
    for knob, value in config.knobs.items():
        print(f"    {knob:{width}} = {value!r}")


def show_examples(name: str, data_dir: str | None) -> None:
    """Prints three decoded examples: real ones from shards, else made-up ones."""
    import itertools

    import numpy as np

    from t2t.config import Config
    from t2t.run.problems import decoded_examples, make_problem

    problem = make_problem(Config(knobs={"problem": name}))
    if problem.interactive:
        _show_spaces(problem)
        return
    if problem.generated:
        kind = "generated"
        made = [problem.example("train", np.random.default_rng(i)) for i in range(3)]
        raw = [problem.raw(example) for example in made]
    elif data_dir:
        kind = "real"
        raw = list(decoded_examples(problem, "train", data_dir=data_dir, limit=3))
    else:
        kind = "made-up (give --data_dir for real ones)"
        raw = [problem.raw(e) for e in itertools.islice(problem.fake("train"), 3)]
    print(f"\n  three {kind} examples")
    for example in raw:
        for feature, value in example.items():
            if isinstance(value, tuple):  # a conversation's messages
                shown = " ".join(map(str, value))
            elif (array := np.asarray(value)).ndim:
                shown = f"{array.dtype} {array.shape}"
            else:
                shown = str(value)
            print(f"    {feature:8} {shown}")
        print()


def _show_spaces(problem: Any) -> None:
    """What an environment shows and takes."""
    print("\n  it is acted in")
    for name, feature in problem.offered().items():
        shown = f"{feature.kind} {feature.dtype} {list(feature.shape)}"
        if feature.classes:
            shown += f", one of {feature.classes}"
        if feature.low is not None:
            shown += f", from {feature.low} to {feature.high}"
        print(f"    {name:12} {shown}")


def compare(folders: list[str], page: str | None) -> int:
    """Prints what differs between runs and what they reached."""
    from pathlib import Path

    from t2t.run import compare as side_by_side
    from t2t.run.folder import write_text

    runs = side_by_side.read(folders)
    for table in (side_by_side.differences(runs), side_by_side.reached(runs)):
        print(side_by_side.text(table), end="\n\n")
    if page:
        write_text(Path(page), side_by_side.html_page(runs))
        print(page)
    return 0


def import_weights(values: Any, folder: str) -> int:
    """Makes a run of published weights, and says what was loaded."""
    output_dir = values["output_dir"].value
    if not output_dir:
        raise UsageError("no --output_dir: say which run to make of them")
    if values["problem"].value:
        registry.current().declaration("problem", values["problem"].value)
    load_tensorflow()
    from t2t.published.importing import import_run

    report = import_run(folder, output_dir, problem=values["problem"].value)
    for line in report.lines():
        print(line)
    return 0


def card(values: Any, run: str) -> int:
    """Measures an omni run and writes its system card; other runs have their report."""
    from t2t.run.folder import open_run

    flags = {name: values[name].value for name in values}
    folder, config = open_run(run)
    if config.knob("model") != "omni":
        raise UsageError(
            "a card is made for an omni model; what this run is stands in "
            f"{folder.report}"
        )
    load_tensorflow()
    from t2t.card.write import write_card

    path = write_card(
        run,
        flags["card_dir"] or folder.path / "card",
        before=flags["before"],
        data_dir=flags["data_dir"],
        questions=flags["questions"],
    )
    print(path)
    return 0


if __name__ == "__main__":
    main()
