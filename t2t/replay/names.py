"""What somebody may have meant: `t2t.registry` says it, too, but needs gin."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def close_to(name: str, names: Iterable[str]) -> str:
    """' Did you mean …?' for the nearest of `names`, or ''."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
