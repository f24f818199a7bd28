"""Items that a writer makes by itself, wherever a pattern fits.

    Writer(client, "t", patterns=[
        Pattern("t", length=5),                                # at every step
        Pattern("starts", 4, when=(Condition("step", "==", 3),)),
        Pattern("wins", 9, when=(Condition("reward", ">", 0),)),
        Pattern("ends", 2, when=(Condition("end", "==", 1),)),
    ])

After Reverb's structured writer. Which steps each column of a batch shows is the
table's to say (`TableConfig.columns`).
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclasses.dataclass(frozen=True)
class Condition:
    """A comparison that must hold.

    Args:
      subject: 'step' (of the episode, from 0), 'since' (steps since the pattern last
        fitted), 'end' (1 when the episode ends), or a column that is a number.
      comparison: a name in `OPERATORS`.
      value: what it is compared with.
      modulo: of the subject, first; 0 for none.
    """

    subject: str
    comparison: str
    value: float
    modulo: int = 0

    def __post_init__(self) -> None:
        if self.comparison not in OPERATORS:
            raise ValueError(
                f"there is no comparison {self.comparison!r}: {', '.join(OPERATORS)}"
            )

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether it does for these subjects.

        Raises:
          ValueError: when the subject is none of them.
        """
        if self.subject not in facts:
            raise ValueError(
                f"a condition speaks of {self.subject!r}: a step has {', '.join(facts)}"
            )
        found = facts[self.subject]
        if self.modulo:
            found = found % self.modulo
        return bool(OPERATORS[self.comparison](found, self.value))


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Where items begin and end.

    Args:
      table: that the items are for.
      length: steps of an item; where the episode has fewer there is none.
      priority: of the items, or 'max'.
      when: all must hold; an 'end' among them makes it fit at ends only.
    """

    table: str
    length: int
    priority: float | str = 1.0
    when: tuple[Condition, ...] = ()

    @property
    def at_end(self) -> bool:
        return any(condition.subject == "end" for condition in self.when)

    def fits(self, facts: Mapping[str, Any]) -> bool:
        return all(condition.holds(facts) for condition in self.when)
