"""What `t2t-decoder` does with a run that decides for a compiler: it compiles."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from t2t.bin.command import UsageError, load_tensorflow
from t2t.names import close_to


def weigh_run(checkpoint: Path, flags: dict[str, Any], write: Any) -> int:
    """Compiles the modules of --decode_from_file, or of --split, and writes a table.

    A line of the file is the path of bitcode, IR or a source, from the file's own
    folder, or a module of the corpus as PACKAGE/NAME.

    Raises:
      UsageError: for a line that is neither.
    """
    load_tensorflow()
    from t2t.export.advice import policy_of
    from t2t.problems.compiler import page, weigh
    from t2t.run import report
    from t2t.run.folder import write_text
    from t2t.training.progress import Progress

    problem, policy = policy_of(flags["output_dir"], checkpoint_path=checkpoint)
    modules = list(_modules(problem, flags))
    progress = Progress(0, len(modules))
    found = []
    for weight in weigh.weigh(problem.compiler, policy, modules):
        if weight.failure:
            progress.line(f"t2t-decoder: {weight.name}: {weight.failure}")
        found.append(weight)
        progress.advance()
    progress.close()
    for line in weigh.table(found):
        write(line)
    if flags["report"]:
        title = Path(flags["output_dir"]).resolve().name
        explanation = _explained(problem.compiler, policy, modules, found)
        content = page.body(title, found, explanation)
        write_text(Path(flags["report"]), report.page(title, content))
    return any(weight.failure for weight in found)


def _explained(
    compiler: Any,
    policy: Any,
    modules: Sequence[tuple[str, str, Path]],
    found: Sequence[Any],
) -> Any:
    """The module that most was saved of, call by call; None where all is the same."""
    from t2t.bridge import plugins
    from t2t.problems.compiler.explain import explain

    changed = [w for w in found if not w.failure and w.changed]
    if not changed:
        return None
    most = min(changed, key=lambda w: w.learned - w.default)
    (module,) = (place for name, _, place in modules if name == most.name)
    try:
        # Only a plug-in says whose call a question is about.
        plugin = plugins.build(compiler.name)
        make = functools.partial(compiler.job, module, plugin=plugin, sites=True)
        return explain(most.name, make, policy)
    except (ValueError, OSError) as error:
        print(f"t2t-decoder: no module is explained: {error}", file=sys.stderr)
        return None


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
