"""t2t-decoder: decode with a run, talk or play with it; --output_dir=RUN is enough.

Line N of the output answers line N of the input. CRLF ends a line like LF; bytes
that are no UTF-8 are read as U+FFFD, with a warning; an empty line is answered by
an empty one.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from t2t import registry
from t2t.bin import converse
from t2t.bin.command import Command, UsageError, load_tensorflow
from t2t.bin.play import play_run, problem_of
from t2t.bin.weigh import weigh_run

command = Command(
    "t2t-decoder",
    "decode texts with a trained run, talk with an omni, or play with one that acts",
    [
        "t2t-decoder --output_dir=RUN --decode_from_file=FILE --decode_to_file=FILE",
        "t2t-decoder --output_dir=RUN --decode_interactive",
        "t2t-decoder --output_dir=RUN --episodes=10 --video=out.mp4",
    ],
    knobs="decode_hparams",
)
command.string("output_dir", None, "the run folder")
command.string("checkpoint_path", None, "the best or newest one by default")
command.string(
    "decode_from_file",
    None,
    "one input a line, of an omni one request in JSON, of a compiler one module; "
    "standard input by default",
)
command.string("decode_to_file", None, "one output a line; standard output by default")
command.boolean("decode_interactive", False, "answer lines as they are typed")
command.string("decode_hparams", "", "as 'beam_size=4,alpha=0.6'; see README")
command.string("score_file", None, "lines 'input<TAB>target': print log-probabilities")
command.string("split", None, "decode this split of the run's problem")
command.boolean(
    "write_inputs",
    False,
    "begin lines with the input and a tab: for a student",
)
command.string("data_dir", None, "with --split: where the data are")
command.string("problem", None, "to play: another of the same kind")
command.integer("episodes", 10, "to play: how many")
command.string("report", None, "of modules compiled: a page, with one explained")
command.string("video", None, "to play: film the first episode, as .mp4 or .gif")


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> int:
    if words:
        raise UsageError(f"what is {words[0]!r}? Flags begin with --")
    flags = {name: values[name].value for name in values}
    if not flags["output_dir"]:
        raise UsageError("no --output_dir: say which run to decode with")
    from t2t.run import checkpoints
    from t2t.run.folder import open_run

    folder, config = open_run(flags["output_dir"])
    problem = registry.current().load("problem", config.knob("problem"))
    if problem.interactive and hasattr(problem, "gather"):
        path = checkpoints.resolve(flags["checkpoint_path"] or folder.path)
        with _sink(flags["decode_to_file"]) as write:
            return weigh_run(path, flags, write)
    if flags["report"]:
        raise UsageError("--report is for runs that inline for a compiler")
    if problem.interactive:
        name = problem_of(config, flags)
        path = checkpoints.resolve(flags["checkpoint_path"] or folder.path)
        play_run(config, path, flags, name=name)
        return 0
    talks = hasattr(problem, "layout")
    if talks:
        converse.check(flags, run=flags["output_dir"])
    for name in ("problem", "video"):
        if flags[name]:
            raise UsageError(f"--{name} is for models that act; this run has texts")
    ways = [w for w in ("decode_from_file", "score_file", "split") if flags[w]]
    if len(ways) + bool(flags["decode_interactive"]) > 1:
        raise UsageError(
            "give one of --decode_from_file, --score_file, --split and "
            "--decode_interactive"
        )
    from t2t.decode.options import parse

    options = None if talks else parse(flags["decode_hparams"])
    for name in ("decode_from_file", "score_file"):
        if flags[name] and not Path(flags[name]).is_file():
            raise UsageError(f"--{name}: there is no file {flags[name]!r}")
    if flags["decode_to_file"] and not Path(flags["decode_to_file"]).parent.is_dir():
        raise UsageError(
            f"--decode_to_file={flags['decode_to_file']}: there is no such folder"
        )
    path = checkpoints.resolve(flags["checkpoint_path"] or folder.path)
    if not ways and not flags["decode_interactive"] and sys.stdin.isatty():
        raise UsageError(
            "nothing to decode: give --decode_from_file, --decode_interactive, or "
            "lines on standard input"
        )
    if talks:
        return _converse(path, flags)
    load_tensorflow()
    from t2t.decode.decoder import Decoder

    decoder = Decoder.from_run(flags["output_dir"], checkpoint_path=path)
    decoder.warn = lambda line: print(f"t2t-decoder: {line}", file=sys.stderr)
    if flags["decode_interactive"]:
        interact(decoder, options)
        return 0
    with _sink(flags["decode_to_file"]) as write:
        for line in _answers(decoder, flags, options):
            write(line)
    return 0


def _converse(checkpoint: Path, flags: dict[str, Any]) -> int:
    """With an omni run: requests from a file, or lines as they are typed."""
    source, to = flags["decode_from_file"], flags["decode_to_file"]
    if flags["decode_interactive"]:
        drawn = converse.options(flags["decode_hparams"])
        answerer = converse.load(flags["output_dir"], checkpoint)
        converse.talk(answerer, Path(to).parent if to else Path(), drawn)
        return 0
    answerer = converse.load(flags["output_dir"], checkpoint)
    folder = Path(source).parent if source else Path()
    requests = converse.Requests(answerer, folder)

    def warn(line: str) -> None:
        print(f"t2t-decoder: {line}", file=sys.stderr)

    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(source, "rb")) if source else sys.stdin.buffer
        write = stack.enter_context(_sink(to))
        for line in requests.responses(read_lines(file, warn)):
            write(line)
    return requests.status()


def _answers(decoder: Any, flags: dict[str, Any], options: Any) -> Iterator[str]:
    if flags["score_file"]:
        with open(flags["score_file"], "rb") as file:
            for score in decoder.score(_pairs(read_lines(file, decoder.warn))):
                yield f"{score:.6f}"
        return
    if flags["split"]:
        yield from _formatted(decoder, _split_inputs(decoder, flags), flags, options)
    elif flags["decode_from_file"]:
        with open(flags["decode_from_file"], "rb") as file:
            lines = read_lines(file, decoder.warn)
            yield from _formatted(decoder, lines, flags, options)
    else:
        lines = read_lines(sys.stdin.buffer, decoder.warn)
        yield from _formatted(decoder, lines, flags, options)


def _split_inputs(decoder: Any, flags: dict[str, Any]) -> Iterator[str]:
    from t2t.run.folder import open_run
    from t2t.run.problems import decoded_examples

    folder, _ = open_run(flags["output_dir"])
    data_dir = flags["data_dir"] or folder.data_dir
    examples = decoded_examples(decoder.problem, flags["split"], data_dir=data_dir)
    if hasattr(decoder.problem, "line"):
        return map(decoder.problem.line, examples)
    return (example[decoder.model.PROMPT] for example in examples)


def _formatted(
    decoder: Any, lines: Iterator[str], flags: dict[str, Any], options: Any
) -> Iterator[str]:
    lines, given = itertools.tee(lines)
    for outputs, line in zip(decoder.outputs(lines, options), given, strict=False):
        told = format_outputs(outputs, options)
        if flags["write_inputs"]:
            told = f"{' '.join(line.split())}\t{told}"
        yield told


def format_outputs(outputs: list[Any], options: Any) -> str:
    """One line: the outputs, each followed by its score when asked, by tabs."""
    parts = []
    for output in outputs:
        # A line break inside an output would break the count of lines.
        parts.append(" ".join(output.text.splitlines()))
        if options.write_beam_scores:
            parts.append(f"{output.score:.6f}")
    return "\t".join(parts)


def read_lines(file: BinaryIO, warn: Any) -> Iterator[str]:
    """Lines of bytes as text, without their ends."""
    for number, line in enumerate(file, 1):
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError:
            warn(f"line {number} is no UTF-8: what cannot be read becomes U+FFFD")
            yield line.decode("utf-8", "replace")


def _pairs(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, 1):
        source, tab, target = line.partition("\t")
        if not tab:
            raise UsageError(f"--score_file: line {number} has no tab: {line[:40]!r}")
        yield source, target


class _sink:
    """Lines to standard output, or to a file that appears when it is complete."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None

    def __enter__(self) -> Any:
        if self._path is None:
            return lambda line: print(line, flush=True)
        self._temporary = self._path.with_name(self._path.name + ".tmp")
        self._file = open(self._temporary, "w", encoding="utf-8", newline="\n")
        return lambda line: self._file.write(line + "\n")

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._path is None:
            return
        self._file.close()
        if kind is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink()


def interact(decoder: Any, options: Any) -> None:
    """Answers each line of standard input until its end."""
    prompt = sys.stdin.isatty()
    while True:
        if prompt:
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        outputs = next(decoder.outputs([line.rstrip("\r\n")], options))
        print(format_outputs(outputs, options), flush=True)


if __name__ == "__main__":
    main()
