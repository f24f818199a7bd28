"""What all commands share: flags, --help, and mistakes answered in a line.

A mistake of the user's ends with exit status 2 and a line that says what was
given and what is close. Set T2T_TRACEBACK=1 to see where an error came from.
"""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import flags

from t2t import registry

MISTAKES = (ValueError, OSError, ImportError, RuntimeError)
USER_ERROR = 2


class UsageError(ValueError):
    """Flags that do not go together, or are missing."""


class Command:
    """A command's flags and its main function.

    Args:
      name: as installed, such as 't2t-trainer'.
      summary: one line for --help.
      examples: the most likely uses, shown by --help and when nothing is given.
      knobs: the flag, if any, that takes `name=value` pairs.
    """

    def __init__(
        self, name: str, summary: str, examples: Sequence[str], *, knobs: str = ""
    ) -> None:
        self.name, self.summary, self.examples = name, summary, examples
        self.knobs = knobs
        self.values = flags.FlagValues()
        self._boolean("help", False, "show this help")

    def string(self, name: str, default: str | None, help: str) -> None:
        flags.DEFINE_string(name, default, help, flag_values=self.values)

    def integer(self, name: str, default: int | None, help: str) -> None:
        flags.DEFINE_integer(name, default, help, flag_values=self.values)

    def number(self, name: str, default: float | None, help: str) -> None:
        flags.DEFINE_float(name, default, help, flag_values=self.values)

    def many(self, name: str, help: str) -> None:
        flags.DEFINE_multi_string(name, [], help, flag_values=self.values)

    def boolean(self, name: str, default: bool | None, help: str) -> None:
        self._boolean(name, default, help)

    def _boolean(self, name: str, default: bool | None, help: str) -> None:
        flags.DEFINE_boolean(name, default, help, flag_values=self.values)

    def run(self, main: Callable[[Any, list[str]], int | None]) -> None:
        """Parses sys.argv, calls main(values, words) and exits with its status."""
        sys.exit(self.call(main, sys.argv[1:]))

    def call(
        self, main: Callable[[Any, list[str]], int | None], arguments: Sequence[str]
    ) -> int:
        """The exit status for these arguments; it may be called again."""
        if not arguments:
            print(self.usage(), file=sys.stderr)
            return USER_ERROR
        self.values.unparse_flags()
        try:
            # For absl the first word is the program's name.
            words = self.values([self.name, *_boolean_words(arguments)])[1:]
        except flags.UnrecognizedFlagError as error:
            return self._fail(self._unknown(error.flagname))
        except flags.Error as error:
            return self._fail(str(error).strip().splitlines()[0])
        try:
            if self.values["help"].value:
                print(self.help(), flush=True)
                return 0
            return main(self.values, words) or 0
        except KeyboardInterrupt:
            print(f"{self.name}: stopped", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # The reader of our output has gone; there is no one to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except MISTAKES as error:
            if os.environ.get("T2T_TRACEBACK"):
                raise
            return self._fail(_line(error))

    def usage(self) -> str:
        """A usage line and the most likely commands."""
        lines = [f"usage: {self.name} --flag=value ... (--help lists the flags)"]
        return "\n".join([*lines, *(f"  {example}" for example in self.examples)])

    def help(self) -> str:
        """All flags with their defaults."""
        lines = [f"{self.name}: {self.summary}", "", self.usage(), "", "flags:"]
        for name in sorted(self.values):
            flag = self.values[name]
            if flag.name != name:
                continue
            default = (
                "" if flag.default in (None, "", [], False) else f" [{flag.default}]"
            )
            lines.append(f"  --{name}{default}")
            lines += textwrap.wrap(
                " ".join((flag.help or "").split()),
                78,
                initial_indent="      ",
                subsequent_indent="      ",
            )
        return "\n".join(lines)

    def _unknown(self, flag: str) -> str:
        hint = registry.close_to(flag, self.values)
        if self.knobs:
            hint += f" Knobs are given as --{self.knobs}={flag}=VALUE"
        return f"there is no flag --{flag}.{hint}"

    def _fail(self, line: str) -> int:
        print(f"{self.name}: {line}", file=sys.stderr)
        return USER_ERROR


def _boolean_words(arguments: Sequence[str]) -> list[str]:
    """`--flag value` is absl's; a lone `-h` means --help."""
    return [
        "--help" if word in ("-h", "-help", "--helpfull") else word
        for word in arguments
    ]


def _line(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no file {error.filename!r}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    # gin adds a line saying in which call; the reason is the first.
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TensorFlow's chatter at import away from stderr; errors still show."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    sys.stderr.flush()
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def load_tensorflow() -> None:
    """Imports TensorFlow and Keras quietly, once.

    Raises:
      UsageError: when KERAS_BACKEND names what is not here.
    """
    with quiet():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        on = os.environ["KERAS_BACKEND"]
        if on != "tensorflow":  # which then writes events only, and needs no GPU
            tf.config.set_visible_devices([], "GPU")
        if "TF_CONFIG" not in os.environ:  # a worker must join its cluster first
            tf.config.list_logical_devices()  # what it says, it says now
        try:
            import keras  # noqa: F401
        except (ImportError, ValueError) as error:
            hint = ": pip install -e '.[jax]'" if on == "jax" else ""
            raise UsageError(f"KERAS_BACKEND={on}: {error}{hint}") from None


def add_usr_dir(values: Any) -> None:
    """Registers the plug-in folders of --t2t_usr_dir."""
    for folder in (values["t2t_usr_dir"].value or "").split(","):
        if folder:
            registry.current().add_usr_dir(folder)


def report_unread() -> None:
    """Says which plug-ins could not be read; the others work."""
    for place in registry.current().unread:
        print(f"unread plug-in {place.place}: {place.reason}", file=sys.stderr)
