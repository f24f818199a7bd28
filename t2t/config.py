"""Set + files + knobs + bindings -> one checked gin configuration. No TensorFlow.

Three words: a *set* is a gin file, a *knob* is a macro in it (`hidden_size = 512`),
a *binding* is a dotted line (`adam.beta_2 = 0.98`). One order of precedence: set,
gin files, problem and model, knobs, bindings; later wins.

    --hparams_set=transformer_base      the file hparams/transformer_base.gin
    --gin_file=mine.gin                 more files
    --hparams='num_layers=2,dropout=0'  knobs
    --gin_param='adam.beta_2=0.98'      a binding

The surprise: gin accepts a mistyped macro silently, so the statements are merged
and checked here and gin sees only the result.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util  # noqa: F401  gin 0.5.0 uses it without importing it
import inspect
import os
import re
import tokenize
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import gin
from gin import config as gin_config
from gin import config_parser

from t2t import knobs, old_names, registry

KNOB = re.compile(r"[A-Za-z_]\w*$")
BINDING = re.compile(r"([A-Za-z_][\w.]*)\.([A-Za-z_]\w*)$")


class ConfigError(ValueError):
    """A set, file, knob or binding that is wrong; the message says what is close."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """A value that names another: `%knob`, `@part` or `@part()`."""

    text: str

    def __repr__(self) -> str:
        return self.text


class _Delegate(config_parser.ParserDelegate):
    def configurable_reference(self, scoped_name: str, evaluate: bool) -> Reference:
        return Reference(f"@{scoped_name}{'()' if evaluate else ''}")

    def macro(self, scoped_name: str) -> Reference:
        return Reference(f"%{scoped_name}")


@dataclasses.dataclass
class Config:
    """Knobs by name and bindings by (configurable, argument), merged in order."""

    knobs: dict[str, Any] = dataclasses.field(default_factory=dict)
    bindings: dict[tuple[str, str], Any] = dataclasses.field(default_factory=dict)
    comment: str = ""

    # -- merging -------------------------------------------------------------------

    def add_file(self, path: Path) -> None:
        """Merges a gin file and the files that it includes.

        Raises:
          ConfigError: naming the file, for one that is missing or is no gin.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the gin file {path}: {error}") from error
        self.add_text(text, str(path))

    def add_text(self, text: str, place: str) -> None:
        """Merges gin statements; `place` is named in errors."""
        try:
            for statement in config_parser.ConfigParser(text, _Delegate()):
                self._add_statement(statement, place)
        except (SyntaxError, ValueError, tokenize.TokenError) as error:
            if isinstance(error, ConfigError):
                raise
            line, detail = "", str(error).strip().splitlines()[0]
            if isinstance(error, SyntaxError):
                line, detail = f":{error.lineno}", error.msg
            elif isinstance(error, tokenize.TokenError):
                detail, (number, _) = error.args
                line = f":{number}"
            raise ConfigError(f"{place}{line} is no gin: {detail}") from error

    def _add_statement(self, statement: Any, place: str) -> None:
        if isinstance(statement, config_parser.IncludeStatement):
            self.add_file(find_file(statement.filename))
        elif isinstance(statement, config_parser.BindingStatement):
            selector = statement.selector
            if statement.scope:
                selector = f"{statement.scope}/{selector}"
            if statement.arg_name:
                self.bindings[selector, statement.arg_name] = statement.value
            else:
                self.knobs[selector] = statement.value
        else:
            raise ConfigError(
                f"{place}: only knobs, bindings and includes are understood here"
            )

    def add_knobs(self, text: str) -> None:
        """Overrides knobs from `a=1,b='x'`; every name must exist already.

        Raises:
          ConfigError: for an unknown knob or a value that cannot be read.
        """
        for name, value in split_knobs(text):
            self.set_knob(name, value)

    def set_knob(self, name: str, value: Any) -> None:
        if name not in self.knobs:
            hint = old_names.told("knob", name) or registry.close_to(name, self.knobs)
            raise ConfigError(f"there is no knob named {name!r} in this set.{hint}")
        was = self.knobs[name]
        if isinstance(was, Reference) or was is None or value is None:
            pass
        elif isinstance(was, bool) != isinstance(value, bool) or (
            isinstance(was, str) != isinstance(value, str)
        ):
            raise ConfigError(
                f"the knob {name} is a {type(was).__name__} ({was!r}), not {value!r}"
            )
        elif isinstance(was, int) and not isinstance(value, int):
            raise ConfigError(
                f"the knob {name} is a whole number ({was}), not {value!r}"
            )
        self.knobs[name] = value

    def add_bindings(self, lines: Iterable[str]) -> None:
        """Merges `f.x=1` lines.

        Raises:
          ConfigError: for a line that is no binding.
        """
        for line in lines:
            target = line.split("=", 1)[0].strip()
            if "=" not in line or not BINDING.match(target):
                raise ConfigError(
                    f"--gin_param wants 'name.argument=value', not {line!r}"
                )
            self.add_text(line, f"--gin_param={line}")

    # -- checking and using ----------------------------------------------------------

    def check(self) -> None:
        """Every `%knob` that is used must be set, every value one that it may have.

        Raises:
          ConfigError: naming the knob and the binding that uses it.
        """
        for (selector, argument), value in self.bindings.items():
            for name in _macros_in(value):
                if name not in self.knobs:
                    raise ConfigError(
                        f"{selector}.{argument} uses the knob {name!r}, which is not "
                        f"set.{registry.close_to(name, self.knobs)}"
                    )
        values = {}
        for (selector, argument), value in self.bindings.items():
            target, name = f"{selector}.{argument}", f"{selector}.{argument}"
            if isinstance(value, Reference) and value.text.startswith("%"):
                name = value.text[1:]
                value = self.knob(name)
            if not isinstance(value, Reference):
                values[target] = value
                if fault := knobs.fault(target, value, name=name):
                    raise ConfigError(fault)
        if fault := knobs.misfit(values):
            raise ConfigError(fault)

    def unused_knobs(self) -> set[str]:
        """Knobs that no binding and no other knob uses."""
        used = {n for v in self.bindings.values() for n in _macros_in(v)}
        used |= {n for v in self.knobs.values() for n in _macros_in(v)}
        return set(self.knobs) - used - {"problem", "model"}

    def knob(self, name: str) -> Any:
        """The value of a knob, through references to other knobs."""
        value = self.knobs.get(name)
        while isinstance(value, Reference) and value.text.startswith("%"):
            value = self.knobs.get(value.text[1:])
        return value

    def text(self) -> str:
        """The gin file that says the same; parsing it gives the same Config."""
        lines = [f"# {line}".rstrip() for line in self.comment.splitlines()]
        lines += [f"{name} = {value!r}" for name, value in self.knobs.items()]
        lines.append("")
        lines += [f"{s}.{a} = {value!r}" for (s, a), value in self.bindings.items()]
        return "\n".join(lines) + "\n"

    def apply(self, *, wanted: Callable[[str], bool]) -> None:
        """Gives gin all knobs, and the bindings of the wanted configurables.

        Those must be imported; the models and problems not in use are not.

        Raises:
          ConfigError: for a configurable or an argument that does not exist.
        """
        self.check()
        # What was bound once is spent: a process may train, then decode.
        gin.clear_config()
        lines = [f"{name} = {value!r}" for name, value in self.knobs.items()]
        lines += [
            f"{s}.{a} = {value!r}"
            for (s, a), value in self.bindings.items()
            if wanted(s.split(".")[-1])
        ]
        for line in lines:
            try:
                gin.parse_config(line)
            except (ValueError, TypeError) as error:
                raise ConfigError(_refused(line, error)) from error


def build(name: str) -> Callable[..., Any]:
    """The configurable called `name`, which takes its bound arguments from gin."""
    return gin.get_configurable(name)


def configurables() -> list[str]:
    """Names that gin knows, without their modules."""
    return sorted({s.split(".")[-1] for s in gin_config._REGISTRY._selector_map})


def _refused(line: str, error: Exception) -> str:
    """Why gin took no `configurable.argument = value`, with what is close."""
    selector, _, argument = line.split("=")[0].strip().rpartition(".")
    found = gin_config._REGISTRY.matching_selectors(selector)
    if not found:
        hint = registry.close_to(selector, configurables())
        return f"there is nothing named {selector!r} to bind.{hint}"
    target = gin_config._REGISTRY[found[0]].wrapped
    arguments = list(inspect.signature(target).parameters)
    if argument in arguments:
        return f"{line!r}: {str(error).strip().splitlines()[0]}"
    hint = registry.close_to(argument, arguments)
    hint = hint or f" It takes {', '.join(arguments) or 'none'}"
    return f"{line!r}: {selector} has no argument {argument!r}.{hint}"


def find_file(name: str) -> Path:
    """A gin file by package path `t2t/hparams/x.gin`, by path, or by set name.

    Raises:
      ConfigError, registry.UnknownName: when there is none.
    """
    if name.startswith("t2t/"):
        # Before paths: the folder that we are in may be another version's checkout.
        packaged = registry.ZOO / name[len("t2t/") :]
        if packaged.is_file():
            return packaged
    path = Path(name)
    if path.is_file():
        return path
    if name.endswith(".gin") or os.sep in name:
        raise ConfigError(f"there is no gin file {name!r}")
    return registry.current().declaration("hparams_set", name).file


def load(
    *,
    hparams_set: str | None = None,
    gin_files: Sequence[str] = (),
    problem: str | None = None,
    model: str | None = None,
    hparams: str = "",
    gin_params: Sequence[str] = (),
) -> Config:
    """The merged configuration, in the one order of precedence.

    Without a set or a file, the problem's suggestion is taken.

    Raises:
      ConfigError, registry.UnknownName: saying what is wrong and what is close.
    """
    config = Config()
    if not hparams_set and not gin_files and problem:
        suggested = registry.current().load("problem", problem).SUGGESTED
        if suggested is not None:
            hparams_set, model = suggested[0], model or suggested[1]
    if hparams_set:
        config.add_file(registry.current().declaration("hparams_set", hparams_set).file)
    for name in gin_files:
        config.add_file(find_file(name))
    if not hparams_set and not gin_files:
        if problem:
            raise ConfigError(
                f"{problem} suggests no set: give --hparams_set=NAME or "
                "--gin_file=FILE (`t2t-zoo list hparams_sets` shows the names)"
            )
        raise ConfigError(
            "no configuration: give --problem=NAME, --hparams_set=NAME or "
            "--gin_file=FILE (`t2t-zoo list` shows the names)"
        )
    if problem:
        config.knobs["problem"] = problem
    if model:
        config.knobs["model"] = model
    config.add_knobs(hparams)
    config.add_bindings(gin_params)
    for kind in ("problem", "model"):
        name = config.knob(kind)
        if not name:
            raise ConfigError(f"no {kind}: give --{kind}=NAME")
        registry.current().declaration(kind, name)
    _refuse_idle(config, gin_params)
    config.check()
    return config


def _refuse_idle(config: Config, gin_params: Sequence[str]) -> None:
    """Refuses a binding of the user's for a problem or model that is not in use."""
    zoo = registry.current()
    for line in gin_params:
        selector = line.partition("=")[0].strip().rpartition(".")[0].split("/")[-1]
        for kind in ("problem", "model"):
            used = zoo.declaration(kind, config.knob(kind)).name
            if selector in zoo.names(kind) and selector != used:
                raise ConfigError(
                    f"--gin_param={line}: the {kind} of this run is {used}, not "
                    f"{selector}"
                )


def split_knobs(text: str) -> list[tuple[str, Any]]:
    """`a=1,b=[2,3],c=abc` -> pairs; a value that is no Python literal is a string."""
    if not text.strip():
        return []
    pieces, depth, quote, start = [], 0, "", 0
    for i, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            pieces.append(text[start:i])
            start = i + 1
    pieces.append(text[start:])
    pairs = []
    for piece in pieces:
        name, equals, value = piece.partition("=")
        name = name.strip()
        if not equals or not KNOB.match(name) or not value.strip():
            raise ConfigError(f"a knob is given as name=value, not {piece.strip()!r}")
        pairs.append((name, _value(value.strip())))
    return pairs


def _value(text: str) -> Any:
    lowered = {"true": True, "false": False, "none": None}
    if text.lower() in lowered:
        return lowered[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _macros_in(value: Any) -> list[str]:
    if isinstance(value, Reference):
        return [value.text[1:]] if value.text.startswith("%") else []
    if isinstance(value, dict):
        return [n for pair in value.items() for item in pair for n in _macros_in(item)]
    if isinstance(value, list | tuple):
        return [name for item in value for name in _macros_in(item)]
    return []
