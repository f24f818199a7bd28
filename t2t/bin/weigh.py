"""What `t2t-decoder` does with a run that decides for a compiler: it compiles."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t2t.bin.command import UsageError, load_tensorflow
from t2t.names import close_to

PROGRESS_EVERY = 50  # modules


def weigh_run(checkpoint: Path, flags: dict[str, Any], write: Any) -> int:
    """Compiles the modules of --decode_from_file, or of --split, and writes a table.

    A line of the file is the path of bitcode, IR or a source, from the file's own
    folder, or a module of the corpus as PACKAGE/NAME.

    Raises:
      UsageError: for a line that is neither.
    """
    load_tensorflow()
    from t2t.export.advice import policy_of
    from t2t.problems.compiler import weigh

    problem, policy = policy_of(flags["output_dir"], checkpoint_path=checkpoint)
    modules = list(_modules(problem, flags))
    compiler = problem.compiler
    found, failed = [], 0
    for weight in weigh.weigh(compiler, policy, modules):
        if weight.failure:
            failed += 1
            print(f"t2t-decoder: {weight.name}: {weight.failure}", file=sys.stderr)
        found.append(weight)
        if len(found) % PROGRESS_EVERY == 0:
            print(f"{len(found)} of {len(modules)} modules", file=sys.stderr)
    for line in weigh.table(found):
        write(line)
    return bool(failed)


def _modules(problem: Any, flags: dict[str, Any]) -> Iterator[tuple[str, str, Path]]:
    logging.basicConfig(format="%(message)s")
    if not flags["decode_from_file"]:
        for module in problem.corpus.of(flags["split"] or "test"):
            yield module.key, module.package, problem.corpus.bitcode(module)
        return
    source = Path(flags["decode_from_file"])
    known: dict[str, Any] | None = None
    for number, line in enumerate(source.read_text("utf-8").splitlines(), 1):
        name = line.strip()
        if not name:
            continue
        path = source.parent / name
        if path.is_file():
            yield name, path.parent.name or ".", path
            continue
        if known is None:
            known = {m.key: m for m in problem.corpus.modules} if problem.folder else {}
        if name not in known:
            raise UsageError(
                f"{source}:{number}: {name!r} is no file, and no module of the corpus."
                f"{close_to(name, known)}"
            )
        module = known[name]
        yield name, module.package, problem.corpus.bitcode(module)
