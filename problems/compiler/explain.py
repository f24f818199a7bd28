"""One module explained: which calls a policy decides otherwise, and what each saves."""

from __future__ import annotations

import dataclasses

from t2t.bridge.episodes import Policy, echo
from t2t.problems.compiler.search import Compiled, Make, Search, Site

MOST = 60  # decisions that are judged alone, a compilation each


@dataclasses.dataclass(frozen=True)
class Decision:
    """A call that the policy decides otherwise than LLVM.

    Args:
      site: whose call it is.
      cost: LLVM's estimate of inlining it.
      taken: 1 where the policy inlines it, 0 where it stays a call.
      saved: bytes by which the code is smaller when this alone is decided so; None
        where it was not tried, or LLVM asks about it only after other answers.
    """

    site: Site
    cost: float
    taken: int
    saved: int | None


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A module as LLVM compiles it, as the policy does, and what lies between."""

    name: str
    plain: Compiled
    learned: Compiled
    decisions: list[Decision]

    @property
    def saved(self) -> int:
        """Bytes of code, by all decisions together."""
        return self.plain.code.text - self.learned.code.text

    @property
    def functions(self) -> dict[str, tuple[int, int]]:
        """(bytes plainly, learned) of each function that is not the same in size."""
        one, other = self.plain.code.functions, self.learned.code.functions
        sizes = {name: (one.get(name, 0), other.get(name, 0)) for name in one | other}
        return {name: pair for name, pair in sizes.items() if pair[0] != pair[1]}


def explain(name: str, make: Make, policy: Policy, *, most: int = MOST) -> Explanation:
    """Compiles a module plainly, with the policy, and with each of its decisions alone.

    Args:
      make: of its jobs.
      most: decisions that are judged alone.

    Raises:
      ValueError: when the module cannot be compiled.
    """
    with Search(make) as search:
        plain, learned = search.compiled(echo), search.compiled(policy)
        if plain is None or learned is None:
            raise ValueError(f"{name}: {search.failure}")
        costs = learned.observations["cost_estimate"].ravel()
        decisions = list[Decision]()
        for place in (learned.taken != learned.own).nonzero()[0].tolist():
            site, taken = learned.sites[place], int(learned.taken[place])
            alone = None
            if len(decisions) < most and plain.plan.get(site, taken) != taken:
                alone = search.compiled(echo, {site: taken})
            saved = None if alone is None else plain.code.text - alone.code.text
            cost = float(costs[place])
            decisions.append(Decision(site, cost, taken, saved))
    return Explanation(name, plain, learned, decisions)
