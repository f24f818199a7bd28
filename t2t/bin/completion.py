"""Completion of command lines in bash and zsh.

    eval "$(t2t-zoo completion bash)"

The shell hands over the line so far; what may come next is answered from declarations
alone, as fast as `t2t-zoo list`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from t2t import registry
from t2t.bin.command import Command

COMMANDS = {
    "t2t-trainer": "trainer",
    "t2t-decoder": "decoder",
    "t2t-datagen": "datagen",
    "t2t-eval": "evaluator",
    "t2t-avg-all": "average",
    "t2t-exporter": "exporter",
    "t2t-serve": "serve",
    "t2t-replay": "replay",
    "t2t-zoo": "zoo",
}
SHELLS = {
    "bash": """_t2t() {{
    mapfile -t COMPREPLY < <(t2t-zoo complete "${{COMP_LINE:0:COMP_POINT}}")
    [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace
    [[ ${{#COMPREPLY[@]}} -eq 0 ]] && compopt -o default
}}
complete -F _t2t {commands}""",
    "zsh": """_t2t() {{
    local -a found
    found=("${{(@f)$(t2t-zoo complete "${{BUFFER[1,CURSOR]}}")}}")
    compset -P '*='
    compadd -S '' -a found
}}
compdef _t2t {commands}""",
}


def script(shell: str) -> str:
    """What the shell is to read.

    Raises:
      UnknownName: for another shell.
    """
    if shell not in SHELLS:
        hint = registry.close_to(shell, SHELLS)
        raise registry.UnknownName(f"there is no completion for {shell!r}.{hint}")
    return SHELLS[shell].format(commands=" ".join(COMMANDS))


def complete(line: str) -> list[str]:
    """What the last word of a line may become; of --flag=VALUE only the value."""
    words = line.split(" ")
    name, last = words[0].rsplit("/", 1)[-1], words[-1]
    if name not in COMMANDS or len(words) < 2:
        return []
    module = importlib.import_module(f"t2t.bin.{COMMANDS[name]}")
    if last.startswith("--") and "=" in last:
        flag, value = last[2:].split("=", 1)
        return _beginning(value, _values(flag))
    if last.startswith("-"):
        return _beginning(last, _flags(module.command))
    earlier = [word for word in words[1:-1] if word]
    if not earlier:
        return _beginning(last, getattr(module, "ACTIONS", ()))
    return _beginning(last, _zoo_words(earlier) if name == "t2t-zoo" else ())


def _beginning(start: str, words: Iterable[str]) -> list[str]:
    return sorted(word for word in words if word.startswith(start))


def _flags(command: Command) -> list[str]:
    found = []
    for name in command.values:
        flag = command.values[name]
        found.append(f"--{name}" if flag.boolean else f"--{name}=")
    return found


def _values(flag: str) -> list[str]:
    kinds = {"problem": "problem", "model": "model", "hparams_set": "hparams_set"}
    return registry.current().names(kinds[flag]) if flag in kinds else []


def _zoo_words(earlier: list[str]) -> list[str]:
    """What an action of t2t-zoo is done to."""
    kinds = ("problem", "model", "hparams_set")
    return {
        "show": [n for kind in kinds for n in registry.current().names(kind)],
        "list": [f"{kind}s" for kind in kinds],
        "completion": list(SHELLS),
    }.get(" ".join(earlier), [])
