"""What each decision of a compilation was worth, once its code is there.

module      MLGO's reward: all share 1 - size / default's size (its RFC, and
            `reward` in ml-compiler-opt's compilation_runner)
functions   a decision that is LLVM's own gets 0; another gets what became of its own
            neighbourhood: the bytes of the functions between which code flowed, here
            or in the default, against the default's, over all decisions there that
            were others. What others did is mostly left out of it.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

import numpy as np

from t2t.problems.compiler.measure import Outcome

SLACK = 0.01  # MLGO's, against modules without code
UNIT, MOST = 16.0, 8.0  # bytes that count 1, and what one decision counts at most
KINDS = ("functions", "module")


def saved(found: Outcome, default: Outcome) -> float:
    """MLGO's reward: the share by which the code is smaller than the default's."""
    return 1.0 - (found.text + SLACK) / (default.text + SLACK)


def shares(
    kind: str,
    found: Outcome,
    advice: np.ndarray,
    own: np.ndarray,
    default: Outcome,
    default_advice: np.ndarray,
) -> np.ndarray:
    """float32 [T]: the reward of each decision.

    Args:
      kind: see above; without the names of callers 'functions' is 'module'.
      found, advice: what came of these decisions [T].
      own: what LLVM itself would have decided there [T].
      default, default_advice: the same of LLVM's own.
    """
    if kind not in KINDS:
        raise ValueError(f"no credit {kind!r}: {' or '.join(KINDS)}")
    if kind == "module" or not (found.pairs and default.pairs):
        return np.full(len(advice), saved(found, default), np.float32)
    flows = [
        pair
        for pairs, taken in ((found.pairs, advice), (default.pairs, default_advice))
        for pair, inlined in zip(pairs, taken, strict=True)
        if inlined
    ]
    leader = _neighbourhoods(flows)
    won: dict[str, int] = {}
    for sizes, sign in ((default.functions, 1), (found.functions, -1)):
        for name, size in sizes.items():
            place = leader.get(name, name)
            won[place] = won.get(place, 0) + sign * size
    places = [leader.get(caller, caller) for caller, _ in found.pairs]
    other = advice != own
    count = collections.Counter(np.array(places)[other].tolist())
    worth = [won.get(place, 0) / max(1, count[place]) for place in places]
    return np.clip(other * np.array(worth) / UNIT, -MOST, MOST).astype(np.float32)


def _neighbourhoods(flows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each function's leader: the same one for all that are connected."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for caller, callee in flows:
        leader[find(caller)] = find(callee)
    return {name: find(name) for name in list(leader)}
