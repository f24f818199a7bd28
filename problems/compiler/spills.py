"""What registers cost a function: LLVM's remarks on spills, reloads and copies.

Each is weighted by how often its block runs, as LLVM estimates it. A stock compiler
writes them; the score of LLVM's own training log needs one that was built for it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

REMARKS = ("-fsave-optimization-record", "-foptimization-record-passes=regalloc")
# After LLVM's `RegAllocScore`: a load takes longer than a store or a copy.
_RELOAD, _SPILL, _COPY = 4.0, 1.0, 0.2

_FUNCTION = re.compile(
    rb"^Name: +SpillReloadCopies\n(?:DebugLoc:.*\n)?Function: +(?P<name>.*)\nArgs:"
    rb"(?P<costs>(?:\n  - .*)*)",
    re.MULTILINE,
)
_COST = re.compile(rb"Total(Folded)?(Spills|Reloads|Copies)Cost: +'([^']+)'")


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of a function or of several, in runs of its first block.

    Args:
      spills, reloads: stores to the stack and loads from it, folded ones too.
      copies: between registers.
    """

    spills: float = 0.0
    reloads: float = 0.0
    copies: float = 0.0

    @property
    def memory(self) -> float:
        """Spills and reloads."""
        return self.spills + self.reloads

    @property
    def score(self) -> float:
        """All of it, weighed as LLVM does for the rewards of its own training."""
        spent = _RELOAD * self.reloads + _SPILL * self.spills
        return spent + _COPY * self.copies


def read(path: Path) -> dict[str, Cost]:
    """The costs of each function that has any, from a file of remarks."""
    found = {}
    for match in _FUNCTION.finditer(path.read_bytes()):
        costs = {"Spills": 0.0, "Reloads": 0.0, "Copies": 0.0}
        for _, kind, value in _COST.findall(match["costs"]):
            costs[kind.decode()] += float(value)
        name = match["name"].decode(errors="replace").strip().strip("'\"")
        found[name] = Cost(costs["Spills"], costs["Reloads"], costs["Copies"])
    return found


def total(costs: Iterable[Cost]) -> Cost:
    """All of them as one."""
    found = list(costs)
    return Cost(
        sum(cost.spills for cost in found),
        sum(cost.reloads for cost in found),
        sum(cost.copies for cost in found),
    )
