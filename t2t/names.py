"""What somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def close_to(name: str, names: Iterable[str]) -> str:
    """' Did you mean …?' for the nearest of `names`, or ''."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if not near:
        near = [known for known in names if name and name in known][:3]
    if not near:
        return ""
    return " Did you mean " + " or ".join(repr(n) for n in near) + "?"
