"""Modules compiled twice, plainly and with a policy: what each weighs, as a table."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from t2t.bridge.episodes import Episode, Failure, Job, Policy
from t2t.bridge.host import Host
from t2t.bridge.llvm import Compiler
from t2t.problems.compiler import elf
from t2t.problems.compiler.elf import NotAnObject


@dataclasses.dataclass(frozen=True)
class Weight:
    """A module's code in bytes.

    Args:
      group: the package, or folder, it belongs to.
      default, learned: of LLVM's own decisions, and of the policy's.
      decisions: of the policy; changed: those that are not LLVM's own.
      failure: why there is none; '' when all went well.
      decided: (LLVM's estimate of the cost, its own choice, the policy's) of each.
    """

    name: str
    group: str
    default: int = 0
    learned: int = 0
    decisions: int = 0
    changed: int = 0
    failure: str = ""
    decided: tuple[tuple[float, int, int], ...] = ()

    @property
    def change(self) -> float:
        """Share by which the policy's is larger; below 0 it is smaller."""
        return self.learned / self.default - 1.0 if self.default else 0.0


def weigh(
    compiler: Compiler,
    policy: Policy,
    modules: Iterable[tuple[str, str, Path]],
    *,
    parallel: int | None = None,
) -> Iterator[Weight]:
    """The weight of each module as it is known, not in their order.

    Args:
      policy: answers the questions.
      modules: (name, group, path of bitcode, IR or source).
    """
    waiting: dict[str, Episode | Failure] = {}
    with tempfile.TemporaryDirectory(prefix="t2t-") as folder:

        def jobs() -> Iterator[Job]:
            for number, (name, group, path) in enumerate(modules):
                for task in ("", "inline"):
                    output = Path(folder) / f"{number}{task}.o"
                    words = compiler.command(path, output, task=task)
                    yield Job(words, tag=(name, group, task, output))

        with Host(policy, parallel=parallel) as host:
            for result in host.run(jobs()):
                name = result.job.tag[0]
                if name in waiting:
                    yield _weight(waiting.pop(name), result)
                else:
                    waiting[name] = result


def _weight(*results: Episode | Failure) -> Weight:
    plain, asked = sorted(results, key=lambda result: result.job.tag[2])
    name, group, *_ = plain.job.tag
    sizes, decided = list[int](), list[tuple[float, int, int]]()
    for result in (plain, asked):
        output = result.job.tag[3]
        try:
            if isinstance(result, Failure):
                why = result.log.strip().splitlines() or [""]
                return Weight(name, group, failure=f"{result.reason}: {why[0]}")
            sizes.append(elf.read(output).text)
        except (NotAnObject, OSError) as error:
            return Weight(name, group, failure=str(error))
        finally:
            output.unlink(missing_ok=True)
        for kept in result.trajectories:
            own, taken = kept.observations[kept.header.default], kept.advice
            costs = kept.observations["cost_estimate"]
            columns = (np.ravel(one).tolist() for one in (costs, own, taken))
            decided += zip(*columns, strict=True)
    changed = sum(own != taken for _, own, taken in decided)
    return Weight(name, group, *sizes, len(decided), changed, decided=tuple(decided))


def geometric_mean(weights: Sequence[Weight]) -> float:
    """Of learned / default, over modules that have code."""
    logs = [math.log(w.learned / w.default) for w in weights if w.default * w.learned]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0


def total(name: str, weights: Sequence[Weight]) -> Weight:
    """All of them as one."""
    sums = {
        field: sum(getattr(w, field) for w in weights)
        for field in ("default", "learned", "decisions", "changed")
    }
    return dataclasses.replace(Weight(name, name), **sums)


def table(weights: Iterable[Weight]) -> Iterator[str]:
    """Lines: every module, the smallest change last in each group; groups; all."""
    good = [w for w in weights if not w.failure]
    groups = {w.group: [v for v in good if v.group == w.group] for w in good}
    width = max([len(w.name) for w in good] + [20])
    titles = f"{'-Oz':>10} {'learned':>10} {'change':>8} {'decided otherwise':>20}"
    head = f"{'':{width}} {titles}"
    yield head
    for w in sorted(good, key=lambda w: (w.group, w.change)):
        yield _line(w, width)
    yield head
    sums = [total(group, members) for group, members in groups.items()]
    for w in sorted(sums, key=lambda w: w.change):
        yield _line(w, width)
    yield _line(total("all", good), width)
    mean = geometric_mean(good) - 1.0
    larger = sum(w.change > 0 for w in good)
    yield (
        f"geometric mean of {len(good)} modules {mean:+.2%}, of {len(groups)} groups "
        f"{geometric_mean(sums) - 1.0:+.2%}; {larger} modules are larger"
    )


def _line(w: Weight, width: int) -> str:
    changed = f"{w.changed:,} of {w.decisions:,}"
    sizes = f"{w.default:10,} {w.learned:10,} {w.change:8.2%}"
    return f"{w.name:{width}} {sizes} {changed:>20}"
